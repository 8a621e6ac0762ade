"""Facts: what trials, findings, detections and cases say about a weakness, as measured.

Nothing is guessed here: what a record does not say stays None, and the scores say what they had to
assume. Read by the vulnerability workflow.
"""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Literal

import msgspec

from casemate.catalog.entries import Attack, Detector, ThreatKind
from casemate.catalog.loader import entries
from casemate.records.vulnerability import Facts
from casemate.vuln.limits import choices

if TYPE_CHECKING:
    from casemate.records.detection import Detection
    from casemate.records.finding import Finding
    from casemate.records.incident import Incident
    from casemate.records.system import Component, System
    from casemate.records.trial import Trial

SUPPLY_CHAIN = "ml-supply-chain"
_FAMILIES = {
    "evasion": "adversarial-perturbation",
    "extraction": "model-stealing",
    "poisoning": "data-poisoning",
    "membership": "membership-inference",
    "inversion": "model-inversion",
}
_KNOWS: dict[str, Literal["nothing", "labels", "scores", "gradients", "training-data"]] = {
    "white-box": "gradients",
    "score-based": "scores",
    "decision-based": "labels",
    "training-data": "training-data",
}
_EXPLOITED = ("no", "proof-of-concept", "active")


def of_trial(trial: Trial, system: System | None = None) -> Facts:
    """Return what one attack showed.

    Args:
        trial: As measured.
        system: The owner's description, which says who may ask and what is at stake.
    """
    attack = entries("attacks", Attack).get(trial.attack)
    success = _success(trial)
    took = [one.queries for one in trial.outcomes if one.success and one.queries]
    queries: float | None = statistics.median(took) if took else None
    if trial.family == "extraction" and trial.cost.queries:
        queries = trial.cost.queries
    seen = trial.seen
    held = None
    if seen is not None and seen.success_after is not None:
        held = seen.success_after <= choices().limits.rare
    facts = Facts(
        success=success,
        queries=queries,
        access="network" if trial.target.kind == "endpoint" else None,
        knowledge=_KNOWS[attack.knowledge] if attack else None,
        interaction=False,
        targeted=True if trial.params.get("targeted") is True else None,
        exploited="proof-of-concept" if success else "no",
        mitigated=held,
    )
    return _of_component(facts, _component(system, trial.target.uri))


def of_finding(finding: Finding, trial: Trial | None = None, system: System | None = None) -> Facts:
    """Return what a finding says: the trial behind it, else that of a file that must be loaded."""
    if trial is not None:
        return of_trial(trial, system)
    facts = Facts(
        access="supply-chain",
        knowledge="nothing",
        authenticated=False,
        interaction=True,
        exploited="proof-of-concept",
    )
    return _of_component(facts, _component(system, finding.target.uri), reach=False)


def of_detection(detection: Detection, system: System | None = None) -> Facts:
    """Return what was seen on a live system; an attack that is no exercise is an active one."""
    active = detection.conclusion == "attack" and detection.marked is None
    facts = Facts(
        access="network",
        interaction=False,
        exploited="active" if active else "no",
    )
    return _of_component(facts, _component(system, detection.model))


def of_incident(incident: Incident, system: System | None = None) -> Facts:
    """Return what a case's triage found, and what people answered for its papers."""
    triage = incident.triage
    attack = triage is not None and triage.assessment == "attack"
    known = incident.facts
    hurt: list[Literal["users", "owner", "third-parties", "safety"]] = []
    if known.get("people_affected"):
        hurt.append("users")
    if known.get("harm") not in (None, False, "", "none", "no"):
        hurt.append("safety")
    facts = Facts(
        success=triage.success if triage else None,
        access="network" if triage and triage.queries else None,
        interaction=False if triage and triage.queries else None,
        hurt=tuple(hurt),
        assets=("personal-data",) if known.get("personal_data") is True else (),
        exploited="active" if attack else "no",
    )
    for model in triage.models if triage else ():
        facts = _of_component(facts, _component(system, model))
    return facts


