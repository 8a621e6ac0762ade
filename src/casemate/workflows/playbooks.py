"""Follow the playbook of a case: make its checks, take a person's answers, put both on record."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from casemate.case import playbook as following
from casemate.case.cacao import MOST_BYTES
from casemate.catalog import loader
from casemate.catalog.entries import Playbook
from casemate.errors import FormatError, UsageError
from casemate.records.incident import Step
from casemate.store.cases import CaseBook
from casemate.workflows import (
    checks,
    checks_events,
    checks_records,
    collecting,
    custody,
    triaging,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from casemate.case.playbook import Plan, PlanStep, Result
    from casemate.records.incident import Incident
    from casemate.store.workspace import Workspace
    from casemate.workflows.checks import Check
    from casemate.workflows.config import Loaded
    from casemate.workflows.rehearsing import Rehearsal

CHECKS: Mapping[str, Check] = {
    "answers-moved": checks_events.answers_moved,
    "attack-fails": checks_records.attack_fails,
    "attacked-since": checks_records.attacked_since,
    "bundle-verifies": checks.bundle_verifies,
    "clocks-answered": checks.clocks_answered,
    "contract-breaks": checks_events.contract_breaks,
    "custody-whole": checks.custody_whole,
    "evidence-copied": checks.evidence_copied,
    "evidence-frozen": checks.evidence_frozen,
    "facts-told": checks.facts_told,
    "gate-passes": checks_records.gate_passes,
    "guard-obeys": checks.guard_obeys,
    "labels-asked": checks_events.labels_asked,
    "lineage-recorded": checks_records.lineage_recorded,
    "model-replaced": checks_events.model_replaced,
    "not-affected": checks_records.not_affected,
    "order-in-force": checks.order_in_force,
    "orders-lifted": checks.orders_lifted,
    "others-served": checks_events.others_served,
    "owner-named": checks.owner_named,
    "papers-written": checks.papers_written,
    "payloads-kept": checks_events.payloads_kept,
    "radius-known": checks.radius_known,
    "record-whole": checks_records.record_whole,
    "scan-clean": checks_records.scan_clean,
    "scan-found": checks_records.scan_found,
    "service-health": checks_events.service_health,
    "stays-quiet": checks_records.stays_quiet,
    "suspect-profile": checks_events.suspect_profile,
    "suspects-known": checks.suspects_known,
    "suspects-stopped": checks_events.suspects_stopped,
    "triage-agrees": checks.triage_agrees,
    "vulnerability-scored": checks.vulnerability_scored,
}
"""Every check a playbook may name."""
_IMPORTED = "file:"
_FOLDER = "playbooks"


class Played(NamedTuple):
    """Where a playbook stands."""

    case: Incident
    plan: Plan
    steps: Mapping[str, Step]
    """By id of the step; those that are not in it are open."""
    next: PlanStep | None
    """The first that is neither done nor skipped."""
    ran: tuple[str, ...] = ()
    """Ids of the steps that were taken now, in order."""
    rehearsal: Rehearsal | None = None
    """For a dry run: what was simulated."""


def playbook(
    loaded: Loaded,
    workspace: Workspace,
    case: str,
    *,
    by: str,
    step: str | None = None,
    answer: str | None = None,
    skip: str | None = None,
    every: bool = False,
    dry_run: bool = False,
    import_file: Path | None = None,
    export: Path | None = None,
) -> Played:
    """Take a step of a case's playbook, or all that a machine can take, and put it on record.

    Args:
        loaded: The configuration.
        workspace: Where the case is kept.
        case: Its id.
        by: Who follows it.
        step: Id or number of a step; None for the next open one.
        answer: What a person found; for a step with a check, that it was done by hand.
        skip: Why the step is left out.
        every: Make every check that is not done yet.
        dry_run: Rehearse the playbook on a simulated incident of its own; the case stays as it is.
        import_file: Follow this CACAO 2.0 playbook from now on.
        export: Write the playbook there, with how far it got.

    Raises:
        UsageError: There is no such case or step, or an answer without words.
        FormatError: The file is no CACAO playbook.
    """
    book = CaseBook(workspace)
    incident = book.get(case)
    if import_file is not None:
        incident = _import(workspace, incident, import_file, by)
    elif incident.playbook is None and not dry_run:
        incident = _choose(workspace, incident, by)
    plan = plan_of(workspace, incident)
    if dry_run:
        from casemate.workflows import rehearsing

        made = rehearsing.rehearse(plan)
        return Played(incident, plan, made.steps, following.following(plan, made.steps), (), made)
    if answer is not None and skip is not None:
        raise UsageError("a step is answered or skipped, not both")
    asked = (answer, skip) != (None, None) or step is not None or every
    ran: tuple[str, ...] = ()
    if asked or (import_file is None and export is None):
        chosen = _chosen(plan, incident.steps, step, every=every)
        for one in chosen:
            incident = _take(loaded, workspace, incident, plan, one, answer, skip, by)
        ran = tuple(one.id for one in chosen)
    if export is not None:
        _write(export, following.export(plan, incident))
    steps = incident.steps
    return Played(incident, plan, steps, following.following(plan, steps), ran)


def look(workspace: Workspace, case: str) -> Played | None:
    """Return where a case's playbook stands, taking no step; None where it has none yet.

    Raises:
        UsageError: There is no such case.
    """
    incident = CaseBook(workspace).get(case)
    if incident.playbook is None:
        return None
    plan = plan_of(workspace, incident)
    return Played(incident, plan, incident.steps, following.following(plan, incident.steps))


def check(
    loaded: Loaded, workspace: Workspace, case: str, name: str, arguments: Mapping[str, str]
) -> Result:
    """Make one check of a case by its name; nothing goes on record.

    Raises:
        UsageError: There is no such check or case.
    """
    if name not in CHECKS:
        raise UsageError(f"there is no check '{name}'", hint=f"there are: {', '.join(CHECKS)}")
    return CHECKS[name](checks.scene(loaded, workspace, case), arguments)


def plan_of(workspace: Workspace, incident: Incident) -> Plan:
    """Return the plan a case follows; the one for cases nobody can name where it has none.

    Raises:
        UsageError: The imported playbook is gone.
    """
    ident = incident.playbook or "respond-unknown"
    if not ident.startswith(_IMPORTED):
        return following.load(loader.entry("playbooks", ident, Playbook))
    path = _file(workspace, incident.id, ident)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"the imported playbook of {incident.id} cannot be read: {error.strerror}",
            hint=f"casemate case playbook {incident.id} --import FILE",
        ) from error
    digest = hashlib.sha256(data).hexdigest()
    if not digest.startswith(ident.removeprefix(_IMPORTED)):
        raise UsageError(
            f"the imported playbook of {incident.id} was changed",
            hint=f"casemate case playbook {incident.id} --import FILE",
        )
    return following.parse(data, ident)


def _choose(workspace: Workspace, incident: Incident, by: str) -> Incident:
    said = incident.triage.assessment if incident.triage is not None else "cannot-tell"
    ident = triaging.playbook_for(incident.threat, said) or "respond-unknown"
    return CaseBook(workspace).change(
        incident.id,
        custody.action(by, "stepped", f"playbook {ident} is followed", details={"playbook": ident}),
        lambda one: msgspec.structs.replace(one, playbook=ident),
    )


def _import(workspace: Workspace, incident: Incident, path: Path, by: str) -> Incident:
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    digest = hashlib.sha256(data).hexdigest()
    ident = f"{_IMPORTED}{digest[:16]}"
    try:
        plan = following.parse(data, ident)
    except FormatError as error:
        raise UsageError(f"{path}: {error}", hint=error.hint) from error
    kept = _file(workspace, incident.id, ident)
    _write(kept, data)
    words = f"the imported playbook '{plan.title[:200]}' is followed, {len(plan.steps)} steps"
    if plan.notes:
        words += f"; {'; '.join(plan.notes[:3])}"
    return CaseBook(workspace).change(
        incident.id,
        custody.action(by, "stepped", words, records=(f"sha256:{digest}",)),
        lambda one: msgspec.structs.replace(one, playbook=ident, steps={}),
    )


def _chosen(
    plan: Plan, steps: Mapping[str, Step], step: str | None, *, every: bool
) -> list[PlanStep]:
    if step is not None:
        return [plan.step(step)]
    if every:
        return [
            one
            for one in plan.steps
            if one.check is not None and steps.get(one.id, Step()).state not in ("done", "skipped")
        ]
    found = following.following(plan, steps)
    return [] if found is None else [found]


def _take(
    loaded: Loaded,
    workspace: Workspace,
    incident: Incident,
    plan: Plan,
    one: PlanStep,
    answer: str | None,
    skip: str | None,
    by: str,
) -> Incident:
    now = datetime.now(UTC)
    if skip is not None:
        made = following.settle("skipped", skip, by=by, now=now)
    elif answer is not None:
        text = answer if one.check is None else f"by hand: {answer}"
        made = following.settle("done", text if answer.strip() else "", by=by, now=now)
    else:
        scene = checks.scene(loaded, workspace, incident.id, now=now)
        made = following.run_step(plan, one.id, scene, CHECKS, by=by, now=now)
    before = incident.steps.get(one.id)
    if before is not None and (before.state, before.answer) == (made.state, made.answer):
        return incident  # nothing new to put on record
    return CaseBook(workspace).change(
        incident.id,
        custody.action(
            by,
            "stepped",
            f"{one.id}: {made.state}: {made.answer}"[:2000],
            outcome="failed" if made.state == "failed" else "done",
            details={"playbook": plan.id, "step": one.id, "state": made.state},
        ),
        lambda case: msgspec.structs.replace(case, steps={**case.steps, one.id: made}),
    )


def _file(workspace: Workspace, case: str, ident: str) -> Path:
    name = f"{ident.removeprefix(_IMPORTED)}.json"
    return collecting.folder_of(workspace, case) / _FOLDER / name


def _write(path: Path, data: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.write_bytes(data)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from error
