"""Vulnerabilities: weaknesses tracked from what was measured, scored, and their state moved on.

What is on record (a finding, a trial, a detection, a case) becomes a tracked weakness; the same one
again adds its proof to the one that is there.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from casemate.catalog.entries import ThreatKind
from casemate.catalog.loader import entry
from casemate.errors import UsageError
from casemate.records.make import make
from casemate.records.vulnerability import Affected, Facts, Vulnerability
from casemate.store.cases import CaseBook
from casemate.store.vulnerabilities import VulnerabilityBook
from casemate.vuln import facts as known
from casemate.vuln.scoring import scores
from casemate.vuln.tracking import moved, noted, same
from casemate.workflows import sources
from casemate.workflows.custody import action, named

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from casemate.records.finding import Finding
    from casemate.records.incident import Incident
    from casemate.records.system import System
    from casemate.records.trial import Trial
    from casemate.records.vulnerability import VulnerabilityState
    from casemate.store.workspace import Workspace
    from casemate.workflows.config import Loaded

_NOTHING = ("", "unknown", "none")
_YES = {"yes": True, "true": True, "no": False, "false": False}


class Added(NamedTuple):
    """A weakness, and whether it is tracked from now on or was before."""

    vulnerability: Vulnerability
    new: bool


class _Seen(NamedTuple):
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


def add(
    loaded: Loaded,
    workspace: Workspace,
    *,
    by: str,
    from_: str | None = None,
    threat: str | None = None,
    title: str | None = None,
    given: Mapping[str, str] | None = None,
    affected: Sequence[str] = (),
    refs: Sequence[str] = (),
    separate: bool = False,
) -> Added:
    """Track a weakness, from something on record or from what is said here.

    Args:
        loaded: The configuration, whose description of the system says what is at stake.
        workspace: Where it is kept.
        by: Who reports it.
        from_: Id of a finding, trial, detection, campaign or case; None for a report in words.
        threat: Catalog id of its type, where the record does not say or says it wrongly.
        title: One line; by default from the record.
        given: Facts by name, as `success=0.4`; they go before what the record says.
        affected: Names of models, files or packages, besides those of the record.
        refs: `cve:...`, `cwe:...`, `url:...`.
        separate: Track it on its own although the same one is known.

    Raises:
        UsageError: Nothing is called so, its type is not known, or a fact is none.
    """
    seen = _seen(loaded, workspace, from_)
    kind = entry("threats", threat, ThreatKind).id if threat else seen.threat
    if kind is None:
        raise UsageError(
            "nobody said which type of weakness it is", hint="--threat adversarial-perturbation"
        )
    facts = _with(seen.facts, given or {})
    things = (*seen.affected, *(Affected(name=name) for name in affected))
    if not things:
        raise UsageError("a weakness is one of something", hint="--affects NAME, or --from ID")
    now, who = datetime.now(UTC), named(by)
    asked: list[Vulnerability] = []

    def keep(ident: str, all_known: list[Vulnerability]) -> Vulnerability:
        fresh = make(
            Vulnerability,
            id=ident,
            title=title or seen.title or entry("threats", kind, ThreatKind).title,
            threat=kind,
            state="confirmed" if seen.sure else "reported",
            summary=seen.summary,
            opened=now,
            changed=now,
            reporter=who,
            facts=facts,
            scores=scores(kind, facts),
            affected=things,
            proof=seen.proof,
            refs=tuple(dict.fromkeys((*refs, *_refs(kind)))),
            remedy=seen.remedy,
        )
        old = None if separate else same(fresh, all_known)
        if old is not None:
            asked.append(old)
            return _joined(old, fresh, by=who, at=now)
        return noted(fresh, f"reported{f' from {from_}' if from_ else ''}", by=who, at=now)

    kept = VulnerabilityBook(workspace).open(now.year, keep)
    _tell_case(workspace, from_, kept, who)
    return Added(kept, not asked)


def listed(workspace: Workspace, *, state: str | None = None) -> list[Vulnerability]:
    """Return the weaknesses on record (in one state), the worst and newest first."""
    order = ("critical", "important", "moderate", "low")
    found = [one for one in VulnerabilityBook(workspace).all() if state in (None, one.state)]
    found.sort(key=lambda one: one.changed, reverse=True)
    return sorted(found, key=lambda one: order.index(one.scores[0].level) if one.scores else 9)


def score(
    workspace: Workspace, which: str, *, by: str, given: Mapping[str, str] | None = None
) -> Vulnerability:
    """Score a weakness again, with facts that have become known since.

    Raises:
        UsageError: There is none called so, or a fact is none.
    """
    book, who, now = VulnerabilityBook(workspace), named(by), datetime.now(UTC)

    def change(one: Vulnerability) -> Vulnerability:
        facts = _with(one.facts, given or {})
        changed = msgspec.structs.replace(one, facts=facts, scores=scores(one.threat, facts))
        if changed == one:
            return one
        told = ", ".join(f"{name}={value}" for name, value in (given or {}).items())
        return noted(changed, f"scored with {told or 'the same facts'}", by=who, at=now)

    return book.change(book.get(which).id, change)


def move(
    workspace: Workspace,
    which: str,
    state: VulnerabilityState,
    *,
    by: str,
    why: str,
    of: str | None = None,
    fixed: str | None = None,
) -> Vulnerability:
    """Put a weakness in another state.

    Args:
        workspace: Where it is kept.
        which: The weakness.
        state: The new state.
        by: Who says so.
        why: What it rests on.
        of: For a duplicate: the one it is a duplicate of.
        fixed: For a fixed one: the version or digest that has the repair.

    Raises:
        UsageError: There is none called so, or the state cannot follow.
    """
    book = VulnerabilityBook(workspace)
    other = book.get(of).id if of else None
    now, who = datetime.now(UTC), named(by)

    def change(one: Vulnerability) -> Vulnerability:
        found = moved(one, state, by=who, why=why, at=now, duplicate_of=other)
        if fixed is None:
            return found
        things = tuple(msgspec.structs.replace(it, fixed=fixed) for it in found.affected)
        return msgspec.structs.replace(found, affected=things)

    return book.change(book.get(which).id, change)


def _seen(loaded: Loaded, workspace: Workspace, from_: str | None) -> _Seen:
    system = loaded.config.system
    if from_ is None:
        return _Seen(None, Facts(), (), (), "")
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
        return _Seen(
            known.threat_of_detection(one),
            facts,
            (Affected(name=one.model),),
            tuple(it.id for it in found.detections),
            f"{one.rule} on {one.model}",
            one.message,
        )
    raise UsageError(
        f"an event alone shows no weakness: {from_}", hint=f"casemate case open --from {from_}"
    )


def _of_finding(finding: Finding, workspace: Workspace, system: System | None) -> _Seen:
    trial = None
    if finding.trial is not None:
        trial = next(iter(sources.find(workspace, [finding.trial]).trials), None)
    digests = (finding.target.digest,) if finding.target.digest else ()
    return _Seen(
        known.threat_of_finding(finding),
        known.of_finding(finding, trial, system),
        (Affected(name=finding.target.uri, digests=digests),),
        (finding.fingerprint, *((trial.id,) if trial else ())),
        f"{finding.rule} in {finding.target.uri}",
        finding.message,
        finding.remedy,
        sure=finding.confidence == "certain",
    )


def _of_trial(trial: Trial, system: System | None) -> _Seen:
    facts = known.of_trial(trial, system)
    digests = (trial.target.digest,) if trial.target.digest else ()
    return _Seen(
        known.threat_of_family(trial.family),
        facts,
        (Affected(name=trial.target.uri, digests=digests),),
        (trial.id,),
        f"{trial.attack} works on {trial.target.uri}",
        sure=bool(facts.success) and trial.state == "complete",
    )


def _of_incident(case: Incident, workspace: Workspace, system: System | None) -> _Seen:
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
    return _Seen(
        known.threat_of_incident(case),
        facts,
        tuple(models.values()),
        (case.id, *wanted),
        case.title,
        " ".join(case.triage.reasons[:3]) if case.triage else "",
        sure=sure,
    )


def _from_source(ident: str, workspace: Workspace, system: System | None) -> _Seen | None:
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
        return _Seen(None, facts, (Affected(name=one.model),), (one.id,), "")
    return None


def _joined(old: Vulnerability, fresh: Vulnerability, *, by: str, at: datetime) -> Vulnerability:
    """Return a known weakness with what was seen again: more proof, the worse of the facts."""
    facts = known.merged(old.facts, fresh.facts)
    names = {one.name for one in old.affected}
    things = (*old.affected, *(one for one in fresh.affected if one.name not in names))
    proof = tuple(dict.fromkeys((*old.proof, *fresh.proof)))
    again = old.state == "fixed" or (old.state == "reported" and fresh.state == "confirmed")
    changed = msgspec.structs.replace(
        old,
        state="confirmed" if again else old.state,
        facts=facts,
        scores=scores(old.threat, facts),
        affected=things,
        proof=proof,
        refs=tuple(dict.fromkeys((*old.refs, *fresh.refs))),
    )
    if changed == old:
        return old
    seen = ", ".join(fresh.proof) or "a report in words"
    came_back = "; it was fixed and is confirmed again" if old.state == "fixed" else ""
    return noted(changed, f"seen again: {seen}{came_back}", by=by, at=at)


def _tell_case(workspace: Workspace, from_: str | None, kept: Vulnerability, by: str) -> None:
    if from_ is None or not from_.startswith("case-"):
        return
    book = CaseBook(workspace)
    case = book.get(from_)
    if kept.id in case.vulnerabilities:
        return
    words = ", ".join(f"{one.scheme} {one.level}" for one in kept.scores)
    book.change(
        case.id,
        action(by, "scored", f"tracked as {kept.id}: {words}", records=(kept.id,)),
        lambda one: msgspec.structs.replace(
            one, vulnerabilities=tuple(dict.fromkeys((*one.vulnerabilities, kept.id)))
        ),
    )


def _refs(threat: str) -> tuple[str, ...]:
    row = entry("threats", threat, ThreatKind)
    return tuple(ref for ref in row.refs if ref.startswith(("atlas:", "cwe:")))


def _with(facts: Facts, given: Mapping[str, str]) -> Facts:
    """Return facts with those of a person put in, `unknown` taking one away."""
    body = msgspec.to_builtins(facts)
    for name, text in given.items():
        if name not in Facts.__struct_fields__:
            raise UsageError(
                f"there is no fact '{name}'", hint=f"known: {', '.join(Facts.__struct_fields__)}"
            )
        value = text.strip()
        if name in ("hurt", "assets"):
            parts = [part.strip() for part in value.split(",")]
            body[name] = [part for part in parts if part not in _NOTHING]
        elif name == "exploited":
            body[name] = value
        elif value in _NOTHING:
            body[name] = None
        elif name in ("success", "queries"):
            body[name] = _number(name, value)
        else:
            body[name] = _YES.get(value, value)
    return make(Facts, **body)


def _number(name: str, text: str) -> float:
    share = text.endswith("%")
    try:
        value = float(text.rstrip("%")) / (100 if share else 1)
    except ValueError:
        raise UsageError(f"{name}={text} is not a number") from None
    if not 0 <= value <= (1 if name == "success" else 1e15):
        raise UsageError(f"{name}={text} is out of range", hint="success is a share, 0 to 1")
    return value
