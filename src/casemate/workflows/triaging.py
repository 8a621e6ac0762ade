"""The first report of a case: what the events on record say it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from casemate.case import evidence
from casemate.case.triage.report import Focus
from casemate.case.triage.report import triage as judge
from casemate.catalog import loader
from casemate.catalog.entries import Playbook, ThreatKind
from casemate.errors import CasemateError, StoreError
from casemate.records.incident import Guess, Incident, Triage
from casemate.records.make import make
from casemate.records.severity import Confidence
from casemate.store.cases import CaseBook
from casemate.workflows import collecting, custody, sources

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from casemate.records.finding import Finding
    from casemate.store.workspace import Workspace
    from casemate.workflows.config import Loaded
    from casemate.workflows.sources import Sources

UNTITLED = "being triaged"
_FAMILIES = {
    "evasion": "adversarial-perturbation",
    "extraction": "model-stealing",
    "poisoning": "data-poisoning",
}


def triage(
    loaded: Loaded,
    workspace: Workspace,
    case: Incident,
    *,
    by: str,
    title: str | None = None,
    since: int | None = None,
    until: int | None = None,
    model: str | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Incident:
    """Say from the events on record what the case is, and keep them as evidence.

    Args:
        loaded: The configuration.
        workspace: Where the case is kept.
        case: The case.
        by: Who asks.
        title: A new title; None for one made of what is found.
        since: Where to look first, in microseconds since the epoch; None for where the case's
            sources say.
        until: Likewise, the end.
        model: One model alone.
        progress: Called with (what, done, total).
    """
    named = sources.find(workspace, case.sources)
    if progress is not None:
        progress("triage: events", 0, 1)
    failed = ""
    try:
        found = _triage(loaded, workspace, case, named, since, until, model)
    except CasemateError as error:
        failed = str(error)
        found = make(
            Triage,
            assessment="cannot-tell",
            confidence=Confidence.CERTAIN,
            reasons=(f"the events on record could not be read: {failed}",),
            next_steps=("casemate verify says what is wrong with the record",),
        )
    threat = case.threat
    if threat is None and found.assessment in ("attack", "probe"):
        threat = next((one.threat for one in found.guesses if _is_threat(one.threat)), None)
    playbook = playbook_for(threat, found.assessment)
    name = title or _title(found, threat)
    folder = collecting.folder_of(workspace, case.id)
    lost = ""
    try:
        evidence.write(folder, collecting.events_of(workspace, case, loaded, folder, found.events))
    except CasemateError as error:
        lost = f"; the events it rests on could not be kept: {error}"

    def change(one: Incident) -> Incident:
        return msgspec.structs.replace(
            one,
            triage=found,
            threat=threat,
            playbook=one.playbook if one.steps else playbook,
            title=name if one.title == UNTITLED or title else one.title,
        )

    words = f"{found.assessment} ({found.confidence}): {'; '.join(found.reasons[:2])}{lost}"
    return CaseBook(workspace).change(
        case.id,
        custody.action(
            by, "triaged", words, records=found.events, outcome="failed" if failed else "done",
            details={"looked_at": found.looked_at, "queries": found.queries},
        ),
        change,
    )  # fmt: skip


def playbook_for(threat: str | None, assessment: str) -> str | None:
    """Return the playbook for a type of attack, else the one for what the triage says."""
    last = None
    for name, entry in loader.entries("playbooks", Playbook).items():
        if threat is not None and threat in entry.threats:
            return name
        if not entry.threats and assessment in entry.assessments:
            last = name
    return last


def _triage(
    loaded: Loaded,
    workspace: Workspace,
    case: Incident,
    named: Sources,
    since: int | None,
    until: int | None,
    model: str | None,
) -> Triage:
    if named.findings and not named.detections and not named.events and since is None:
        return _of_findings(named.findings)
    where = case.telemetry or collecting.telemetry_of(workspace, loaded)
    try:
        query = collecting.query_of(workspace, case, loaded)
    except StoreError as error:
        return _untold(
            f"the events in {where} cannot be read: {error}",
            f"casemate case triage {case.id}, when they can be read again",
        )
    if query is None:
        return _untold(f"there are no events in {where}", "casemate import brings past traffic in")
    focus = Focus(model=model, since=since, until=until, events=named.events)
    return judge(query, detections=named.detections, focus=focus)


def _untold(reason: str, step: str) -> Triage:
    return make(
        Triage,
        assessment="cannot-tell",
        confidence=Confidence.CERTAIN,
        reasons=(reason,),
        next_steps=(step,),
    )


def _of_findings(found: Sequence[Finding]) -> Triage:
    """Return the triage of weaknesses nobody was seen to use: files and measured attacks."""
    families = [one.rule.partition("-")[0] for one in found]
    threats = [_FAMILIES.get(one, "ml-supply-chain") for one in families]
    return make(
        Triage,
        assessment="attack" if "ml-supply-chain" in threats else "cannot-tell",
        confidence=Confidence.TENTATIVE,
        guesses=tuple(
            Guess(threat=one, share=threats.count(one) / len(threats), because=found[0].message)
            for one in dict.fromkeys(threats)
        ),
        reasons=tuple(f"{one.rule}: {one.message}" for one in found[:4]),
        next_steps=tuple(dict.fromkeys(one.remedy for one in found))[:3],
    )


def _is_threat(name: str) -> bool:
    try:
        loader.entry("threats", name, ThreatKind)
    except CasemateError:
        return False
    return True


def _title(found: Triage, threat: str | None) -> str:
    what = found.assessment.replace("-", " ")
    if found.assessment in ("attack", "probe") and threat is not None:
        what = loader.entry("threats", threat, ThreatKind).title
    of = f" of {', '.join(found.models[:2])}" if found.models else ""
    names = [one.principal for one in found.suspects]
    who = f" by {names[0]}" if names else ""
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return f"{what}{of}{who}{more}"[:200]
