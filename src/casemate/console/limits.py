"""How often a sign-in may fail, by address and in all; whoever fails too often waits."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

EACH = 5
"""Failures of one address within WINDOW ..."""
ALL = 60
"""... and of all together, before more are let try."""
WINDOW = 60.0
_MOST = 4096
"""Addresses remembered."""


class Failures:
    """Counts failed sign-ins."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._times: OrderedDict[str, list[float]] = OrderedDict()
        self._every: list[float] = []

    def wait(self, address: str) -> float:
        """Return the seconds an address must wait before it may try; 0 for none."""
        now = self._clock()
        with self._lock:
            own = [at for at in self._times.get(address, ()) if now - at < WINDOW]
            self._every = [at for at in self._every if now - at < WINDOW]
            if len(own) >= EACH:
                return WINDOW - (now - own[-EACH])
            if len(self._every) >= ALL:
                return WINDOW - (now - self._every[-ALL])
            return 0.0

    def failed(self, address: str) -> None:
        """Count a failure."""
        now = self._clock()
        with self._lock:
            own = [at for at in self._times.pop(address, ()) if now - at < WINDOW]
            self._times[address] = [*own, now][-EACH:]
            self._every = [*self._every, now][-ALL:]
            while len(self._times) > _MOST:
                self._times.popitem(last=False)

    def passed(self, address: str) -> None:
        """Forget the failures of an address that has shown who it is."""
        with self._lock:
            self._times.pop(address, None)