def threat_of_family(family: str) -> str | None:
    """Return the type of attack that a family of attacks or detections is about."""
    return _FAMILIES.get(family)


def threat_of_finding(finding: Finding) -> str:
    """Return the type of attack a finding is about; a scan rule's is the supply chain."""
    attack = entries("attacks", Attack).get(finding.rule)
    return _FAMILIES[attack.family] if attack else SUPPLY_CHAIN


def threat_of_detection(detection: Detection) -> str | None:
    """Return the type of attack a detection is about, None where its rule sees no one type."""
    rule = entries("detections", Detector).get(detection.rule)
    kinds = {_FAMILIES[one] for one in (rule.families if rule else ())}
    return kinds.pop() if len(kinds) == 1 else None


def threat_of_incident(incident: Incident) -> str | None:
    """Return the type a case is handled as, else its triage's first guess; None for no attack."""
    known = entries("threats", ThreatKind)
    if incident.threat is not None:
        return incident.threat if incident.threat in known else None
    guesses = incident.triage.guesses if incident.triage else ()
    return next((one.threat for one in guesses if one.threat in known), None)


def merged(one: Facts, other: Facts) -> Facts:
    """Return what two observations of one weakness say together: the worse where both speak."""

    def first(name: str) -> object:
        mine = getattr(one, name)
        return getattr(other, name) if mine is None else mine

    def worse(name: str, *, harmful: bool) -> bool | None:
        said = [getattr(it, name) for it in (one, other) if getattr(it, name) is not None]
        if not said:
            return None
        return harmful if harmful in said else not harmful

    took = [it.queries for it in (one, other) if it.queries is not None]
    went = [it.success for it in (one, other) if it.success is not None]
    exploited = max((one.exploited, other.exploited), key=_EXPLOITED.index)
    return msgspec.structs.replace(
        one,
        success=max(went) if went else None,
        queries=min(took) if took else None,
        access=first("access"),
        knowledge=first("knowledge"),
        authenticated=worse("authenticated", harmful=False),
        interaction=worse("interaction", harmful=False),
        hurt=tuple(dict.fromkeys((*one.hurt, *other.hurt))),
        assets=tuple(dict.fromkeys((*one.assets, *other.assets))),
        targeted=worse("targeted", harmful=True),
        exploited=exploited,
        mitigated=worse("mitigated", harmful=False),
    )


def _success(trial: Trial) -> float | None:
    if trial.family == "extraction":
        fidelity = next((one for one in trial.measures if one.name == "fidelity"), None)
        return fidelity.value if fidelity else None
    if trial.family == "poisoning":
        clean, robust = trial.clean.value, trial.robust.value if trial.robust else None
        if not clean or robust is None:
            return None
        return min(1.0, max(0.0, (clean - robust) / clean))
    tried = [one.success for one in trial.outcomes if one.clean and one.success is not None]
    if tried:
        return sum(tried) / len(tried)
    return trial.seen.success if trial.seen else None


def _component(system: System | None, uri: str) -> Component | None:
    if system is None:
        return None
    named = [one for one in system.components if uri in (one.uri, one.name)]
    return named[0] if named else None


def _of_component(facts: Facts, component: Component | None, *, reach: bool = True) -> Facts:
    """Add what the owner says of the component: who may call it, and what would be lost."""
    if component is None:
        return facts
    assets = tuple(dict.fromkeys((*facts.assets, *component.assets)))
    facts = msgspec.structs.replace(facts, assets=assets)
    if "safety" in assets and "safety" not in facts.hurt:
        facts = msgspec.structs.replace(facts, hurt=(*facts.hurt, "safety"))
    if not reach or not component.callers:
        return facts
    return msgspec.structs.replace(
        facts,
        access=facts.access or "network",
        authenticated="public" not in component.callers,
    )
