"""An account: what one principal has asked of one model, in a few numbers.

The principal is the user behind a service account, not the account of the service. Evidence that
a client spreads over many inputs, or over several guards, adds up here.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from casemate.detect.streams import Gain, Stream
    from casemate.records.event import Event

FIRST, LAST, STREAMS = 24, 40, 32


class Account:
    """Counts and running evidence of one principal on one model."""

    __slots__ = (
        "asked", "began", "broken", "declared", "descent", "falls", "first", "first_step", "flips",
        "labels", "last", "last_at", "low", "marked", "near", "onset", "principal", "probing",
        "repeats", "search", "since", "steps", "streams", "told",
    )  # fmt: skip

    def __init__(self, principal: str, marked: str | None, at: int) -> None:
        self.principal, self.marked = principal, marked
        self.began = self.last_at = at
        self.asked = self.repeats = self.steps = self.flips = self.falls = self.broken = 0
        self.declared: str | None = None
        self.labels: dict[int, int] = {}
        self.near = self.descent = self.search = self.probing = self.low = 0.0
        self.onset = 0
        """When the present run of near-duplicates began."""
        self.since = 0
        """Near-duplicates in that run."""
        self.first_step = 0
        self.first: list[str] = []
        self.last: deque[str] = deque(maxlen=LAST)
        self.streams: dict[int, Stream] = {}
        self.told: dict[str, int] = {}

    def step(self, event: Event, ident: str, stream: Stream, gain: Gain, near: float) -> None:
        """Add one near-duplicate; `near` is what it is worth by itself."""
        if self.near <= 0 or not self.since:
            self.onset, self.since, self.near = event.at, 0, 0.0
            self.first.clear()
            self.last.clear()
        self.near += near
        self.since += 1
        self.steps += 1
        self.first_step = self.first_step or event.at
        self.flips += bool(event.measures.flipped)
        self.descent = max(0.0, self.descent + gain.descent)
        self.search = max(0.0, self.search + gain.search)
        self.probing = max(0.0, self.probing + gain.probing)
        if len(self.first) < FIRST:
            self.first.append(ident)
        else:
            self.last.append(ident)
        if stream.cluster not in self.streams:
            if len(self.streams) >= STREAMS:
                del self.streams[next(iter(self.streams))]
            self.streams[stream.cluster] = stream

    def evidence(self) -> tuple[str, ...]:
        """Return the ids kept of the present run: the first ones and the last."""
        return (*self.first, *self.last)
