"""A case from its opening to its closing: what `casemate case` and the console do.

Every function puts what was done on the case's custody log; what two people do at once is done
once, and the log says who came second.
"""

from __future__ import annotations

import contextlib
import difflib
import re
import subprocess
import sys
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, NamedTuple

import msgspec

from casemate.case import evidence
from casemate.catalog import loader
from casemate.catalog.entries import Deadline, ThreatKind
from casemate.errors import StoreError, UsageError
from casemate.records.incident import Incident
from casemate.records.make import make
from casemate.records.severity import Severity
from casemate.store.cases import CaseBook
from casemate.store.orders import OrderBook
from casemate.workflows import collecting, custody, sources, triaging

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from casemate.case.clocks import Clock
    from casemate.case.evidence import Item
    from casemate.records.incident import Action
    from casemate.records.order import Order
    from casemate.store.workspace import Workspace
    from casemate.workflows.config import Loaded
    from casemate.workflows.sources import Sources

    Fact = str | int | float | bool

_FACT = re.compile(r"[a-z][a-z0-9_]{0,59}")
_LONGEST = 4000


class Held(NamedTuple):
    """A containment of a case."""

    order: Order
    state: Literal["in force", "expired", "undone"]


class View(NamedTuple):
    """A case with all that is known of it."""

    incident: Incident
    actions: tuple[Action, ...]
    faults: tuple[str, ...]
    """What is wrong with its custody log."""
    clocks: tuple[Clock, ...]
    next_steps: tuple[str, ...]
    """At most three, the first one first; commands where there is one."""
    items: tuple[Item, ...]
    orders: tuple[Held, ...]
    folder: Path


def open_case(
    loaded: Loaded,
    workspace: Workspace,
    wanted: Sequence[str],
    *,
    by: str,
    title: str | None = None,
    place: str | None = None,
    since: int | None = None,
    until: int | None = None,
    model: str | None = None,
    threat: str | None = None,
    aware: datetime | None = None,
    copy: Literal["background", "now", "later"] = "background",
    progress: Callable[[str, int, int], None] | None = None,
) -> Incident:
    """Open a case: freeze the evidence, make the first triage report, begin to copy the bulk.

    Args:
        loaded: The configuration.
        workspace: Where the case is kept.
        wanted: Ids of detections, campaigns, findings, trials or events; none for whatever the
            events since `since` hold.
        by: Who opens it.
        title: None for one made of the triage.
        place: Folder of the telemetry, where it is not the workspace's own.
        since: Microseconds since the epoch: where to look first.
        until: Likewise, the end.
        model: One model alone.
        threat: Catalog id in `threats/` the case is handled as; None for what the triage says.
        aware: When the organisation learned of it; None for when it was first detected.
        copy: When files and events are copied.
        progress: Called with (what, done, total).

    Raises:
        UsageError: An id names nothing, or there is nothing to open a case from.
        StoreError: The case cannot be kept.
    """
    if not wanted and since is None:
        raise UsageError(
            "there is nothing to open a case from",
            hint="--from DETECTION (casemate detect lists them), or --since 24h",
        )
    if threat is not None:
        loader.entry("threats", threat, ThreatKind)
    named = sources.find(workspace, wanted)
    with contextlib.suppress(StoreError):  # what cannot be read now is said by the triage
        query = collecting.query_at(place or collecting.telemetry_of(workspace, loaded))
        if query is not None:
            sources.refuse_unknown(query, named.events)
    now = datetime.now(UTC)
    first = min((one.made for one in named.detections), default=None)
    learned = aware or (custody.moment(first) if first is not None else now)

    def begin(ident: str) -> tuple[Incident, Action]:
        incident = make(
            Incident,
            id=ident,
            title=title or triaging.UNTITLED,
            severity=_severity(named),
            threat=threat,
            opened=now,
            opened_by=custody.named(by),
            aware=min(learned, now),
            owner=custody.named(by),
            sources=named.ids,
            telemetry=place,
        )
        text = f"opened from {', '.join(named.ids[:4])}" if named.ids else "opened"
        return incident, custody.action(by, "opened", text, case=ident, records=named.ids[:64])

    case = CaseBook(workspace).open(now.year, begin)
    case = collecting.freeze(loaded, workspace, case, by=by, sources=named)
    case = triaging.triage(
        loaded, workspace, case, by=by, title=title, since=since, until=until, model=model,
        progress=progress,
    )  # fmt: skip
    if copy == "now":
        collecting.collect(loaded, workspace, case, by=by, progress=progress)
        case = CaseBook(workspace).get(case.id)
    elif copy == "background":
        _collect_later(loaded, workspace, case)
    return case


