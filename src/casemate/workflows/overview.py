"""What the console's pages show, gathered from the workspace: now, the cases, a principal, a guard.

Reads only. Every answer is a record that goes out as JSON just as it stands.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

import msgspec

from casemate.records.detection import Detection
from casemate.records.severity import Confidence, Severity
from casemate.workflows.traffic import Gap

if TYPE_CHECKING:
    from collections.abc import Sequence

    from casemate.records.incident import Incident
    from casemate.records.order import Order, Scope
    from casemate.store.workspace import Workspace
    from casemate.workflows.traffic import Traffic

Tone = Literal["stop", "unsure", "pass"]
_DETECTIONS = 500
"""Newest detections that are looked through."""
_ALARMS = 20
_HOUR = 3600 * 1_000_000


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A case in a list."""

    id: str
    title: str
    state: str
    severity: Severity
    kind: str | None
    """Catalog id of what it is handled as, or of the likeliest guess."""
    kind_title: str
    confidence: Confidence | None
    owner: str | None
    opened: datetime
    models: tuple[str, ...]
    principals: tuple[str, ...]
    """Suspects, the most involved first, at most three."""
    next: str
    """What to do first."""


class Alarm(msgspec.Struct, frozen=True, kw_only=True):
    """What was detected, once for each campaign."""

    id: str
    rule: str
    title: str
    conclusion: str
    severity: Severity
    confidence: Confidence
    message: str
    model: str
    principals: tuple[str, ...]
    began: int
    ended: int
    made: int
    queries: int
    times: int
    """How often it was told of."""
    case: str | None
    """The case that was opened from it."""
    next_steps: tuple[str, ...]


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """A containment in force."""

    id: str
    action: str
    whom: str
    author: str
    reason: str
    at: datetime
    expires: datetime
    case: str | None
    obeyed: int
    """Living guards that carry it out."""
    ignored: tuple[str, ...]
    """Why others do not, one sentence each."""


class Watcher(msgspec.Struct, frozen=True, kw_only=True):
    """A guard."""

    writer: str
    mode: str
    upstream: str
    seen: int
    alive: bool


class Now(msgspec.Struct, frozen=True, kw_only=True):
    """What is happening now."""

    words: str
    tone: Tone
    reasons: tuple[str, ...]
    first: str
    """What to do first."""
    first_case: str | None
    """The case it is about."""
    first_alarm: str | None
    """The detection it is about, where there is no case yet."""
    cases: tuple[Row, ...]
    """Those that are not closed, the worst first."""
    alarms: tuple[Alarm, ...]
    orders: tuple[Held, ...]
    guards: tuple[Watcher, ...]
    newest: int | None
    """`at` of the newest event on record."""
    at: int


class Holding(msgspec.Struct, frozen=True, kw_only=True):
    """Does the guard hold?"""

    words: str
    tone: Tone
    reasons: tuple[str, ...]
    guards: tuple[Watcher, ...]
    orders: tuple[Held, ...]
    gaps: tuple[Gap, ...]
    newest: int | None
    at: int


def now(workspace: Workspace, traffic: Traffic | None) -> Now:
    """Return what is happening now.

    Args:
        workspace: The workspace.
        traffic: Its events; None where they cannot be read.
    """
    at = time.time_ns() // 1000
    everyone = incidents(workspace)
    open_ = sorted(
        (row(one) for one in everyone if one.state != "closed"),
        key=lambda one: (one.severity.rank, one.state == "contained", one.opened),
    )
    found = [one for one in alarms(workspace, everyone) if one.made > at - 24 * _HOUR]
    orders = held(workspace, everyone)
    guards = watchers(workspace, at)
    newest = traffic.newest() if traffic is not None else None
    loose = [one for one in found if one.case is None and one.conclusion != "drift"]
    reasons = list(_troubles(guards, newest, at))
    worst = open_[0] if open_ else None
    alarm = loose[0] if loose else None
    nobody = [one for one in open_ if one.owner is None]
    if worst is not None:
        uncontained = [one for one in open_ if one.state == "open"]
        tone: Tone = "stop" if uncontained else "unsure"
        words = _count(len(open_), "open case") if uncontained else "Contained, not closed"
        if nobody:
            reasons.insert(0, f"{_count(len(nobody), 'case')} without an owner.")
        if loose:
            reasons.append(f"{_count(len(loose), 'detection')} without a case.")
        first, case = worst.next, worst.id
    elif alarm is not None:
        tone, words = "stop", f"{_count(len(loose), 'detection')} and no case yet"
        first, case = "Open a case: it freezes the evidence and says what this is.", None
    elif reasons:
        tone, words, case = (
            "unsure",
            "Nothing is known to be wrong, but not everything is seen",
            None,
        )
        first = "See whether the guard holds."
    else:
        tone, words, case = "pass", "Nothing needs you", None
        reasons = ["No open case, no detection in the last 24 hours, and the guards are alive."]
        first = "Nothing. This page changes by itself when something happens."
    return Now(
        words=words, tone=tone, reasons=tuple(reasons), first=first, first_case=case,
        first_alarm=alarm.id if alarm is not None and case is None else None,
        cases=tuple(open_), alarms=tuple(found[:_ALARMS]), orders=orders, guards=guards,
        newest=newest, at=at,
    )  # fmt: skip


