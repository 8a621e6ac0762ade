"""Patience with an endpoint: how often to ask, how long to wait, and when to stop.

Between a target and its transport: every request goes through `Patience.call`, which holds the
caps on rate, spend and time, and asks again what may succeed later. It knows no protocol.
"""

from __future__ import annotations

import math
import random
import threading
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from casemate.errors import TargetError

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

LONGEST_WAIT = 60.0
"""Seconds; an endpoint that asks for more is given up on, and says so."""
_FIRST_WAIT = 0.25


class Later(NamedTuple):
    """A request failed in a way that may pass."""

    reason: str
    after: float | None = None
    """Seconds the endpoint asked to be left alone."""


class Caps(NamedTuple):
    """What an endpoint may cost."""

    timeout: float = 30.0
    """Seconds for one request."""
    retries: int = 4
    rate: float | None = None
    """Requests per second."""
    inputs: int | None = None
    """Inputs sent in all, retries included."""
    requests: int | None = None
    """Requests sent in all, retries included."""
    deadline: float | None = None
    """Seconds for everything, from the first request on."""


class Patience:
    """The account of one endpoint; safe to share between threads."""

    def __init__(
        self, caps: Caps, *, permit: Callable[[int], float] | None = None, seed: int | None = None
    ) -> None:
        """Count from nothing.

        Args:
            caps: What this endpoint may cost.
            permit: Asked before every request with its inputs: returns the seconds to wait, or
                raises TargetError. For what several endpoints share.
            seed: Of the jitter.
        """
        self.caps = caps
        self._permit = permit
        self.inputs = 0
        self.requests = 0
        self._random = random.Random(seed)  # noqa: S311 - spreads retries, guards nothing
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._next = 0.0
        self._started: float | None = None

    def call(self, inputs: int, send: Callable[[float], T | Later]) -> T:
        """Send one request about so many inputs, again while it makes sense.

        Args:
            inputs: Counted against the cap for every attempt.
            send: Takes the seconds it may last; returns its result, or Later.

        Raises:
            TargetError: A cap was reached (`retry` false), or the endpoint kept failing (true).
        """
        attempt = 0
        while True:
            self._enter(inputs)
            outcome = send(min(self.caps.timeout, self.left()))
            if not isinstance(outcome, Later):
                return outcome
            attempt += 1
            if attempt > self.caps.retries:
                again = f", {attempt} times in a row" if attempt > 1 else ""
                raise TargetError(f"the endpoint {outcome.reason}{again}", retry=True)
            wait = outcome.after
            if wait is None:
                # Full jitter, so that several clients do not come back at the same moment.
                wait = self._random.uniform(0.5, 1) * _FIRST_WAIT * 2 ** (attempt - 1)
            if wait > min(LONGEST_WAIT, self.left()):
                raise TargetError(
                    f"the endpoint {outcome.reason}, and waiting {wait:.0f} s is too long",
                    retry=True,
                )
            self._sleep(wait)

    def left(self) -> float:
        """Return the seconds left for everything; infinity without a deadline."""
        if self.caps.deadline is None or self._started is None:
            return math.inf
        return max(0.0, self._started + self.caps.deadline - time.monotonic())

    def close(self) -> None:
        """Wake whoever waits; every later call fails."""
        self._closed.set()

    def _enter(self, inputs: int) -> None:
        with self._lock:
            now = time.monotonic()
            if self._started is None:
                self._started = now
            caps = self.caps
            if self.left() <= 0:
                raise TargetError(f"the endpoint's deadline of {caps.deadline:g} s is over")
            if caps.inputs is not None and self.inputs + inputs > caps.inputs:
                raise TargetError(
                    f"the cap of {caps.inputs} inputs to the endpoint is spent",
                    hint="raise the spend, or attack fewer inputs with a smaller budget",
                )
            if caps.requests is not None and self.requests + 1 > caps.requests:
                raise TargetError(f"the cap of {caps.requests} requests to the endpoint is spent")
            self.inputs += inputs
            self.requests += 1
            turn = max(now, self._next)
            self._next = turn + (1 / caps.rate if caps.rate else 0.0)
        self._sleep(turn - now)
        if self._permit is not None:
            self._sleep(self._permit(inputs))

    def _sleep(self, seconds: float) -> None:
        if self._closed.is_set() or (seconds > 0 and self._closed.wait(seconds)):
            raise TargetError("the endpoint was closed")


def retry_after(text: str | None) -> float | None:
    """Return the seconds a Retry-After header asks for, None when it says nothing readable."""
    if not text or len(text) > 100:
        return None
    if text.strip().isdecimal():
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())
