"""Live updates: one watcher looks whether anything changed, every open page hears of it (SSE)."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from starlette.responses import StreamingResponse

from casemate.errors import CasemateError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from casemate.console.people import Session, Sessions

EVERY = 1.0
"""Seconds between two looks."""
_BEAT = 15.0
"""Seconds after which a silent connection says that it is still there."""
_OVER = ""
_EACH = 8
"""Live connections of one session."""


class Watch:
    """Compares a mark of the state with the one before, while somebody listens."""

    def __init__(self, mark: Callable[[], str]) -> None:
        """Begin with nobody listening.

        Args:
            mark: Something short that changes whenever a page would; called in a thread.
        """
        self._mark = mark
        self._listeners: dict[asyncio.Queue[str], str] = {}
        self._task: asyncio.Task[None] | None = None

    async def changes(self) -> AsyncIterator[str | None]:
        """Yield the mark once, each change of it, and None now and then in between."""
        queue: asyncio.Queue[str] = asyncio.Queue(maxsize=2)
        first = await asyncio.to_thread(self._mark)
        self._listeners[queue] = first
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._look())
        try:
            yield first
            while True:
                try:
                    mark = await asyncio.wait_for(queue.get(), _BEAT)
                except TimeoutError:
                    yield None
                    continue
                if mark == _OVER:
                    return
                yield mark
        finally:
            del self._listeners[queue]

    def end(self) -> None:
        """Let every listener go, as the console is about to end; called in its event loop."""
        for queue in self._listeners:
            while not queue.empty():
                queue.get_nowait()
            queue.put_nowait(_OVER)

    async def _look(self) -> None:
        while self._listeners:
            with contextlib.suppress(CasemateError):  # a busy workspace is looked at again
                now = await asyncio.to_thread(self._mark)
                for queue, told in self._listeners.items():
                    if told != now and queue.empty():
                        self._listeners[queue] = now
                        queue.put_nowait(now)
            await asyncio.sleep(EVERY)


def stream(watch: Watch, session: Session, sessions: Sessions) -> StreamingResponse | None:
    """Return the live connection of a session, None when it has too many already."""
    if session.listening >= _EACH:
        return None

    async def lines() -> AsyncIterator[str]:
        session.listening += 1
        try:
            yield "retry: 3000\n\n"
            async for mark in watch.changes():
                if not sessions.holds(session):
                    yield "event: over\ndata: over\n\n"
                    return
                yield ": still here\n\n" if mark is None else f"event: changed\ndata: {mark}\n\n"
        finally:
            session.listening -= 1

    return StreamingResponse(lines(), media_type="text/event-stream")
