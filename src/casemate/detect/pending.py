"""Inputs whose answer is still out: they wait for it, so that they are judged with it.

A slow model's inputs go on record without their answers, which follow in events of their own. Held
by writer, request and row, for a bounded time and in a bounded number.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from casemate.records.event import Event

PATIENCE = 600 * 1_000_000
"""Microseconds an input waits for its answer at most."""
MOST = 10_000
"""Inputs that wait at most; the oldest is judged without its answer."""

_Key = tuple[str, str, int]


class Pending:
    """Inputs without an answer, oldest first."""

    def __init__(self) -> None:
        self._held: dict[_Key, Event] = {}

    def hold(self, event: Event) -> bool:
        """Take an input whose answer may still come, and say whether it was taken."""
        m = event.measures
        # An import has all there will ever be.
        if event.status or m.label is not None or not event.request or event.source is not None:
            return False
        self._held[event.writer, event.request, event.row] = event
        return True

    @property
    def full(self) -> bool:
        """Whether more wait than may."""
        return len(self._held) > MOST

    def take(self, event: Event) -> Event | None:
        """Return the input whose answer, or end, an event is."""
        return self._held.pop((event.writer, event.request, event.row), None)

    def due(self, now: int) -> list[Event]:
        """Return the inputs that have waited long enough, or that there is no more room for."""
        over = len(self._held) - MOST
        out = []
        for place, event in enumerate(self._held.values()):
            if place >= over and now - event.at < PATIENCE:
                break
            out.append(event)
        for event in out:
            self.take(event)
        return out

    def rest(self) -> list[Event]:
        """Return all inputs that wait."""
        out = list(self._held.values())
        self._held.clear()
        return out