def holding(workspace: Workspace, traffic: Traffic | None) -> Holding:
    """Return whether the guards are there, obey, and left no hole in the record."""
    at = time.time_ns() // 1000
    guards = watchers(workspace, at)
    orders = held(workspace, incidents(workspace))
    newest = traffic.newest() if traffic is not None else None
    gaps = traffic.gaps() if traffic is not None else ()
    reasons = list(_troubles(guards, newest, at))
    alive = [one for one in guards if one.alive]
    observing = [one for one in alive if one.mode == "observe"]
    if orders and observing:
        reasons.append(
            f"{_count(len(observing), 'guard')} only observe: orders are recorded there and not "
            "carried out."
        )
    reasons += [f"Order {one.id}: {why}" for one in orders for why in one.ignored]
    recent = [one for one in gaps if (one.until or one.at) > at - 24 * _HOUR]
    if recent:
        lost = sum(one.lost for one in recent)
        reasons.append(
            f"{_count(len(recent), 'hole')} in the record of the last 24 hours"
            + (f", {lost:,} requests missing." if lost else "; how much is missing is not known.")
        )
    if not alive:
        tone: Tone = "stop" if guards or orders else "unsure"
        words = "No guard is alive"
    elif reasons:
        tone, words = "unsure", "The guard stands, with gaps"
    else:
        tone, words = "pass", "The guard holds"
        reasons = [f"{_count(len(alive), 'guard')} alive, every order obeyed, no hole in 24 hours."]
    return Holding(
        words=words, tone=tone, reasons=tuple(reasons), guards=guards, orders=orders, gaps=gaps,
        newest=newest, at=at,
    )  # fmt: skip


def incidents(workspace: Workspace) -> list[Incident]:
    """Return every case, oldest first."""
    from casemate.store.cases import CaseBook

    return CaseBook(workspace).all()


def row(incident: Incident) -> Row:
    """Return a case as it stands in a list."""
    triage = incident.triage
    guess = triage.guesses[0].threat if triage is not None and triage.guesses else None
    kind = incident.threat or guess
    return Row(
        id=incident.id,
        title=incident.title,
        state=incident.state,
        severity=incident.severity,
        kind=kind,
        kind_title=kind_title(kind),
        confidence=triage.confidence if triage is not None else None,
        owner=incident.owner,
        opened=incident.opened,
        models=triage.models if triage is not None else (),
        principals=tuple(one.principal for one in triage.suspects[:3]) if triage else (),
        next=next_step(incident),
    )


def next_step(incident: Incident) -> str:
    """Return what to do first about a case."""
    if incident.state == "closed":
        return "Nothing: it is closed."
    if incident.owner is None:
        return "Take it: nobody has it yet."
    if incident.state == "open":
        steps = incident.triage.next_steps if incident.triage is not None else ()
        return steps[0] if steps else "Find out who and what: look at the timeline, then contain."
    return "Go on with the playbook: find the cause, recover, verify."


def kind_title(kind: str | None) -> str:
    """Return what a type of incident is called."""
    from casemate.catalog.entries import ThreatKind
    from casemate.catalog.loader import entries

    if kind is None:
        return "Not known yet"
    found = entries("threats", ThreatKind).get(kind)
    return found.title if found is not None else kind.replace("-", " ").capitalize()


def alarms(workspace: Workspace, known: Sequence[Incident]) -> list[Alarm]:
    """Return what was detected lately, one of each campaign, the newest first; no exercises."""
    sources = {source: one.id for one in reversed(known) for source in one.sources}
    groups: dict[str, list[Detection]] = {}
    for one in workspace.newest(Detection, _DETECTIONS):
        if one.marked is None:
            groups.setdefault(one.campaign or one.id, []).append(one)
    made = []
    for campaign, group in groups.items():
        last = group[0]
        named = (campaign, *(one.id for one in group))
        case = next((sources[ident] for ident in named if ident in sources), None)
        made.append(
            Alarm(
                id=last.id, rule=last.rule, title=_rule_title(last.rule),
                conclusion=last.conclusion,
                severity=min((one.severity for one in group), key=lambda one: one.rank),
                confidence=last.confidence, message=last.message, model=last.model,
                principals=last.principals, began=min(one.began for one in group),
                ended=max(one.ended for one in group), made=last.made, queries=last.queries,
                times=len(group), case=case, next_steps=last.next_steps,
            )
        )  # fmt: skip
    return sorted(made, key=lambda one: -one.made)


