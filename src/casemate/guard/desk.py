"""Where a shell inside a model server meets the guard: one lock, one clock, one record."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

from casemate.guard.fault import Fault, attempt

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from casemate.guard.ask import Answered, Ask, Payload
    from casemate.guard.call import Call, Reply
    from casemate.guard.guard import Guard
    from casemate.records.event import Event


class Desk:
    """Uses a guard and keeps what it says, in one order."""

    def __init__(
        self,
        guard: Guard,
        record: Callable[[Sequence[Event]], object],
        lock: AbstractContextManager[object] | None = None,
        keep: Callable[[Payload], object] | None = None,
        clock: Callable[[], int] | None = None,
    ) -> None:
        self.guard = guard
        self.clock = clock or now
        self.lost = 0
        """Events the record did not take; the record itself says so as a gap."""
        self._record = record
        self._lock = lock or contextlib.nullcontext()
        self._keep = keep

    def ask(self, call: Call, *, oversized: bool = False) -> Ask:
        """Hand in a request."""
        with self._lock:
            return self.guard.ask(call, oversized=oversized)

    def answer(self, ask: Ask, reply: Reply | None, *, why: str = "", status: int = 502) -> Reply:
        """Hand in an answer; return what to serve."""
        with self._lock:
            found: Answered = self.guard.answer(ask, reply, self.clock(), why=why, status=status)
            self._append(found.events)
        if self._keep is not None:
            for one in found.payloads:
                attempt(self._keep, one)
        return found.reply

    def due(self) -> None:
        """Let events leave that have waited for slower ones."""
        with self._lock:
            self._append(self.guard.due(self.clock()))

    def rest(self) -> None:
        """Let all events leave, at the end."""
        with self._lock:
            self._append(self.guard.rest())

    def _append(self, events: Sequence[Event]) -> None:
        if not events:
            return
        if isinstance(attempt(self._record, events), Fault):
            self.lost += len(events)


def now() -> int:
    """Return the machine's time in microseconds since the epoch."""
    return time.time_ns() // 1000
