"""Containment: orders that guards obey, and what an operator must do where no guard stands.

Each is previewed over the last day's events before it is given, expires by itself and can be
undone. Evidence is frozen before; where it could not be, only an emergency goes ahead, on record.
"""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import msgspec

from casemate.errors import CasemateError, StoreError, UsageError
from casemate.records.duration import seconds
from casemate.records.make import make, new_id
from casemate.records.order import Order, Scope
from casemate.store.cases import CaseBook
from casemate.store.guards import GuardBook
from casemate.store.orders import OrderBook, insert
from casemate.workflows import collecting, custody

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Mapping, Sequence

    from casemate.records.incident import Incident
    from casemate.records.order import OrderAction
    from casemate.store.guards import Standing
    from casemate.store.workspace import Workspace
    from casemate.workflows.config import Loaded

Setting = str | int | float | bool
Reach = Literal["suspects", "model", "everybody"]

ACTIONS: Mapping[str, tuple[OrderAction, Mapping[str, Setting]]] = {
    "coarsen": ("coarsen", {"decimals": 1}),
    "throttle": ("rate", {"per_minute": 6.0}),
    "last-good": ("route", {}),
    "block": ("block", {}),
    "review": ("review", {"hold": True}),
}
"""What a responder says, the order that does it, and its settings unless others are given."""
_DAY = 86_400_000_000
_MOST_SUSPECTS = 50
OBEYED = 30.0
"""Seconds in which every guard obeys."""


class Past(NamedTuple):
    """What the last day's events say the orders would have reached."""

    requests: int
    principals: int
    others: int
    """Principals among them whom the triage does not name."""
    model_requests: int
    """All requests to the same models, for comparison."""


class Preview(NamedTuple):
    """What a containment would do."""

    orders: tuple[Order, ...]
    changes: tuple[str, ...]
    """What an operator must do where no guard can, in words and commands."""
    past: Past | None
    """None where there are no events."""
    guards: tuple[Standing, ...]
    """Guards that are alive and would obey, or only observe."""
    warnings: tuple[str, ...]


class Contained(NamedTuple):
    """What a containment did."""

    incident: Incident
    preview: Preview
    obeyed: tuple[str, ...]
    """Writers of the guards that said they obey all of it, within the time waited."""
    waiting: tuple[str, ...]
    """Those that did not, or not yet."""


