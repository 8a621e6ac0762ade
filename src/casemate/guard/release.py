"""Events leave in the order of their sequence, although answers come in any order.

An input gets its sequence when it is asked, as judges name it from then on; its event is complete
when it is answered. Complete events wait for the ones before them, but never long: then a slow
one is written without its answer, which follows in an event of its own.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from casemate.records.event import Event

HOLD = 100_000
"""Microseconds a complete event waits at most."""
_MOST = 8192


class Slot:
    """The place of one request's events in the record."""

    __slots__ = ("early", "events", "filled", "first", "released", "rows")

    def __init__(self, first: int, rows: int, early: Callable[[], Sequence[Event]]) -> None:
        self.first = first
        self.rows = rows
        self.early = early
        """Makes the events as far as they are known, when others cannot wait for the rest."""
        self.events: Sequence[Event] | None = None
        self.filled = 0
        self.released = False


class Release:
    """Hands out sequence numbers and lets events go in their order."""

    def __init__(self, start: int = 0) -> None:
        self._next = start
        self._slots: deque[Slot] = deque()
        self._filled: deque[Slot] = deque()

    @property
    def open(self) -> int:
        """Requests whose events have not left."""
        return len(self._slots)

    def reserve(self, rows: int, early: Callable[[], Sequence[Event]]) -> Slot:
        """Take the next `rows` sequence numbers."""
        slot = Slot(self._next, rows, early)
        self._next += rows
        self._slots.append(slot)
        return slot

    def fill(self, slot: Slot, events: Sequence[Event], now: int) -> list[Event]:
        """Complete a slot that has not left; return what may leave now."""
        slot.events, slot.filled = events, now
        # What makes the early events holds the whole request, and the request holds its slot.
        slot.early = _nothing
        if self._slots[0] is slot and len(self._slots) == 1:
            self._slots.popleft()
            slot.released = True
            return list(events)
        self._filled.append(slot)
        return self.due(now)

    def due(self, now: int) -> list[Event]:
        """Return what may leave now, forcing the slow ones out of the way of the rest."""
        leaving: list[Event] = []
        while self._slots:
            head = self._slots[0]
            if head.events is None and not self._pressed(now):
                break
            self._slots.popleft()
            leaving += self._let_go(head)
        return leaving

    def rest(self) -> list[Event]:
        """Return everything, at the end."""
        leaving: list[Event] = []
        while self._slots:
            head = self._slots.popleft()
            leaving += self._let_go(head)
        self._filled.clear()
        return leaving

    def _let_go(self, slot: Slot) -> Sequence[Event]:
        slot.released = True
        events = slot.early() if slot.events is None else slot.events
        slot.early = _nothing
        return events

    def _pressed(self, now: int) -> bool:
        while self._filled and self._filled[0].released:
            self._filled.popleft()
        waiting = bool(self._filled) and now - self._filled[0].filled >= HOLD
        return waiting or (bool(self._filled) and len(self._slots) > _MOST)


def _nothing() -> Sequence[Event]:
    return ()
