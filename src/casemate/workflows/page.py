"""Near line: events in, detections out, somebody told, and the rules of the house carried out.

Stands behind the guard, in a process of its own; a hunt over the past uses the same rules without
telling anybody. One `turn` reads what is new, so that a test needs no clock.
"""

from __future__ import annotations

import itertools
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from casemate.detect.campaigns import subject_of
from casemate.errors import CasemateError, UsageError
from casemate.records.detection import Detection
from casemate.records.duration import seconds
from casemate.records.make import make, new_id
from casemate.records.order import Order, Scope
from casemate.store.telemetry.sink import EventQuery

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from casemate.detect.watch import Watch
    from casemate.guard.policy import GuardTable, RuleTable
    from casemate.notify.pager import Pager
    from casemate.records.event import Event
    from casemate.store.orders import OrderBook
    from casemate.store.streams.relay import Arrivals
    from casemate.workflows.job import Job

SETTLE = 200_000
"""Microseconds an event waits for those of other guards that were asked before it."""
LONGEST = 5_000_000
"""The same for an event whose guard's clock is ahead."""
AGAIN = 6 * 3600 * 1_000_000
"""Microseconds of events that a new process reads again, so that it knows what is going on."""
SLICE = 4096
"""Most events of one turn: between two there is time for a sign of life."""
MEMORY = 24 * 3600 * 1_000_000
"""Microseconds of detections that a new process takes over: a campaign is over after a day."""
_SHORTEST = 60 * 1_000_000
_RENEW = 0.75
"""An order with a smaller share of its time left is given again while what it is for goes on."""
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
        self._fresh: Iterator[Event] | None = None
        self._known: set[str] = set()
        self._held: list[tuple[int, Event]] = []
        lasting = [seconds(one.for_) for one in policy.rule if one.action != "log"]
        if lasting:  # spoken of again in time to renew the shortest order
            half = round(min(lasting) * 500_000)
            watch.again = max(_SHORTEST, min(watch.again, half))

    def begin(self, now: int) -> None:
        """Skip what is older than six hours: it has been looked at, or is for a hunt to look at.

        The events since are read again, for what they say of what comes. What an earlier process
        said in the last day is known, so that a campaign goes on under its name.
        """
        if self._job.workspace is not None:
            said = [
                one
                for kept in self._job.workspace.runs("guard")
                for one in self._job.workspace.records(kept.id, Detection)
                if one.made >= now - MEMORY
            ]
            self._known = {one.id for one in said}
            self._watch.restore(said)
        if not isinstance(self._query, EventQuery):
            return  # what arrives over a stream begins there
        rows = self._query.sql(
            'SELECT writer, max("sequence") FROM events WHERE "at" < ? GROUP BY writer',
            (now - AGAIN,),
        )[1]
        self._read = {str(writer): int(last) for writer, last in rows}

    def turn(self, now: int) -> Turn:
        """Read what is new, or a slice of it, judge it, tell, and give the orders rules ask for.

        Args:
            now: Microseconds since the epoch.
        """
        events = self._next()
        made = self._watch.feed(self._in_order(events, now))
        if self._fresh is None:  # else these are not the latest, and what is known is not of now
            made += self._watch.tick(now)
        found = tuple(one for one in made if one.id not in self._known)
        given: list[Order] = []
        if found:
            self._job.add(*found)
            given = self._act(found, now)
        if self._pager is not None:
            self._pager.page(found, now)  # with nothing new too: pages may wait for delivery
        return Turn(len(events), found, tuple(given))

    def _in_order(self, events: list[Event], now: int) -> list[Event]:
        """Return the events whose turn it is: guards write one after another, callers do not wait.

        An attack that goes round several guards makes sense in the order of its questions alone.
        """
        self._held += [(now, one) for one in events if one.source is None]
        ready = [one for came, one in self._held if one.at <= now - SETTLE or came <= now - LONGEST]
        self._held = [
            (came, one)
            for came, one in self._held
            if one.at > now - SETTLE and came > now - LONGEST
        ]
        return sorted(ready, key=lambda one: (one.at, one.writer, one.sequence))

    def _next(self) -> list[Event]:
        """Return a slice of the new events; the rest stays with the iterator for the next turn."""
        if self._fresh is None:
            self._fresh = iter(self._query.tail(dict(self._read)))
        fresh, self._fresh = self._fresh, None  # an error in reading begins it anew
        events = list(itertools.islice(fresh, SLICE))
        for event in events:
            self._read[event.writer] = max(event.sequence, self._read.get(event.writer, -1))
        if len(events) == SLICE:
            self._fresh = fresh
        return events

    def _act(self, found: Iterable[Detection], now: int) -> list[Order]:
        given = []
        active = self._orders.active(_moment(now))
        ended = self._ended(now)
        held: dict[tuple[str, Scope], datetime] = {}
        for one in active:
            key = (one.action, one.scope)
            held[key] = max(one.expires, held.get(key, one.expires))
        for seen in found:
            for rule in self._policy.rule:
                if rule.when != seen.rule or rule.action == "log":
                    continue
                for scope in scopes(rule, seen):
                    if (rule.action, scope, subject_of(seen.id)) in ended:
                        continue
                    until = held.get((rule.action, scope))
                    left = timedelta(seconds=_RENEW * seconds(rule.for_))
                    if until is not None and until - _moment(now) >= left:
                        continue
                    order = order_of(rule, seen, scope, now)
                    held[rule.action, scope] = order.expires
                    try:
                        self._orders.add(order)
                    except CasemateError as error:
                        self._job.note(f"an order of the rule '{rule.when}' was refused: {error}")
                    else:
                        given.append(order)
        return given

    def _ended(self, now: int) -> set[tuple[str, Scope, str]]:
        """Return the orders somebody undid and why they were given: they are not given again."""
        orders = [order for _, order in self._orders.history()]
        undone = {one.undoes for one in orders if one.undoes and one.expires > _moment(now)}
        return {
            (one.action, one.scope, subject_of(one.detection))
            for one in orders
            if one.id in undone and one.detection is not None
        }


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
        UsageError: An unknown detection, a scope it does not name, a wrong duration, or an action
            that changes answers without a named approver.
    """
    from casemate.catalog import loader
    from casemate.catalog.entries import Detector

    for rule in rules:
        if rule.when != "always":
            loader.entry("detections", rule.when, Detector)
            if rule.scope in ("session", "cluster", "route"):
                raise UsageError(
                    f"the rule for '{rule.when}' is for a {rule.scope}, which no detection names",
                    hint="scope = principal, model or everybody",
                )
        seconds(rule.for_)
        if rule.action in ("cluster-answer", "decoy") and not (rule.approver or "").strip():
            raise UsageError(
                f"the rule for '{rule.when}' serves answers that are not the model's own",
                hint='name who allowed it: approver = "..."',
            )
