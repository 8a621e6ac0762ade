"""SSVC: what to do about a weakness and how soon, by CISA's decision table.

Source: CISA Stakeholder-Specific Vulnerability Categorization, coordinator table 2.0.3; the table
is `scores/ssvc.toml`. The vector leaves out the time stamp, so that the same facts give the same.
"""

from __future__ import annotations

import functools
import tomllib
from typing import TYPE_CHECKING, Literal, cast

from casemate.catalog.loader import ROOT
from casemate.records.vulnerability import Score
from casemate.vuln.limits import choices

if TYPE_CHECKING:
    from collections.abc import Mapping

    from casemate.records.vulnerability import Facts

_GRAVE = ("safety", "physical", "health")
_HEAVY = ("decisions", "security", "money", "personal-data", "training-data")


def decide(
    exploitation: Literal["no", "proof-of-concept", "active"],
    automatable: bool,
    total: bool,
    well_being: Literal["low", "medium", "high"],
) -> str:
    """Return `track`, `track*`, `attend` or `act`."""
    row = f"{exploitation} {'yes' if automatable else 'no'} {'total' if total else 'partial'}"
    return _table()[row][("low", "medium", "high").index(well_being)]


def score(facts: Facts, lost: Mapping[str, str]) -> Score:
    """Return the decision for facts.

    Args:
        facts: What was measured or is known.
        lost: The metrics `VC`, `VI` and `VA` that follow from them.
    """
    automatable, automatic = _automatable(facts)
    total = any(lost[one] == "H" for one in ("VC", "VI", "VA"))
    essential, irreversible, why = _well_being(facts)
    word: Literal["low", "medium", "high"] = "low"
    if essential == "E" or irreversible == "I":
        word = "high"
    elif essential == "S" or irreversible == "A":
        word = "medium"
    decision = decide(facts.exploited, automatable, total, word)
    letters = {
        "E": {"no": "N", "proof-of-concept": "P", "active": "A"}[facts.exploited],
        "A": "Y" if automatable else "N",
        "T": "T" if total else "P",
        "P": essential,
        "B": irreversible,
        "M": word[0].upper(),
        "D": {"track": "T", "track*": "R", "attend": "A", "act": "C"}[decision],
    }
    return Score(
        scheme="ssvc",
        level=decision,
        vector="SSVCv2/" + "/".join(f"{name}:{value}" for name, value in letters.items()) + "/",
        because=(
            f"exploitation: {facts.exploited.replace('-', ' ')}",
            f"automatable: {automatic}",
            f"technical impact: {'total' if total else 'partial'}",
            f"mission and well-being: {why}",
        ),
    )


def _automatable(facts: Facts) -> tuple[bool, str]:
    limits = choices().limits
    if facts.interaction:
        return False, "no, somebody else has to act"
    if facts.access in ("local", "physical", "supply-chain"):
        return False, f"no, the attacker's place is {facts.access}"
    if facts.success is not None and facts.success < limits.unreliable:
        return False, f"no, {facts.success:.0%} of the attempts succeed"
    if facts.queries is not None and facts.queries > limits.automatic:
        return False, f"no, one success takes {facts.queries:,.0f} queries"
    if facts.success is None:
        return True, "assumed, as nothing measured speaks against it"
    return True, f"yes, {facts.success:.0%} of the attempts succeed without anybody's help"


def _well_being(facts: Facts) -> tuple[str, str, str]:
    grave = [one for one in facts.assets if one in _GRAVE]
    heavy = [one for one in facts.assets if one in _HEAVY]
    if "safety" in facts.hurt or grave:
        return "S", "I", f"high, people may come to harm{_named(grave)}"
    if heavy:
        return "S", "A", f"medium, at stake{_named(heavy)}"
    if "users" in facts.hurt or "third-parties" in facts.hurt:
        return "S", "A", "medium, people outside the organisation are hurt"
    if not facts.assets and not facts.hurt:
        return "S", "A", "medium, as what is at stake was not said"
    return "M", "M", f"low, at stake{_named(facts.assets) or ': the owner alone'}"


def _named(assets: tuple[str, ...] | list[str]) -> str:
    return f": {', '.join(assets)}" if assets else ""


@functools.cache
def _table() -> dict[str, list[str]]:
    body = tomllib.loads((ROOT / "scores" / "ssvc.toml").read_text(encoding="utf-8"))
    return cast("dict[str, list[str]]", body["decision"])
