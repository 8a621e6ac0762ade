"""The reverse proxy as a whole: its ports, its limits, its clock and its counts."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import TYPE_CHECKING

from casemate.errors import UsageError
from casemate.guard.desk import Desk
from casemate.guard.proxy.caller import Caller
from casemate.guard.proxy.tls import served_context, upstream_context
from casemate.guard.proxy.upstream import Pool, read_address

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from casemate.guard.ask import Payload
    from casemate.guard.guard import Guard
    from casemate.guard.policy import GuardTable
    from casemate.records.event import Event

MAX_CALLERS = 10_000
BODIES = 16
"""Request bodies under way may fill this many times `max_body` of memory."""
BACKLOG = 1024


class Proxy:
    """A reverse proxy over a guard.

    Args:
        settings: `[guard]` of casemate.toml; `upstream` must be given.
        guard: Decides and measures; called from the event loop's thread, in order.
        record: Takes the events; must return at once and may raise.
        capture: Takes payloads that the policy says to keep; likewise.
        clock: Microseconds since the epoch.

    Raises:
        UsageError: The upstream's address, the certificate or the key cannot be used.
    """

    def __init__(
        self,
        settings: GuardTable,
        guard: Guard,
        record: Callable[[Sequence[Event]], object],
        *,
        capture: Callable[[Sequence[Payload]], None] = lambda _: None,
        clock: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        if settings.upstream is None:
            raise UsageError("the guard has no upstream", hint="--upstream http://127.0.0.1:8080")
        self.settings = settings
        self.clock = clock
        self.address = read_address(settings.upstream)
        self.pool = Pool(upstream_context(settings))
        self.counts: Counter[tuple[str, str]] = Counter()
        self.desk = Desk(
            guard, record, keep=lambda one: capture((one,)), clock=clock, count=self.count
        )
        self.closing = False
        self._tls = served_context(settings)
        self._callers: set[Caller] = set()
        self._held = 0
        self._server: asyncio.Server | None = None
        self._watching: asyncio.Task[None] | None = None

    async def start(self, *, reuse_port: bool = False) -> list[tuple[str, int]]:
        """Open the port; return the addresses it listens on.

        Args:
            reuse_port: Whether other processes listen on the same port (one per core).

        Raises:
            UsageError: The port cannot be opened.
        """
        self.loop = asyncio.get_running_loop()
        self.now = self.loop.time
        host, _, port = self.settings.listen.rpartition(":")
        try:
            self._server = await self.loop.create_server(
                lambda: Caller(self),
                host.strip("[]") or None,
                int(port),
                backlog=BACKLOG,
                reuse_port=reuse_port or None,
                ssl=self._tls,
                ssl_handshake_timeout=self.settings.client_timeout if self._tls else None,
            )
        except (OSError, ValueError, OverflowError) as error:
            raise UsageError(f"cannot listen on {self.settings.listen}: {error}") from error
        self._watching = self.loop.create_task(self._watch())
        return [socket.getsockname()[:2] for socket in self._server.sockets]

    async def stop(self, grace: float = 10.0) -> None:
        """Take no more callers, let those under way finish, then close."""
        self.closing = True
        if self._server is not None:
            self._server.close()
        for caller in list(self._callers):
            caller.shut()
        end = self.now() + grace
        while self._callers and self.now() < end:
            await asyncio.sleep(0.02)
        for caller in list(self._callers):
            caller.cut()
        if self._watching is not None:
            self._watching.cancel()
        self.pool.close()
        self.desk.rest()

    async def _watch(self) -> None:
        """End what takes too long, with one look at every connection each time."""
        shortest = min(self.settings.timeout, self.settings.client_timeout)
        while True:
            await asyncio.sleep(min(0.1, shortest / 4))
            now = self.now()
            self.desk.due()
            for caller in [each for each in self._callers if each.deadline < now]:
                caller.overdue()
            self.pool.sweep(now)

    # What follows is called by the connections.

    def admit(self, caller: Caller) -> bool:
        """Note a connection; say whether there is room for it."""
        self._callers.add(caller)
        return len(self._callers) <= MAX_CALLERS

    def leave(self, caller: Caller) -> None:
        """Forget a connection."""
        self._callers.discard(caller)

    def hold(self, size: int) -> bool:
        """Account for bytes of bodies under way; say whether there is room."""
        self._held += size
        return self._held <= BODIES * self.settings.max_body

    def count(self, name: str, label: str) -> None:
        """Count something that happened."""
        self.counts[name, label] += 1

    @property
    def connections(self) -> int:
        """Connections of callers that are open now."""
        return len(self._callers)