def view(workspace: Workspace, which: str) -> View:
    """Return a case with its log, clocks, evidence and containments.

    Raises:
        UsageError: There is no such case.
    """
    from casemate.case.clocks import clocks

    book = CaseBook(workspace)
    case = book.get(which)
    log = book.log(case.id)
    now = datetime.now(UTC)
    deadlines = loader.entries("deadlines", Deadline)
    held = orders_of(workspace, case, now)
    folder = collecting.folder_of(workspace, case.id)
    items = tuple(evidence.read(folder))
    running = tuple(clocks(case, deadlines, now))
    steps = next_steps(case, log.actions, items, held, running)
    return View(case, log.actions, log.faults, running, steps, items, held, folder)


def orders_of(workspace: Workspace, case: Incident, now: datetime) -> tuple[Held, ...]:
    """Return the containments of a case, oldest first."""
    book = OrderBook(workspace)
    active = {one.id for one in book.active(now)}
    history = [order for _, order in book.history()]
    undone = {one.undoes for one in history if one.undoes}
    return tuple(
        Held(
            one,
            "in force" if one.id in active else "undone" if one.id in undone else "expired",
        )
        for one in history
        if one.id in case.orders
    )


def note(
    workspace: Workspace, case: str, text: str, *, by: str, version: int | None = None
) -> Incident:
    """Put a remark on a case's log.

    Raises:
        UsageError: It is empty or too long, or there is no such case.
    """
    words = text.strip()
    if not words or len(words) > _LONGEST:
        raise UsageError(f"a note has 1 to {_LONGEST:,} characters")
    book = CaseBook(workspace)
    return book.change(book.get(case).id, custody.action(by, "noted", words), version=version)


def assign(
    workspace: Workspace, case: str, owner: str, *, by: str, version: int | None = None
) -> Incident:
    """Give a case to somebody.

    Raises:
        UsageError: There is no such case, or somebody else has changed it since `version`.
    """
    book = CaseBook(workspace)
    whom = custody.named(owner)
    found = book.get(case)
    return book.change(
        found.id,
        custody.action(by, "assigned", f"given to {whom}", details={"owner": whom}),
        lambda one: msgspec.structs.replace(one, owner=whom),
        version=found.version if version is None else version,
    )


def tell(workspace: Workspace, case: str, facts: Mapping[str, Fact], *, by: str) -> Incident:
    """Keep what people know that no record shows: papers and clocks ask for it.

    Raises:
        UsageError: A name is not of small letters, digits and underscores, is nearly one that a
            clock asks for, or is answered with yes or no and was not.
    """
    _refuse_slips(facts)
    book = CaseBook(workspace)
    words = ", ".join(f"{name} = {value}" for name, value in facts.items())
    return book.change(
        book.get(case).id,
        custody.action(by, "noted", words, details=dict(facts)),
        lambda one: msgspec.structs.replace(one, facts={**one.facts, **facts}),
    )


def retype(workspace: Workspace, case: str, threat: str, *, by: str) -> Incident:
    """Handle a case as another type of attack: it gets the playbook of that type.

    Raises:
        UsageError: There is no such type or case.
    """
    entry = loader.entry("threats", threat, ThreatKind)
    book = CaseBook(workspace)
    return book.change(
        book.get(case).id,
        custody.action(by, "triaged", f"handled as {entry.title}", details={"threat": threat}),
        lambda one: msgspec.structs.replace(
            one, threat=threat, playbook=triaging.playbook_for(threat, "attack"), steps={}
        ),
    )


def close(
    workspace: Workspace, case: str, why: str, *, by: str, version: int | None = None
) -> Incident:
    """Close a case; the log keeps what was still open.

    Raises:
        UsageError: No reason is given, it is closed already, or it was changed since `version`.
    """
    from casemate.workflows import playbooks

    seen = view(workspace, case)
    if seen.incident.state == "closed":
        raise UsageError(f"{seen.incident.id} is closed already", hint="casemate case reopen")
    if not why.strip():
        raise UsageError("a case is closed with a reason", hint='--why "..."')
    held = [one.order.id for one in seen.orders if one.state == "in force"]
    played = playbooks.look(workspace, seen.incident.id)
    left = [
        one.title
        for one in (played.plan.steps if played is not None else ())
        if one.id not in seen.incident.steps
        or seen.incident.steps[one.id].state not in ("done", "skipped")
    ]
    text = why.strip()
    if held:
        text += f"; still in force until they expire: {', '.join(held)}"
    if left:
        some = ", ".join(left[:3]) + (" ..." if len(left) > 3 else "")
        text += f"; {len(left)} steps of the playbook were not done: {some}"
    now = datetime.now(UTC)
    return CaseBook(workspace).change(
        seen.incident.id,
        custody.action(by, "closed", text, details={"orders": len(held), "steps": len(left)}),
        lambda one: msgspec.structs.replace(one, state="closed", closed=now, closing=why.strip()),
        version=seen.incident.version if version is None else version,
    )


