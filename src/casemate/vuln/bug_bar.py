"""The published bug bar for machine learning, applied to measured facts.

The row says where a type of attack starts and how bad it can be; facts raise and lower it. Source:
Marshall, Parikh, Kiciman, Kumar: AI/ML Pivots to the SDL Bug Bar, and Threat Modeling AI/ML Systems
and Dependencies (2019), whose finer table makes targeted attacks critical.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from casemate.catalog.entries import ThreatKind
from casemate.catalog.loader import entry
from casemate.records.severity import Severity
from casemate.records.vulnerability import Score
from casemate.vuln.limits import choices

if TYPE_CHECKING:
    from casemate.records.vulnerability import Facts

_CHOSEN = ("adversarial-perturbation", "data-poisoning")
"""Rows that the finer table makes critical where the attacker chooses the outcome."""


def score(threat: str, facts: Facts) -> Score:
    """Return the severity of a weakness of this type.

    Raises:
        UsageError: The catalog has no such type.
    """
    row = entry("threats", threat, ThreatKind)
    why = [f"{row.title.lower()} starts at {row.lowest}"]
    level = row.lowest
    raised = _raised(row, facts)
    if raised and level is not row.highest:
        level = row.highest
        why.append(f"{level}, because {raised}")
    for lowered in _lowered(facts):
        level = _below(level)
        why.append(f"{level}, because {lowered}")
    if not facts.assets:
        why.append("what is at stake was not said (the fact `assets`)")
    return Score(scheme="bug-bar", level=level.value, because=tuple(why))


def _raised(row: ThreatKind, facts: Facts) -> str | None:
    if facts.exploited == "active":
        return "it is being exploited"
    if "safety" in facts.hurt:
        return "people may come to harm"
    if facts.targeted and row.id in _CHOSEN:
        return "the attacker chooses the outcome"
    touched = [one for one in facts.assets if one in row.raised_by]
    if touched and facts.access != "local":
        return f"{', '.join(touched)} can be reached by outsiders"
    return None


def _lowered(facts: Facts) -> list[str]:
    limits = choices().limits
    found = []
    if facts.mitigated:
        found.append("a deployed mitigation was measured to hold")
    elif facts.success is not None and facts.success < limits.rare:
        found.append(f"only {facts.success:.1%} of the attempts succeed")
    elif facts.queries is not None and facts.queries > limits.impractical:
        found.append(f"one success takes {facts.queries:,.0f} queries")
    return found


def _below(level: Severity) -> Severity:
    order = list(Severity)
    return order[min(level.rank + 1, len(order) - 1)]
