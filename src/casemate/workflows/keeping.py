"""Captured payloads on their way into the vault, off the path of the request.

Encrypting and syncing take milliseconds, so a thread does it. What it cannot keep up with, or what
the disk refuses, is dropped and counted: the event stays, its payload is not there.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from typing import TYPE_CHECKING

from casemate.errors import CasemateError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from casemate.guard.ask import Payload
    from casemate.store.payloads import Vault

_WAITING = 1000
_DAY_S = 86400.0
_log = logging.getLogger(__name__)


class Keeping:
    """A thread that keeps payloads; `capture` never waits."""

    def __init__(self, vault: Vault, held: Callable[[], int | None] = lambda: None) -> None:
        """Start at once.

        Args:
            vault: Where they go; what is older than its days is destroyed once a day.
            held: Says from when on nothing is destroyed, in microseconds since the epoch.
        """
        self._held = held
        self.lost = 0
        """Payloads that were to be kept and are not."""
        self._vault = vault
        self._waiting: queue.Queue[tuple[Payload, int] | None] = queue.Queue(_WAITING)
        self._thread = threading.Thread(target=self._work, name="casemate-payloads", daemon=True)
        self._thread.start()

    def capture(self, payloads: Sequence[Payload]) -> None:
        """Take payloads."""
        for one in payloads:
            try:
                self._waiting.put_nowait((one, time.time_ns() // 1000))
            except queue.Full:
                self.lost += 1

    def close(self) -> None:
        """Keep what waits, then end."""
        self._waiting.put(None)
        self._thread.join(30)

    def _work(self) -> None:
        cleaned = 0.0
        while True:
            if not cleaned or time.monotonic() - cleaned > _DAY_S:
                cleaned = time.monotonic()
                self._try(lambda: self._vault.expire(time.time_ns() // 1000, self._held()))
            try:
                taken = self._waiting.get(timeout=60)
            except queue.Empty:
                continue
            if taken is None:
                return
            one, at = taken
            kept = self._try(
                lambda one=one, at=at: self._vault.keep(
                    one.digest, one.principal, one.content_type, one.body, at=at
                )
            )
            self.lost += not kept

    def _try(self, work: object) -> bool:
        try:
            return bool(work()) if callable(work) else False
        except CasemateError as error:
            _log.error("payloads: %s", error)
            return False