def reopen(workspace: Workspace, case: str, why: str, *, by: str) -> Incident:
    """Open a closed case again.

    Raises:
        UsageError: It is not closed.
    """
    book = CaseBook(workspace)
    found = book.get(case)
    if found.state != "closed":
        raise UsageError(f"{found.id} is not closed")
    return book.change(
        found.id,
        custody.action(by, "reopened", why.strip() or "reopened"),
        lambda one: msgspec.structs.replace(one, state="open", closed=None, closing=None),
        version=found.version,
    )


def next_steps(
    case: Incident,
    actions: Sequence[Action],
    items: Sequence[Item],
    orders: Sequence[Held],
    clocks: Sequence[Clock],
) -> tuple[str, ...]:
    """Return what to do next, at most three, the first one first."""
    done = {one.kind for one in actions if one.outcome == "done"}
    attack = _is_attack(case)
    steps: list[str] = []
    if case.state == "closed":
        if "bundled" not in done:
            steps.append(f"casemate case bundle {case.id}: pack the evidence")
        return tuple(steps)
    if "frozen" not in done:
        steps.append("evidence could not be frozen: see the log, then casemate case collect")
    if attack and not any(one.state == "in force" for one in orders):
        steps.append(f"casemate case contain {case.id} --action throttle --for 4h --dry-run")
    if "scoped" not in done and attack:
        steps.append(f"casemate case radius {case.id}: who and what it reaches")
    steps += [
        f"{one.law}: {one.due:%Y-%m-%d %H:%M} UTC at the latest"
        for one in clocks
        if one.state == "running" and one.due is not None
    ]
    if case.playbook is not None:
        steps.append(f"casemate case playbook {case.id}: {case.playbook}")
    if any(one.state == "frozen" for one in items):
        steps.append(f"casemate case collect {case.id}: copy what was only frozen")
    if attack and "scored" not in done:
        steps.append(f"casemate vuln add --from {case.id}: keep track of the weakness")
    steps.append(f'casemate case close {case.id} --why "..."')
    return tuple(steps[:3])


def _refuse_slips(facts: Mapping[str, Fact]) -> None:
    """Raise for what was likely meant otherwise: a slip would leave a clock of the law open."""
    from casemate.case.clocks import told

    known: dict[str, bool | str] = {}
    for one in loader.entries("deadlines", Deadline).values():
        known |= {**dict.fromkeys(one.asks, ""), told(one.id): "", **one.applies_when}
    for name, value in facts.items():
        if not _FACT.fullmatch(name):
            raise UsageError(f"'{name}' is no name of a fact", hint="people_affected=120")
        near = difflib.get_close_matches(name, known, 1, 0.8)
        if near and near[0] != name:
            raise UsageError(
                f"no clock asks for '{name}'",
                hint=f"did you mean '{near[0]}'? casemate case note keeps what nothing asks for",
            )
        if isinstance(known.get(name), bool) and not isinstance(value, bool):
            raise UsageError(f"{name} is answered with yes or no", hint=f"{name}=yes")


def _is_attack(case: Incident) -> bool:
    found = case.triage
    if found is None or found.assessment not in ("attack", "probe"):
        return False
    return found.assessment == "attack" or case.threat is not None


def _severity(named: Sources) -> Severity:
    found = [one.severity for one in named.detections]
    found += [one.severity for one in named.findings]
    return min(found, key=lambda one: one.rank, default=Severity.MODERATE)


def _collect_later(loaded: Loaded, workspace: Workspace, case: Incident) -> None:
    words = [sys.executable, "-m", "casemate", "case", "collect", case.id, "--quiet"]
    words += ["--store", str(workspace.folder.resolve())]
    if loaded.path is not None:
        words += ["--config", str(loaded.path.resolve())]
    log = collecting.folder_of(workspace, case.id) / "collect.log"
    with log.open("ab") as out:
        made = subprocess.Popen(  # noqa: S603 - our own program
            words, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
        )
    # It outlives us where we end first; where we do not, somebody must take its exit code.
    threading.Thread(target=made.wait, name="casemate-collect", daemon=True).start()
