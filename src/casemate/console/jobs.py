"""Work that takes longer than a page should: done in a thread, waited for a moment, told later."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from casemate.errors import CasemateError, Conflict

if TYPE_CHECKING:
    from collections.abc import Callable

    Asked = tuple[str | None, ...]

_MOST = 4
"""Pieces of work at once."""


class Done(NamedTuple):
    """What became of a piece of work."""

    result: Any
    error: CasemateError | None
    at: int
    """When it ended, in microseconds since the epoch."""


class _Work:
    """A piece of work that is under way."""

    def __init__(self, asked: Asked, thread: threading.Thread) -> None:
        self.asked = asked
        self.thread = thread
        self.done: Done | None = None


class Jobs:
    """The pieces of work of one console, one of each name at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[str, _Work] = {}
        self._last: dict[str, Done] = {}
        self.told = 0
        """Counts up whenever one begins or ends."""

    def start(
        self, name: str, work: Callable[[], Any], *, wait: float, asked: Asked = ()
    ) -> Done | None:
        """Begin a piece of work unless it is under way; return its end, None when it goes on.

        Args:
            name: One of each runs at a time.
            work: Raises CasemateError when it fails.
            wait: Seconds to wait for its end.
            asked: Who asks, and all they say that changes what is done. Whoever asks for the very
                same is told how it ends; nobody else is taken for them.

        Raises:
            Conflict: One of that name is under way that was asked for otherwise.
            CasemateError: Too much is under way.
        """

        def run() -> None:
            error: CasemateError | None = CasemateError(
                "it broke off", hint="a fault of casemate; the terminal of the console shows it"
            )
            result = None
            try:
                result = work()
                error = None
            except CasemateError as problem:
                error = problem
            finally:
                with self._lock:
                    begun.done = self._last[name] = Done(result, error, time.time_ns() // 1000)
                    self._running.pop(name, None)
                    self.told += 1

        with self._lock:
            found = self._running.get(name)
            if found is None:
                if len(self._running) >= _MOST:
                    raise CasemateError("much is under way already", hint="try again in a minute")
                self._last.pop(name, None)
                thread = threading.Thread(target=run, name=f"casemate-{name}", daemon=True)
                found = begun = self._running[name] = _Work(asked, thread)
                self.told += 1
                thread.start()
            elif found.asked != asked:
                raise Conflict(
                    f"'{name}' is under way already, asked for by somebody else or otherwise; "
                    "nothing was done",
                    hint="go back, and send this again when that has ended",
                )
        found.thread.join(wait)
        return found.done

    def running(self, name: str) -> bool:
        """Say whether a piece of work is under way."""
        with self._lock:
            return name in self._running

    def last(self, name: str) -> Done | None:
        """Return how it ended last; None while it is under way, and before."""
        with self._lock:
            return self._last.get(name)

    def failed(self) -> dict[str, CasemateError]:
        """Return what failed last, by name."""
        with self._lock:
            return {name: one.error for name, one in self._last.items() if one.error is not None}
