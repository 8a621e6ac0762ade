"""An account: what one principal has asked of one model, in a few numbers.

The principal is the user behind a service account, not the account of the service. Evidence that
a client spreads over many inputs, or over several guards, adds up here.
"""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING

from casemate.detect.streams import SEARCH, stride

if TYPE_CHECKING:
    from casemate.detect.models import Place
    from casemate.detect.streams import Gain, Stream
    from casemate.records.event import Event

FIRST, LAST, STREAMS, LABELS, RUN, OPENING = 24, 40, 32, 1000, 64, 8


class Account:
    """Counts and running evidence of one principal on one model."""

    __slots__ = (
        "aparts", "asked", "bases", "began", "broken", "deeper", "descent", "first", "flips",
        "labels", "last", "last_at", "length", "longest", "look", "margins", "marked", "near",
        "norms", "onset", "opening", "principal", "repeats", "run", "run_labels", "search",
        "since", "spoilt", "steps", "streams", "sum_length", "sum_square", "turn", "turning",
    )  # fmt: skip

    def __init__(self, principal: str, marked: str | None, at: int) -> None:
        self.principal, self.marked = principal, marked
        self.began = self.last_at = at
        self.asked = self.repeats = self.steps = self.flips = self.bases = self.spoilt = 0
        self.turn = -(1 << 40)
        """Number of the model's input at which one of its own last stood for the present."""
        self.labels: dict[int, int] = {}
        self.margins: dict[int, int] = {}
        self.norms: dict[int, int] = {}
        self.aparts: dict[int, int] = {}
        """Tenths of usual margins, norms and distances that its inputs fall in, without those that
        repeat an earlier one or nearly do."""
        self.near = self.broken = self.descent = self.search = self.turning = 0.0
        self.onset = 0
        """When the present run of near-duplicates began."""
        self.since = 0
        """Near-duplicates in that run."""
        self.sum_length = self.sum_square = 0.0
        self.look = 0
        """Different inputs at which all of them together are looked at next."""
        self.deeper = 0
        """Near-duplicates whose nearest is itself one."""
        self.longest = 0
        """Near-duplicates around the base that got most of them."""
        self.opening: list[tuple[str, int]] = []
        """Writer and sequence of its first inputs."""
        self.length: float | None = None
        self.run: list[tuple[str, int, int]] = []
        """Writer, sequence and time of the inputs of the present search, while there is one."""
        self.run_labels: set[int | None] = set()
        self.first: list[str] = []
        self.last: deque[str] = deque(maxlen=LAST)
        self.streams: dict[int, Stream] = {}

    def count(self, place: Place) -> None:
        """Count an input that is no repeat."""
        margin, norm, label, apart = place
        if apart >= 0:
            self.aparts[apart] = self.aparts.get(apart, 0) + 1
        if margin >= 0:
            self.margins[margin] = self.margins.get(margin, 0) + 1
        if norm >= 0:
            self.norms[norm] = self.norms.get(norm, 0) + 1
        if label >= 0 and (label in self.labels or len(self.labels) < LABELS):
            self.labels[label] = self.labels.get(label, 0) + 1

    def stride(self, event: Event, delta: float) -> None:
        """Weigh the distance of an input to its nearest against that of the one before.

        A search begins with inputs too far from all others to be linked; their distances halve
        all the same.
        """
        before, self.length = self.length, delta
        if before is None:
            return
        gain = SEARCH[stride(before, delta, event.measures.turn)]
        if self.search + gain <= 0:
            if self.run:
                self.run, self.run_labels, self.search = [], set(), 0.0
            return
        self.search += gain
        if len(self.run) < RUN:
            self.run.append((event.writer, event.sequence, event.at))
        self.run_labels.add(event.measures.label)

    def step(self, event: Event, ident: str, stream: Stream, gain: Gain, near: float) -> None:
        """Add one near-duplicate; `near` is what it is worth by itself."""
        if self.near <= 0:
            self.onset, self.since = event.at, 0
            self.first.clear()
            self.last.clear()
        self.near += near
        self.since += 1
        self.steps += 1
        self.flips += bool(event.measures.flipped)
        self.descent = max(0.0, self.descent + gain.descent)
        self.turning = max(0.0, self.turning + gain.turning)
        length = event.measures.delta or 0.0
        self.sum_length += length
        self.sum_square += length * length
        if len(self.first) < FIRST:
            self.first.append(ident)
        else:
            self.last.append(ident)
        if stream.cluster not in self.streams:
            self.bases += 1
            if len(self.streams) >= STREAMS:
                del self.streams[next(iter(self.streams))]
            self.streams[stream.cluster] = stream
        self.longest = max(self.longest, stream.principals.get(self.principal, 0))

    @property
    def fresh(self) -> int:
        """Inputs that were neither repeats nor near-duplicates."""
        return self.asked - self.repeats - self.steps

    @property
    def spread(self) -> float:
        """Standard deviation of the lengths of its steps over their mean; 0: all alike."""
        if not self.steps or not self.sum_length:
            return 0.0
        mean = self.sum_length / self.steps
        return math.sqrt(max(0.0, self.sum_square / self.steps - mean * mean)) / mean

    def ids(self) -> tuple[str, ...]:
        """Return the ids of its first inputs, as far as they are kept."""
        return tuple(f"{writer}:{sequence}" for writer, sequence in self.opening)

    def evidence(self) -> tuple[str, ...]:
        """Return the ids kept of the present run: the first ones and the last."""
        return (*self.first, *self.last)
