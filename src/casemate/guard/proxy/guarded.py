"""The guard as a shell may lean on it: it never raises, and what it could not see is counted."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from casemate.guard.call import Action

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from casemate.guard.ask import Ask, Listener, Payload
    from casemate.guard.call import Call, Reply
    from casemate.guard.guard import Guard
    from casemate.records.event import Event

FORWARD = Action("forward")
_log = logging.getLogger(__name__)


class Guarded:
    """A guard whose own failures never become a caller's.

    Args:
        guard: Decides and measures.
        record: Takes the events; must return at once.
        capture: Takes payloads that are to be kept; likewise.
        count: Counts by name and label.
    """

    def __init__(
        self,
        guard: Guard,
        record: Callable[[Sequence[Event]], object],
        capture: Callable[[Sequence[Payload]], None],
        count: Callable[[str, str], None],
    ) -> None:
        self._guard = guard
        self._record = record
        self._capture = capture
        self._count = count

    def ask(self, call: Call, *, oversized: bool = False) -> tuple[Ask | None, Action]:
        """Put a request to the guard; without an Ask it is forwarded unseen."""
        try:
            ask = self._guard.ask(call, oversized=oversized)
        except Exception as error:  # noqa: BLE001 - fails open: detection never costs a request
            self.bypass(call.at, _words("a request could not be looked at", error))
            return None, FORWARD
        return ask, ask.action

    def answer(self, ask: Ask | None, reply: Reply, now: int) -> Reply:
        """Tell the guard how a request was answered; return the answer to serve."""
        if ask is None:
            return reply
        try:
            answered = self._guard.answer(ask, None if reply is ask.action.reply else reply, now)
            self._keep(answered.events, answered.payloads)
        except Exception as error:  # noqa: BLE001 - as above
            self.bypass(now, _words("an answer could not be looked at", error))
            return reply
        return answered.reply

    def failed(self, ask: Ask | None, now: int, why: str, status: int) -> None:
        """Tell the guard that a request was not answered; 0 for a caller that has left."""
        if ask is None:
            return
        try:
            answered = self._guard.answer(ask, None, now, why=why, status=status)
            self._keep(answered.events, answered.payloads)
        except Exception as error:  # noqa: BLE001 - as above
            self.bypass(now, _words("a failure could not be put on record", error))

    def listen(self, ask: Ask | None) -> Ear:
        """Return what hears an answer that is passed on piece by piece."""
        return Ear(self, None if ask is None else ask.stream())

    def tick(self, now: int) -> None:
        """Let events leave that wait for slower ones; to be called every tenth of a second."""
        try:
            self._keep(self._guard.due(now), ())
        except Exception:  # noqa: BLE001 - they leave with a later call
            _log.exception("events could not be put on record")

    def rest(self) -> None:
        """Let all events leave, at the end."""
        try:
            self._keep(self._guard.rest(), ())
        except Exception:  # noqa: BLE001 - the end must be reached
            _log.exception("the last events could not be put on record")

    def count_only(self, why: str) -> None:
        """Count what goes on record otherwise: the request's own events still come."""
        self._count("bypassed", why.partition(":")[0])

    def bypass(self, now: int, why: str, n: int = 1) -> None:
        """Put on record that requests were served without being looked at."""
        self._count("bypassed", why.partition(":")[0])
        try:
            self._keep(self._guard.bypass(n, now, why), ())
        except Exception:  # noqa: BLE001 - the count above and the log remain
            _log.exception("a bypass could not be put on record: %s", why)

    def _keep(self, events: Sequence[Event], payloads: Sequence[Payload]) -> None:
        try:
            if events:
                self._record(events)
        except Exception:  # noqa: BLE001 - a store that is down must not take the model away
            self._count("events-lost", "")
            _log.warning("%d events were not taken", len(events), exc_info=True)
        try:
            if payloads:
                self._capture(payloads)
        except Exception:  # noqa: BLE001 - likewise
            self._count("payloads-lost", "")
            _log.warning("%d payloads were not taken", len(payloads), exc_info=True)


class Ear:
    """Hears an answer as it passes; deaf after its first failure."""

    def __init__(self, guarded: Guarded, listener: Listener | None) -> None:
        self._guarded = guarded
        self._listener = listener

    def feed(self, data: bytes) -> None:
        """Hear the next bytes."""
        if self._listener is not None:
            try:
                self._listener.feed(data)
            except Exception as error:  # noqa: BLE001 - fails open
                self._listener = None
                self._failed(error)

    def end(self) -> None:
        """Hear the end."""
        if self._listener is not None:
            try:
                self._listener.end()
            except Exception as error:  # noqa: BLE001 - fails open
                self._failed(error)

    def _failed(self, error: Exception) -> None:
        self._guarded.count_only(_words("a streamed answer could not be heard", error))


def _words(what: str, error: Exception) -> str:
    """Say what failed without quoting any input."""
    _log.warning("%s", what, exc_info=error)
    return f"{what}: {type(error).__name__}"
