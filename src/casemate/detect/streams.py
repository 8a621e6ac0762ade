"""A stream: the near-duplicates of one input in the order they came, whoever sent them.

The query-provenance graph in the form in which it can be kept: of all nodes only the base, the
previous one and the best so far, of all edges only what they add to the evidence. Each step (an
input that is nearly, not exactly, an earlier one) is weighed for three patterns that clients
with other aims do not show; what it weighs is in `gain`, the sums are kept here and per account.
"""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from casemate.detect.odds import bet

if TYPE_CHECKING:
    from casemate.records.event import Event

FIRST, LAST = 32, 32
"""Evidence kept of a stream: so many of its first ids and of its last."""
MOST_PRINCIPALS = 64

RETURNS = bet(0.15, 0.7)
"""After a step that made nothing worse for the label, the next one starts from the best again."""
HALVES = bet(0.12, 0.8)
"""A step is half as long as the one before: a search for the point where the label turns."""
HALF = (0.4, 0.62)
SAME = 0.04
"""Two steps are of the same length when their ratio is within this of 1."""
PROBES = {
    ("same", True): math.log(0.30 / 0.02),
    ("same", False): math.log(0.30 / 0.10),
    ("half", True): math.log(0.12 / 0.04),
    ("half", False): math.log(0.08 / 0.06),
    ("other", True): math.log(0.10 / 0.20),
    ("other", False): math.log(0.10 / 0.58),
}
"""Steps of one length whose label turns again and again: probes on the border. What a step is like
and whether the label turned: its log odds in an attack on labels against an explainer's."""


class Gain(NamedTuple):
    """What one step adds to the evidence, in nats."""

    descent: float = 0.0
    search: float = 0.0
    probing: float = 0.0
    hugging: float = 0.0


class Stream:
    """The steps of one near-duplicate cluster."""

    __slots__ = (
        "base",
        "base_margin",
        "began",
        "best",
        "best_margin",
        "cluster",
        "descent",
        "falls",
        "first",
        "flips",
        "hugging",
        "label",
        "labels",
        "last",
        "last_at",
        "length",
        "previous",
        "principals",
        "probing",
        "returns",
        "search",
        "steps",
        "told",
    )  # fmt: skip

    def __init__(self, cluster: int, base: str, began: int) -> None:
        self.cluster, self.base, self.began, self.last_at = cluster, base, began, began
        self.best = self.previous = base
        self.label: int | None = None
        self.base_margin: float | None = None
        self.best_margin: float | None = None
        self.length: float | None = None
        self.steps = self.flips = self.falls = self.returns = 0
        self.descent = self.search = self.probing = self.hugging = 0.0
        self.labels: set[int] = set()
        self.principals: dict[str, int] = {}
        self.first: list[str] = []
        self.last: deque[str] = deque(maxlen=LAST)
        self.told: set[str] = set()

    def open(self, label: int | None, margin: float | None) -> None:
        """Take the answer to the stream's first input, where it is known."""
        self.label, self.base_margin, self.best_margin = label, margin, margin
        if label is not None:
            self.labels.add(label)

    def add(self, event: Event, ident: str, low: float | None) -> Gain:
        """Weigh one step.

        Args:
            event: The step.
            ident: Its id.
            low: Margin below which the model's usual inputs hardly ever lie; None: not known.
        """
        m = event.measures
        self.steps += 1
        self.last_at = event.at
        if len(self.first) < FIRST:
            self.first.append(ident)
        else:
            self.last.append(ident)
        count = self.principals.get(event.principal)
        if count is not None or len(self.principals) < MOST_PRINCIPALS:
            self.principals[event.principal] = (count or 0) + 1
        if m.label is not None:
            self.labels.add(m.label)
            if self.label is None:
                self.label = m.label
        flipped = bool(m.flipped)
        self.flips += flipped
        descent = self._descend(m.near_to, m.label, m.margin, ident)
        search, probing = self._measure(m.delta, flipped)
        hugging = 0.0
        if low is not None and m.margin is not None:
            hugging = _HUG.yes if m.margin <= low else _HUG.no
            self.hugging = max(0.0, self.hugging + hugging)
        self.previous = ident
        return Gain(descent, search, probing, hugging)

    def _descend(
        self, parent: str | None, label: int | None, margin: float | None, ident: str
    ) -> float:
        """Weigh whether the client goes back to the best it has found: an optimiser does."""
        if margin is None or label is None:
            return 0.0
        signed = margin if label == self.label else -margin
        if self.best_margin is None:
            self.best, self.best_margin = ident, signed
            if self.base_margin is None:
                self.base_margin = signed
            return 0.0
        gain = 0.0
        if self.previous != self.best and self.best != self.base and parent is not None:
            back = parent == self.best
            self.returns += back
            gain = RETURNS.yes if back else RETURNS.no
            self.descent = max(0.0, self.descent + gain)
        if signed < self.best_margin:
            self.best, self.best_margin = ident, signed
            self.falls += 1
        return gain

    def _measure(self, delta: float | None, flipped: bool) -> tuple[float, float]:
        """Weigh the length of the step against that of the one before."""
        if delta is None or delta <= 0:
            return 0.0, 0.0
        before, self.length = self.length, delta
        if before is None:
            return 0.0, 0.0
        ratio = delta / before
        halved = HALF[0] <= ratio <= HALF[1]
        search = HALVES.yes if halved else HALVES.no
        self.search = max(0.0, self.search + search)
        kind = "half" if halved else "same" if abs(ratio - 1) <= SAME else "other"
        probing = PROBES[kind, flipped]
        self.probing = max(0.0, self.probing + probing)
        return search, probing

    def evidence(self) -> tuple[str, ...]:
        """Return the ids kept: the first ones and the last."""
        return (*self.first, *self.last)

    def who(self) -> tuple[str, ...]:
        """Return the principals, the most involved first."""
        return tuple(sorted(self.principals, key=lambda p: -self.principals[p]))


_HUG = bet(0.12, 0.5)
