"""The guard as a shell may lean on it: it never raises, and what it could not see is counted."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from casemate.guard.call import Action

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from casemate.guard.call import Call, Reply
    from casemate.guard.guard import Ask, Guard, Listener
    from casemate.records.event import Event

FORWARD = Action("forward")
_log = logging.getLogger(__name__)


class Guarded:
    """A guard whose own failures never become a caller's.

    Args:
        guard: Decides and measures.
        record: Takes the events; must return at once.
        count: Counts by name and label.
    """

    def __init__(
        self,
        guard: Guard,
        record: Callable[[Sequence[Event]], None],
        count: Callable[[str, str], None],
    ) -> None:
        self._guard = guard
        self._record = record
        self._count = count

    def ask(self, call: Call) -> tuple[Ask | None, Action]:
        """Put a request to the guard; without an Ask it is forwarded unseen."""
        try:
            ask = self._guard.ask(call)
        except Exception as error:  # noqa: BLE001 - fails open: detection never costs a request
            self.bypass(call.at, _words("a request could not be looked at", error))
            return None, FORWARD
        return ask, ask.action

    def answer(self, ask: Ask | None, reply: Reply | None, now: int, why: str = "") -> Reply | None:
        """Tell the guard how a request ended; return the answer to serve."""
        if ask is None:
            return reply
        try:
            answered = self._guard.answer(ask, reply, now, why=why)
            self._keep(answered.events)
        except Exception as error:  # noqa: BLE001 - as above
            self.bypass(now, _words("an answer could not be looked at", error))
            return reply
        return answered.reply

    def listen(self, ask: Ask | None, now: int) -> Listener | None:
        """Return what hears a streamed answer; None when it cannot be heard."""
        if ask is None:
            return None
        try:
            return ask.stream()
        except Exception as error:  # noqa: BLE001 - as above
            self.bypass(now, _words("a streamed answer could not be looked at", error))
            return None

    def bypass(self, now: int, why: str, n: int = 1) -> None:
        """Put on record that requests were served without being looked at."""
        self._count("bypassed", why.partition(":")[0])
        try:
            self._keep([self._guard.bypass(n, now, why)])
        except Exception:  # noqa: BLE001 - the count above and the log remain
            _log.exception("a bypass could not be put on record: %s", why)

    def _keep(self, events: Sequence[Event]) -> None:
        if events:
            self._record(events)


def _words(what: str, error: Exception) -> str:
    """Say what failed without quoting any input."""
    _log.warning("%s", what, exc_info=error)
    return f"{what}: {type(error).__name__}"
