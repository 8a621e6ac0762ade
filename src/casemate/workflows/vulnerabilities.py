"""Vulnerabilities: weaknesses tracked from what was measured, scored, and their state moved on.

What is on record (a finding, a trial, a detection, a case) becomes a tracked weakness; the same one
again adds its proof to the one that is there.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, NamedTuple

import msgspec

from casemate.catalog.entries import ThreatKind
from casemate.catalog.loader import entry
from casemate.errors import UsageError
from casemate.records.make import make
from casemate.records.vulnerability import Affected, Facts, Vulnerability
from casemate.store.cases import CaseBook
from casemate.store.vulnerabilities import VulnerabilityBook
from casemate.vuln import cvss3
from casemate.vuln import facts as known
from casemate.vuln.scoring import scores
from casemate.vuln.tracking import moved, noted, same
from casemate.workflows import callers
from casemate.workflows.affected import Answers, affected
from casemate.workflows.custody import action, named
from casemate.workflows.weaknesses import seen

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from casemate.export.csaf import Publisher
    from casemate.records.vulnerability import VulnerabilityState
    from casemate.store.workspace import Workspace
    from casemate.workflows.config import Loaded

__all__ = ["Added", "Answers", "add", "affected", "export", "listed", "move", "score"]
_NOTHING = ("", "unknown", "none")
_YES = {"yes": True, "true": True, "no": False, "false": False}


class Added(NamedTuple):
    """A weakness, and whether it is tracked from now on or was before."""

    vulnerability: Vulnerability
    new: bool


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
        from_: Id of a finding, trial, detection, campaign or case; `latest` for the newest case;
            None for a report in words.
        threat: Catalog id of its type, where the record does not say or says it wrongly.
        title: One line; by default from the record.
        given: Facts by name, as `success=0.4`; they go before what the record says.
        affected: Names of models, files or packages, besides those of the record.
        refs: `cve:...`, `cwe:...`, `url:...`.
        separate: Track it on its own although the same one is known.

    Raises:
        UsageError: Nothing is called so, its type is not known, or a fact is none.
    """
    if from_ == "latest" and CaseBook(workspace).all():
        from_ = CaseBook(workspace).get("latest").id
    told = seen(loaded, workspace, from_)
    kind = entry("threats", threat, ThreatKind).id if threat else told.threat
    if kind is None:
        raise UsageError(
            "nobody said which type of weakness it is", hint="--threat adversarial-perturbation"
        )
    facts = _with(told.facts, given or {})
    things = (*told.affected, *(Affected(name=name) for name in affected))
    if not things:
        raise UsageError("a weakness is one of something", hint="--affects NAME, or --from ID")
    now, who = datetime.now(UTC), named(by)
    asked: list[Vulnerability] = []

    def keep(ident: str, all_known: list[Vulnerability]) -> Vulnerability:
        fresh = make(
            Vulnerability,
            id=ident,
            title=title or told.title or entry("threats", kind, ThreatKind).title,
            threat=kind,
            state="confirmed" if told.sure else "reported",
            summary=told.summary,
            opened=now,
            changed=now,
            reporter=who,
            facts=facts,
            scores=scores(kind, facts),
            affected=things,
            proof=told.proof,
            refs=tuple(dict.fromkeys((*refs, *_refs(kind)))),
            remedy=told.remedy,
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


def export(
    workspace: Workspace,
    which: str,
    form: Literal["csaf", "osv", "stix", "avid", "ocsf"],
    *,
    publisher: Publisher | None = None,
    principals: bool = True,
) -> bytes:
    """Write a weakness, or a case with its weaknesses, in a form that others read.

    Args:
        workspace: Where it is kept.
        which: A weakness (`cmv-...`) or a case (`case-...`).
        form: `stix` takes both, `ocsf` a case, the others a weakness.
        publisher: Who says so.
        principals: Whether STIX and OCSF name who took part; the others never do.

    Raises:
        UsageError: There is none called so, or the form is not for it.
    """
    from casemate.export import avid, csaf, ocsf_incident, osv, stix
    from casemate.export import callers as hiding

    who = publisher or csaf.Publisher()
    book = VulnerabilityBook(workspace)
    if which.startswith("case-"):
        incident = CaseBook(workspace).get(which)
        weaknesses = [book.get(one) for one in incident.vulnerabilities] if form == "stix" else []
        if not principals:
            names = callers.of_case(workspace, incident)
            known = [name for one in weaknesses for name in callers.of_weakness(workspace, one)]
            names = tuple(dict.fromkeys((*names, *known)))
            incident = hiding.incident_without(incident, names)
            weaknesses = [hiding.weakness_without(one, names) for one in weaknesses]
        if form == "ocsf":
            return ocsf_incident.incident_line(incident, principals=principals) + b"\n"
        if form == "stix":
            return stix.write(incident, weaknesses, publisher=who.name, principals=principals)
        raise UsageError(f"{form} is for a weakness, not for a case", hint="--to stix, --to ocsf")
    record = book.get(which)
    if form != "stix" or not principals:
        record = callers.weakness_without(workspace, record)
    match form:
        case "csaf":
            return csaf.write(record, who, cvss3.scores)
        case "osv":
            return osv.write(record)
        case "avid":
            return avid.write(record)
        case "stix":
            return stix.write(None, [record], publisher=who.name, principals=principals)
        case "ocsf":
            raise UsageError(f"ocsf is for a case, and {record.id} is none", hint="case-...")


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