def held(workspace: Workspace, known: Sequence[Incident]) -> tuple[Held, ...]:
    """Return the containments in force, and who obeys them."""
    from casemate.store.guards import GuardBook
    from casemate.store.orders import OrderBook

    moment = datetime.now(UTC)
    alive = GuardBook(workspace).alive(time.time_ns() // 1000)
    cases = {ident: one.id for one in known for ident in one.orders}
    return tuple(
        Held(
            id=one.id, action=one.action, whom=whom(one.scope), author=one.author,
            reason=one.reason, at=one.at, expires=one.expires, case=cases.get(one.id),
            obeyed=sum(one.id in guard.obeys and guard.mode == "enforce" for guard in alive),
            ignored=_ignored(one, alive),
        )
        for one in OrderBook(workspace).active(moment)
    )  # fmt: skip


def whom(scope: Scope) -> str:
    """Return in words whom an order reaches."""
    parts = [
        f"{name} {value}"
        for name, value in (
            ("principal", scope.principal),
            ("session", scope.session),
            ("cluster", scope.cluster),
            ("model", scope.model),
            ("route", scope.route),
        )
        if value is not None
    ]
    return ", ".join(parts) or "everybody"


def watchers(workspace: Workspace, at: int) -> tuple[Watcher, ...]:
    """Return the guards heard of lately, the latest first."""
    from casemate.store.guards import ALIVE, GuardBook

    return tuple(
        Watcher(
            writer=one.writer, mode=one.mode, upstream=one.upstream, seen=one.seen,
            alive=one.seen > at - ALIVE,
        )
        for one in GuardBook(workspace).all()
    )  # fmt: skip


def _ignored(order: Order, guards: Sequence[object]) -> tuple[str, ...]:
    from casemate.store.guards import Standing

    standing = [one for one in guards if isinstance(one, Standing)]
    if not standing:
        return ("no living guard says that it obeys.",)
    found = []
    for one in standing:
        if order.id in one.refuses:
            found.append(f"{one.writer} refuses it: {one.refuses[order.id]}.")
        elif order.id not in one.obeys:
            found.append(f"{one.writer} has not taken it up yet.")
        elif one.mode == "observe":
            found.append(f"{one.writer} only observes and records what it would do.")
    return tuple(found)


def _troubles(guards: Sequence[Watcher], newest: int | None, at: int) -> list[str]:
    """Return what keeps quiet from meaning that nothing happens."""
    found = []
    if not any(one.alive for one in guards):
        found.append(
            "No guard has said that it is alive: what happens now is not seen."
            if guards
            else "No guard stands before a model here: only imported events can be looked at."
        )
    if newest is None:
        found.append("There is no event on record.")
    elif newest < at - _HOUR and any(one.alive for one in guards):
        found.append("A guard is alive, but nothing was asked in the last hour.")
    return found


def _rule_title(rule: str) -> str:
    from casemate.catalog.entries import Detector
    from casemate.catalog.loader import entries

    found = entries("detections", Detector).get(rule)
    return found.title if found is not None else rule


def _count(n: int, one: str) -> str:
    return f"{n:,} {one}" if n == 1 else f"{n:,} {one}s"


def micros() -> int:
    """Return the present time in microseconds since the epoch."""
    return time.time_ns() // 1000


class Who(msgspec.Struct, frozen=True, kw_only=True):
    """What the workspace knows of a principal, besides their events."""

    name: str
    words: str
    tone: Tone
    cases: tuple[Row, ...]
    alarms: tuple[Alarm, ...]
    orders: tuple[Held, ...]


def who(workspace: Workspace, name: str) -> Who:
    """Return which cases, detections and orders name a principal."""
    tone: Tone
    everyone = incidents(workspace)
    named = [
        row(one)
        for one in everyone
        if one.triage is not None and any(it.principal == name for it in one.triage.suspects)
    ]
    seen = [one for one in alarms(workspace, everyone) if name in one.principals]
    orders = [one for one in held(workspace, everyone) if one.whom == f"principal {name}"]
    open_ = [one for one in named if one.state != "closed"]
    if open_:
        words, tone = f"Suspected in {_count(len(open_), 'open case')}", "stop"
    elif seen:
        words, tone = f"Named by {_count(len(seen), 'detection')}", "unsure"
    else:
        words, tone = "No case and no detection names them", "pass"
    return Who(
        name=name, words=words, tone=tone, cases=tuple(reversed(named)),
        alarms=tuple(seen), orders=tuple(orders),
    )  # fmt: skip


def mark(workspace: Workspace, traffic: Traffic | None) -> str:
    """Return something short that changes whenever a page would: cases, orders, alarms, events."""
    with workspace.reading() as database:
        parts = [
            database.execute(text).fetchone()[0] or 0
            for text in (
                "SELECT sum(version + 1) FROM cases",
                "SELECT count(*) FROM actions",
                "SELECT max(number) FROM orders",
                "SELECT max(number) FROM records",
                "SELECT sum(length(body)) FROM guards",
            )
        ]
    newest = traffic.newest() if traffic is not None else None
    return ".".join(map(str, (*parts, (newest or 0) // 10_000_000)))
