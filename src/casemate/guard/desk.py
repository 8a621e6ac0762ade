"""Where every shell meets the guard: one lock, one clock, one record, and no failure gets by.

What the guard could not see or the record did not take is counted and goes on record as such; the
request is served all the same.
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

from casemate.guard.ask import Ask
from casemate.guard.fault import Fault, attempt
from casemate.guard.mitigations.refusal import refuse

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from casemate.guard.ask import Answered, Listener, Payload
    from casemate.guard.call import Call, Reply
    from casemate.guard.guard import Guard
    from casemate.records.event import Event


def now() -> int:
    """Return the machine's time in microseconds since the epoch."""
    return time.time_ns() // 1000


def _uncounted(_name: str, _label: str) -> None:
    """Count nothing."""


class Desk:
    """Uses a guard and keeps what it says, in one order; never raises.

    Args:
        guard: Decides and measures.
        record: Takes the events; must return at once.
        lock: Held around every use of guard and record, when others use them too.
        keep: Takes payloads that are to be kept; likewise quick.
        clock: Microseconds since the epoch; the machine's own when not given.
        count: Counts failures by name and label.
    """

    def __init__(
        self,
        guard: Guard,
        record: Callable[[Sequence[Event]], object],
        lock: AbstractContextManager[object] | None = None,
        keep: Callable[[Payload], object] | None = None,
        clock: Callable[[], int] | None = None,
        count: Callable[[str, str], object] = _uncounted,
    ) -> None:
        self.guard = guard
        self.clock = clock or now
        self.lost = 0
        """Events the record did not take; the record itself says so as a gap."""
        self._record = record
        self._lock = lock or contextlib.nullcontext()
        self._keep = keep
        self._count = count

    def ask(self, call: Call, *, oversized: bool = False) -> Ask:
        """Hand in a request; what the guard fails at is forwarded unseen."""
        with self._lock:
            ask = attempt(self.guard.ask, call, oversized=oversized)
        if isinstance(ask, Fault):
            self.bypass(f"a request could not be looked at: {ask.kind}")
            return Ask(call)
        return ask

    def answer(self, ask: Ask, reply: Reply | None, *, why: str = "", status: int = 502) -> Reply:
        """Hand in an answer; return what to serve.

        Args:
            ask: What `ask` returned.
            reply: The upstream's; None when it failed or the guard itself answers.
            why: Why there is no reply.
            status: What the caller is told when the upstream failed; 0 when it has left.
        """
        if not ask.recorded:
            return reply or _own(ask, status)
        with self._lock:
            found: Answered | Fault = attempt(
                self.guard.answer, ask, reply, self.clock(), why=why, status=status
            )
            if not isinstance(found, Fault):
                self._append(found.events)
        if isinstance(found, Fault):
            self.bypass(f"an answer could not be looked at: {found.kind}")
            return reply or _own(ask, status)
        if self._keep is not None:
            for one in found.payloads:
                if isinstance(attempt(self._keep, one), Fault):
                    self._count("payloads-lost", "")
        return found.reply

    def listen(self, ask: Ask) -> Ear:
        """Return what hears an answer that is passed on piece by piece."""
        return Ear(self, ask.stream())

    def copy(self, ask: Ask) -> Copy:
        """Return what keeps an answer that is passed on as it comes, to be shown at its end."""
        return Copy(self, ask)

    def due(self) -> None:
        """Let events leave that have waited for slower ones."""
        with self._lock:
            self._append(attempt(self.guard.due, self.clock()))

    def rest(self) -> None:
        """Let all events leave, at the end."""
        with self._lock:
            self._append(attempt(self.guard.rest))

    def bypass(self, why: str) -> None:
        """Put on record that a request was served without being looked at."""
        self.count_only(why)
        with self._lock:
            self._append(attempt(self.guard.bypass, 1, self.clock(), why))

    def count_only(self, why: str) -> None:
        """Count what goes on record otherwise: the request's own events still come."""
        self._count("bypassed", why.partition(":")[0])

    def _append(self, events: Sequence[Event] | Fault) -> None:
        # Events that could not be fetched stay where they are and leave with a later call.
        if not events or isinstance(events, Fault):
            return
        if isinstance(attempt(self._record, events), Fault):
            self.lost += len(events)
            self._count("events-lost", "")


def _own(ask: Ask, status: int) -> Reply:
    return ask.action.reply or refuse("", status or 502)


class Ear:
    """Hears an answer as it passes; deaf after its first failure."""

    body = b""

    def __init__(self, desk: Desk, listener: Listener) -> None:
        self._desk = desk
        self._listener: Listener | None = listener

    def feed(self, data: bytes) -> None:
        """Hear the next bytes."""
        if self._listener is not None:
            self._heard(attempt(self._listener.feed, data))

    def end(self) -> None:
        """Hear the end."""
        if self._listener is not None:
            self._heard(attempt(self._listener.end))

    def _heard(self, found: Fault | None) -> None:
        if found is not None:
            self._listener = None
            self._desk.count_only(f"a streamed answer could not be heard: {found.kind}")


class Copy:
    """Keeps an answer as it passes; one that is too large is only heard."""

    def __init__(self, desk: Desk, ask: Ask) -> None:
        self._desk = desk
        self._ask = ask
        self._parts: list[bytes] = []
        self._size = 0
        self._ear: Ear | None = None

    @property
    def body(self) -> bytes:
        """What was kept."""
        return b"".join(self._parts)

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""
        if self._ear is not None:
            self._ear.feed(data)
            return
        self._parts.append(data)
        self._size += len(data)
        if self._size > self._desk.guard.policy.max_body:
            self._ear = self._desk.listen(self._ask)
            self._ear.feed(self.body)
            self._parts = []

    def end(self) -> None:
        """Take the end."""
        if self._ear is not None:
            self._ear.end()
