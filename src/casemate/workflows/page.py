"""Near line: events in, detections out, somebody told, and the rules of the house carried out.

Stands behind the guard, in a process of its own; a hunt over the past uses the same rules without
telling anybody. One `turn` reads what is new, so that a test needs no clock.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from casemate.errors import CasemateError, UsageError
from casemate.records.detection import Detection
from casemate.records.duration import seconds
from casemate.records.make import make, new_id
from casemate.records.order import Order, Scope
from casemate.store.telemetry.sink import EventQuery

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from casemate.detect.watch import Watch
    from casemate.guard.policy import GuardTable, RuleTable
    from casemate.notify.pager import Pager
    from casemate.records.event import Event
    from casemate.store.orders import OrderBook
    from casemate.store.streams.relay import Arrivals
    from casemate.workflows.job import Job

AGAIN = 6 * 3600 * 1_000_000
"""Microseconds of events that a new process reads again, so that it knows what is going on."""
_MOST_ORDERS = 20
"""Principals of one detection that get an order of their own; a larger campaign needs a person."""


class Turn(NamedTuple):
    """What one turn did."""

    events: int
    detections: tuple[Detection, ...]
    orders: tuple[Order, ...]


class NearLine:
    """Reads the events as they come and acts on what the rules say of them."""

    def __init__(
        self,
        query: EventQuery | Arrivals,
        watch: Watch,
        *,
        job: Job,
        orders: OrderBook,
        pager: Pager | None,
        policy: GuardTable,
    ) -> None:
        """Nothing is read before the first turn.

        Args:
            query: The events.
            watch: The rules, with what they remember.
            job: Detections are kept under its run.
            orders: Where orders are kept that rules give.
            pager: Who is told; None for nobody.
            policy: Its `rule`s say what is done when.
        """
        self._query, self._watch, self._job = query, watch, job
        self._orders, self._pager, self._policy = orders, pager, policy
        self._read: dict[str, int] = {}
        self._known: set[str] = set()

    def begin(self, now: int) -> None:
        """Skip what is older than six hours: it has been looked at, or is for a hunt to look at.

        The events since are read again, for what they say of what comes; detections that an earlier
        process made of them have the same ids and are known.
        """
        if self._job.workspace is not None:
            self._known = {
                one.id
                for kept in self._job.workspace.runs("guard")
                for one in self._job.workspace.records(kept.id, Detection)
                if one.made >= now - AGAIN
            }
        if not isinstance(self._query, EventQuery):
            return  # what arrives over a stream begins there
        rows = self._query.sql(
            'SELECT writer, max("sequence") FROM events WHERE "at" < ? GROUP BY writer',
            (now - AGAIN,),
        )[1]
        self._read = {str(writer): int(last) for writer, last in rows}

    def turn(self, now: int) -> Turn:
        """Read what is new, judge it, tell, and give the orders that rules ask for.

        Args:
            now: Microseconds since the epoch.
        """
        events: list[Event] = list(self._query.tail(self._read))
        for event in events:
            self._read[event.writer] = max(event.sequence, self._read.get(event.writer, -1))
        made = (*self._watch.feed(events), *self._watch.tick(now))
        found = tuple(one for one in made if one.id not in self._known)
        given: list[Order] = []
        if found:
            self._job.add(*found)
            given = self._act(found, now)
        if self._pager is not None:
            self._pager.page(found, now)  # with nothing new too: pages may wait for delivery
        return Turn(len(events), found, tuple(given))

    def _act(self, found: Iterable[Detection], now: int) -> list[Order]:
        given = []
        active = self._orders.active(_moment(now))
        held = {(one.action, one.scope) for one in active}
        for one in found:
            for rule in self._policy.rule:
                if rule.when != one.rule or rule.action == "log":
                    continue
                for scope in scopes(rule, one):
                    if (rule.action, scope) in held:
                        continue
                    held.add((rule.action, scope))
                    order = order_of(rule, one, scope, now)
                    try:
                        self._orders.add(order)
                    except CasemateError as error:
                        self._job.note(f"an order of the rule '{rule.when}' was refused: {error}")
                    else:
                        given.append(order)
        return given


def scopes(rule: RuleTable, found: Detection) -> list[Scope]:
    """Return whom a rule's order reaches, one scope per order."""
    if rule.scope == "everybody":
        return [Scope()]
    if rule.scope == "model":
        return [Scope(model=found.model)]
    # A detection names principals; what is narrower than that still belongs to them.
    return [Scope(principal=name, model=found.model) for name in found.principals[:_MOST_ORDERS]]


def order_of(rule: RuleTable, found: Detection, scope: Scope, now: int) -> Order:
    """Return the order a rule gives for a detection.

    Raises:
        UsageError: The rule's `for` is no duration.
    """
    at = _moment(now)
    return make(
        Order,
        id=new_id("ord"),
        at=at,
        expires=at + timedelta(seconds=seconds(rule.for_)),
        action=rule.action,
        scope=scope,
        author=f"rule {rule.when}",
        reason=found.message[:500],
        settings=rule.settings,
        approver=rule.approver,
        detection=found.id,
    )


def now_us() -> int:
    """Return the present time in microseconds since the epoch."""
    return time.time_ns() // 1000


def _moment(at: int) -> datetime:
    return datetime.fromtimestamp(at / 1e6, UTC)


def check_rules(rules: Sequence[RuleTable]) -> None:
    """Hold the rules of casemate.toml to the catalog, before anything is served.

    Raises:
        UsageError: An unknown detection, a wrong duration, or an action that changes answers
            without a named approver.
    """
    from casemate.catalog import loader
    from casemate.catalog.entries import Detector

    for rule in rules:
        if rule.when != "always":
            loader.entry("detections", rule.when, Detector)
        seconds(rule.for_)
        if rule.action in ("cluster-answer", "decoy") and not (rule.approver or "").strip():
            raise UsageError(
                f"the rule for '{rule.when}' serves answers that are not the model's own",
                hint='name who allowed it: approver = "..."',
            )
