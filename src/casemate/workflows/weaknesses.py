"""What a record says of a weakness: its type, the facts, what has it, and what proves it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from casemate.catalog.entries import ThreatKind
from casemate.catalog.loader import entry
from casemate.errors import UsageError
from casemate.export.callers import hidden
from casemate.records.vulnerability import Affected, Facts
from casemate.store.cases import CaseBook
from casemate.vuln import facts as known
from casemate.workflows import callers, sources

if TYPE_CHECKING:
    from casemate.records.finding import Finding
    from casemate.records.incident import Incident
    from casemate.records.system import System
    from casemate.records.trial import Trial
    from casemate.store.workspace import Workspace
    from casemate.workflows.config import Loaded


class Seen(NamedTuple):
    """What one record says of a weakness."""

    threat: str | None
    facts: Facts
    affected: tuple[Affected, ...]
    proof: tuple[str, ...]
    title: str
    summary: str = ""
    remedy: str = ""
    sure: bool = False
    """Whether it was measured here, so that nobody has to confirm it."""


def seen(loaded: Loaded, workspace: Workspace, from_: str | None) -> Seen:
    """Return what a finding, trial, detection, campaign or case says; nothing for None.

    Raises:
        UsageError: Nothing is called so, or it is an event alone.
    """
    system = loaded.config.system
    if from_ is None:
        return Seen(None, Facts(), (), (), "")
    if from_.startswith("case-"):
        return _of_incident(CaseBook(workspace).get(from_), workspace, system)
    found = sources.find(workspace, [from_])
    if found.findings:
        return _of_finding(found.findings[0], workspace, system)
    if found.trials:
        return _of_trial(found.trials[0], system)
    if found.detections:
        one = found.detections[0]
        facts = known.of_detection(one, system)
        for other in found.detections[1:]:
            facts = known.merged(facts, known.of_detection(other, system))
        return Seen(
            next(filter(None, map(known.threat_of_detection, found.detections)), None),
            facts,
            (Affected(name=one.model),),
            tuple(it.id for it in found.detections),
            f"{one.rule} on {one.model}",
            hidden(one.message, one.principals, word="a caller"),
        )
    raise UsageError(
        f"an event alone shows no weakness: {from_}", hint=f"casemate case open --from {from_}"
    )


def _of_finding(finding: Finding, workspace: Workspace, system: System | None) -> Seen:
    trial = None
    if finding.trial is not None:
        trial = next(iter(sources.find(workspace, [finding.trial]).trials), None)
    digests = (finding.target.digest,) if finding.target.digest else ()
    return Seen(
        known.threat_of_finding(finding),
        known.of_finding(finding, trial, system),
        (Affected(name=finding.target.uri, digests=digests),),
        (finding.fingerprint, *((trial.id,) if trial else ())),
        f"{finding.rule} in {finding.target.uri}",
        finding.message,
        finding.remedy,
        sure=finding.confidence == "certain",
    )


def _of_trial(trial: Trial, system: System | None) -> Seen:
    facts = known.of_trial(trial, system)
    digests = (trial.target.digest,) if trial.target.digest else ()
    return Seen(
        known.threat_of_family(trial.family),
        facts,
        (Affected(name=trial.target.uri, digests=digests),),
        (trial.id,),
        f"{trial.attack} works on {trial.target.uri}",
        sure=bool(facts.success) and trial.state == "complete",
    )


def _of_incident(case: Incident, workspace: Workspace, system: System | None) -> Seen:
    facts = known.of_incident(case, system)
    models: dict[str, Affected] = {
        name: Affected(name=name) for name in (case.triage.models if case.triage else ())
    }
    sure = False
    wanted = [one for one in case.sources if one.startswith(("fp-", "trial-", "det-"))]
    for one in wanted:
        part = _from_source(one, workspace, system)
        if part is None:
            continue
        facts = known.merged(facts, part.facts)
        sure = sure or part.sure
        for thing in part.affected:
            models.setdefault(thing.name, thing)
    threat = known.threat_of_incident(case)
    names = callers.of_case(workspace, case)
    reasons = " ".join(case.triage.reasons[:3]) if case.triage else ""
    return Seen(
        threat,
        facts,
        tuple(models.values()),
        (case.id, *wanted),
        _title(threat, tuple(models)),
        hidden(reasons, names, word="a caller"),
        sure=sure,
    )


def _title(threat: str | None, models: tuple[str, ...]) -> str:
    """Return what a case shows without who did it: a weakness is told to others."""
    if threat is None:
        return ""
    of = f" of {', '.join(models[:2])}" if models else ""
    return f"{entry('threats', threat, ThreatKind).title}{of}"[:200]


def _from_source(ident: str, workspace: Workspace, system: System | None) -> Seen | None:
    """Return what a case's source says, None where it is kept elsewhere."""
    try:
        found = sources.find(workspace, [ident])
    except UsageError:
        return None
    if found.findings:
        return _of_finding(found.findings[0], workspace, system)
    if found.trials:
        return _of_trial(found.trials[0], system)
    if found.detections:
        one = found.detections[0]
        facts = known.of_detection(one, system)
        return Seen(None, facts, (Affected(name=one.model),), (one.id,), "")
    return None
