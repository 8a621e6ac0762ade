"""How often a sign-in may fail by address, and how many failures are put on the trail.

Keys and tokens are 256 random bits: nobody guesses one, so that whoever shows a good one is let in
however often others failed. What is bounded is what failures cost.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

EACH = 5
"""Failures of one address within WINDOW."""
LISTED = 60
"""Failures of all addresses together within WINDOW that get a line of their own."""
WINDOW = 60.0
_MOST = 4096
"""Addresses remembered."""


class Failures:
    """Counts failed sign-ins."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._times: OrderedDict[str, list[float]] = OrderedDict()
        self._listed: list[float] = []
        self._unlisted = 0

    def wait(self, address: str) -> float:
        """Return the seconds an address must wait before it may try; 0 for none."""
        now = self._clock()
        with self._lock:
            own = [at for at in self._times.get(address, ()) if now - at < WINDOW]
            if len(own) >= EACH:
                return WINDOW - (now - own[-EACH])
            return 0.0

    def failed(self, address: str) -> int | None:
        """Count a failure; return how many went unlisted before it, None when it does itself."""
        now = self._clock()
        with self._lock:
            own = [at for at in self._times.pop(address, ()) if now - at < WINDOW]
            self._times[address] = [*own, now][-EACH:]
            while len(self._times) > _MOST:
                self._times.popitem(last=False)
            self._listed = [at for at in self._listed if now - at < WINDOW]
            if len(self._listed) >= LISTED:
                self._unlisted += 1
                return None
            self._listed.append(now)
            unlisted, self._unlisted = self._unlisted, 0
            return unlisted

    def passed(self, address: str) -> None:
        """Forget the failures of an address that has shown who it is."""
        with self._lock:
            self._times.pop(address, None)