def preview(
    loaded: Loaded,
    workspace: Workspace,
    case: str,
    action: str,
    *,
    by: str,
    for_: str = "4h",
    reach: Reach = "suspects",
    principals: Sequence[str] = (),
    settings: Mapping[str, Setting] | None = None,
    approver: str | None = None,
) -> Preview:
    """Return what a containment would do, without doing it.

    Args:
        loaded: The configuration.
        workspace: Where the case is kept.
        case: Its id.
        action: One of `ACTIONS`.
        by: Who would give it.
        for_: How long it holds: `30m`, `4h`, `2d`.
        reach: Whom it reaches: those the triage suspects, all callers of its models, everybody.
        principals: Instead of the suspects.
        settings: Instead of the action's own: `per_minute=2`, `upstream=http://...`.
        approver: Who allowed it, where a guard asks for one.

    Raises:
        UsageError: The action or the duration is unknown, or there is nobody it could reach.
    """
    found = CaseBook(workspace).get(case)
    if action not in ACTIONS:
        raise UsageError(f"there is no containment '{action}'", hint=", ".join(ACTIONS))
    if found.state == "closed":
        raise UsageError(f"{found.id} is closed", hint=f"casemate case reopen {found.id}")
    warnings: list[str] = []
    name, own = ACTIONS[action]
    told = {**own, **(settings or {})}
    if action == "last-good" and not told.get("upstream"):
        told["upstream"] = loaded.config.guard.last_good or ""
    changes: list[str] = []
    orders: list[Order] = []
    if action == "last-good" and not told["upstream"]:
        changes.append(
            "no guard knows where the last good version answers: set [guard] last_good, or give "
            "upstream=URL; a registry's alias is set back with --mlflow URL"
        )
    else:
        at = datetime.now(UTC)
        orders += [
            make(
                Order,
                id=new_id("ord"),
                at=at,
                expires=at + timedelta(seconds=seconds(for_)),
                action=name,
                scope=scope,
                author=custody.named(by),
                reason=f"{found.id}: {found.title}"[:500],
                settings=told,
                approver=approver,
                detection=next((one for one in found.sources if one.startswith("det-")), None),
            )
            for scope in _scopes(found, reach, principals, warnings)
        ]
        _refuse_misunderstood(orders)
    guards = tuple(GuardBook(workspace).alive(time.time_ns() // 1000))
    warnings += _doubts(guards, orders, loaded)
    if orders and not any(one.mode == "enforce" for one in guards):
        changes += _by_hand(found, action, orders)
    past = _past(loaded, workspace, found, [one.scope for one in orders])
    if past is not None and past.others:
        warnings.append(
            f"{past.others} principals whom the triage does not name would be touched too"
        )
    return Preview(tuple(orders), tuple(changes), past, guards, tuple(warnings))


def contain(
    loaded: Loaded,
    workspace: Workspace,
    case: str,
    action: str,
    *,
    by: str,
    for_: str = "4h",
    reach: Reach = "suspects",
    principals: Sequence[str] = (),
    settings: Mapping[str, Setting] | None = None,
    approver: str | None = None,
    emergency: bool = False,
    version: int | None = None,
    wait: float = OBEYED,
    progress: Callable[[str, int, int], None] | None = None,
) -> Contained:
    """Give the orders of a containment and see that the guards obey them.

    Args:
        loaded: The configuration.
        workspace: Where the case is kept.
        case: Its id.
        action: One of `ACTIONS`.
        by: Who gives it.
        for_: How long it holds.
        reach: Whom it reaches.
        principals: Instead of the suspects.
        settings: Instead of the action's own.
        approver: Who allowed it, where a guard asks for one.
        emergency: Go ahead though evidence is not frozen; the log says so.
        version: Of the case as it was looked at; None when it does not matter.
        wait: Seconds to wait for the guards to say that they obey.
        progress: Called with (what, done, total).

    Raises:
        UsageError: As `preview`; or evidence is not frozen and this is no emergency.
    """
    cases = CaseBook(workspace)
    found = cases.get(case)
    seen = preview(
        loaded, workspace, found.id, action, by=by, for_=for_, reach=reach,
        principals=principals, settings=settings, approver=approver,
    )  # fmt: skip
    frozen = any(
        one.kind == "frozen" and one.outcome == "done" for one in cases.log(found.id).actions
    )
    if not frozen and not emergency:
        raise UsageError(
            f"the evidence of {found.id} is not frozen, and a containment changes the system",
            hint=f"casemate case collect {found.id}, or --emergency, which goes on record",
        )
    ids = tuple(one.id for one in seen.orders)
    words = f"{action} for {for_}: {_whom(seen.orders)}" if ids else f"{action}: by hand"
    if emergency and not frozen:
        words += "; as an emergency, before the evidence was frozen"
    # Of two responders at once one wins; the case, its log and the orders are changed as one.
    made = cases.change(
        found.id,
        custody.action(
            by, "contained", words, records=ids, outcome="done" if ids else "planned",
            details={"action": action, "for": for_, "emergency": emergency and not frozen},
        ),
        lambda one: msgspec.structs.replace(
            one, state="contained" if ids else one.state, orders=(*one.orders, *ids)
        ),
        version=found.version if version is None else version,
        also=lambda database: _put(database, seen.orders),
    )  # fmt: skip
    _send(loaded, workspace, seen.orders)
    obeyed, waiting = _watch(workspace, ids, wait, progress)
    return Contained(made, seen, obeyed, waiting)


def undo(
    loaded: Loaded,
    workspace: Workspace,
    case: str,
    order: str | None,
    *,
    by: str,
    why: str,
    wait: float = OBEYED,
) -> Contained:
    """End a containment of a case at once, or all of them.

    Args:
        loaded: The configuration.
        workspace: Where the case is kept.
        case: Its id.
        order: Id of the order, or its beginning; None for all that are in force.
        by: Who ends it.
        why: The reason.
        wait: Seconds to wait for the guards.

    Raises:
        UsageError: Nothing of the case is in force, or no order of it is called so.
    """
    cases = CaseBook(workspace)
    found = cases.get(case)
    book = OrderBook(workspace)
    now = datetime.now(UTC)
    active = [one for one in book.active(now) if one.id in found.orders]
    if order is not None:
        start = order if order.startswith("ord-") else f"ord-{order}"
        active = [one for one in active if one.id.startswith(start)]
    if not active:
        raise UsageError(
            f"no containment of {found.id} is in force" if order is None
            else f"no containment of {found.id} in force is called '{order}'",
            hint=f"casemate case show {found.id}",
        )  # fmt: skip
    if not why.strip():
        raise UsageError("a containment is undone with a reason", hint='--why "..."')
    given = tuple(
        book.ending(one.id, author=custody.named(by), reason=why, now=now) for one in active
    )
    ended = {one.id for one in active}
    left = [one for one in book.active(now) if one.id in found.orders and one.id not in ended]
    made = cases.change(
        found.id,
        custody.action(
            by, "undone", f"{_whom(active)}: {why.strip()}",
            records=tuple(one.id for one in (*active, *given)),
        ),
        lambda one: msgspec.structs.replace(
            one, state="open" if not left and one.state == "contained" else one.state
        ),
        also=lambda database: _put(database, given),
    )  # fmt: skip
    _send(loaded, workspace, given)
    obeyed, waiting = _watch(workspace, (), wait, None, without=tuple(one.id for one in active))
    seen = Preview(given, (), None, tuple(GuardBook(workspace).alive(_now())), ())
    return Contained(made, seen, obeyed, waiting)


def _put(database: sqlite3.Connection, orders: Sequence[Order]) -> None:
    for one in orders:
        insert(database, one)


def _refuse_misunderstood(orders: Sequence[Order]) -> None:
    """Raise when no guard would understand an order."""
    from casemate.guard.keys import Keys
    from casemate.guard.orders import Orders

    reader = Orders((), Keys(os.urandom(32)))  # which key it is does not matter here
    reader.obey(orders)
    for why in reader.misunderstood.values():
        raise UsageError(
            why, hint="casemate case contain --help; --set NAME=VALUE, --approver NAME"
        )


def _scopes(
    case: Incident, reach: Reach, principals: Sequence[str], warnings: list[str]
) -> list[Scope]:
    models = case.triage.models if case.triage is not None else ()
    if reach == "everybody":
        return [Scope()]
    if reach == "model":
        if not models:
            raise UsageError(f"{case.id} names no model", hint="--reach everybody")
        return [Scope(model=one) for one in models]
    names = list(principals)
    if not names and case.triage is not None:
        names = [one.principal for one in case.triage.suspects if one.principal]
    if not names:
        raise UsageError(
            f"{case.id} names nobody to contain",
            hint="--principal NAME, --reach model or --reach everybody",
        )
    if len(names) > _MOST_SUSPECTS:
        warnings.append(
            f"{len(names)} principals are suspected; the {_MOST_SUSPECTS} most involved are "
            "contained: --reach model reaches all"
        )
    return [Scope(principal=name) for name in names[:_MOST_SUSPECTS]]


def _doubts(guards: Sequence[Standing], orders: Sequence[Order], loaded: Loaded) -> tuple[str, ...]:
    if not orders:
        return ()
    found = []
    if not guards:
        found.append(
            "no guard of this workspace is alive: nothing obeys these orders"
            + (" but guards on the stream, which cannot be seen from here"
               if loaded.config.guard.stream else "")
        )  # fmt: skip
    found += [
        f"guard {one.writer} before {one.upstream} only observes: it records what it would do; "
        "start it with --enforce"
        for one in guards
        if one.mode == "observe"
    ]
    return tuple(found)


def _by_hand(case: Incident, action: str, orders: Sequence[Order]) -> list[str]:
    who = _whom(orders)
    words = {
        "coarsen": "round scores to one decimal before they are served",
        "throttle": "limit the rate",
        "last-good": "send requests to the last good version",
        "block": "refuse requests",
        "review": "hold decisions for a person",
    }[action]
    patch = f"casemate case contain {case.id} --action {action} --patch FILE"
    return [
        f"no enforcing guard is in the path; {words}: {who}",
        f"{patch} writes the exact change of a KServe, Envoy or nginx configuration",
    ]


def _past(
    loaded: Loaded, workspace: Workspace, case: Incident, scopes: Sequence[Scope]
) -> Past | None:
    try:
        query = collecting.query_of(workspace, case, loaded)
    except StoreError:
        return None  # a containment does not wait for the record to be mended
    if query is None or not scopes:
        return None
    since = _now() - _DAY
    if case.triage is not None and case.triage.ended is not None:
        since = min(since, case.triage.ended - _DAY)
    named = {one.principal for one in case.triage.suspects} if case.triage is not None else set()
    where: list[str] = []
    values: list[Any] = []
    for scope in scopes:
        terms = [("principal", scope.principal), ("model", scope.model)]
        given = [(name, value) for name, value in terms if value is not None]
        where.append(" AND ".join(f"{name} = ?" for name, _ in given) or "true")
        values += [value for _, value in given]
    reached = " OR ".join(f"({one})" for one in where)
    text = (
        "SELECT principal, count(*) FROM events "  # noqa: S608 - the names are ours, values bound
        f"WHERE \"at\" >= ? AND kind = 'inference' AND ({reached}) GROUP BY principal"
    )
    try:
        rows = query.sql(text, (since, *values))[1]
        (total,) = query.sql(
            "SELECT count(*) FROM events WHERE \"at\" >= ? AND kind = 'inference'", (since,)
        )[1][0]
    except CasemateError:
        return None
    others = sum(name not in named for name, _ in rows)
    return Past(sum(int(count) for _, count in rows), len(rows), others, int(total))


def _watch(
    workspace: Workspace,
    ids: Sequence[str],
    wait: float,
    progress: Callable[[str, int, int], None] | None,
    *,
    without: Sequence[str] = (),
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Wait until every living guard says that it obeys `ids` and nothing of `without`."""
    end = time.monotonic() + wait
    while True:
        alive = GuardBook(workspace).alive(_now())
        good = [
            one.writer
            for one in alive
            if set(ids) <= set(one.obeys) and not set(without) & set(one.obeys)
        ]
        waiting = [one.writer for one in alive if one.writer not in good]
        if progress is not None:
            progress("contain: guards that obey", len(good), max(1, len(alive)))
        if not waiting or time.monotonic() >= end:
            return tuple(good), tuple(waiting)
        time.sleep(0.1)


def _send(loaded: Loaded, workspace: Workspace, orders: Sequence[Order]) -> None:
    """Send orders over the stream to guards of other machines, where there is one."""
    if loaded.config.guard.stream is None or not orders:
        return
    from casemate.guard import keys
    from casemate.store.keys import key_folder
    from casemate.store.streams.opening import open_stream

    held = keys.read(os.environ, key_folder(os.environ) / "guard.key", workspace=workspace.folder)
    with open_stream(loaded.config.guard.stream, key=held.derive("stream")) as stream:
        for order in orders:
            stream.send(order)
        stream.flush()


def _whom(orders: Sequence[Order]) -> str:
    names = [one.scope.principal for one in orders if one.scope.principal is not None]
    models = [one.scope.model for one in orders if one.scope.model is not None]
    if names:
        more = f" and {len(names) - 5} more" if len(names) > 5 else ""
        return ", ".join(names[:5]) + more
    return f"callers of {', '.join(models)}" if models else "everybody"


def _now() -> int:
    return time.time_ns() // 1000
