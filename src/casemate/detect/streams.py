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
MOST_PRINCIPALS, MOST_LABELS = 64, 16
FEW = 3
"""Steps of a principal that may be chance."""

RETURNS = bet(0.2, 0.7)
"""The next try starts from the best input so far, or from the one that others started from."""
TURNS_BACK = bet(0.15, 0.5)
"""After a try with one label the next starts from the last input that had another."""
LINE = 0.9
"""Steps lie on one line when the cosine of their angle is beyond this, either way."""
HALF = (0.38, 0.68)
"""A step is half as long as the one before when their ratio is in here."""
SEARCH = {
    "line": math.log(0.55 / 0.02),
    "unknown": math.log(0.50 / 0.10),
    "half": math.log(0.20 / 0.10),
    "other": math.log(0.20 / 0.88),
}
"""A search for the point where the label turns: log odds of what a step is like. `line`: half as
long as the one before and on a line with it; `unknown`: half as long, angle not known."""
SEARCHES = {
    "line": math.log(0.15 / 0.015),
    "unknown": 0.0,
    "half": 0.0,
    "other": math.log(0.74 / 0.875),
}
"""The same where searches come now and then, between other steps."""


class Gain(NamedTuple):
    """What one step adds to the evidence, in nats."""

    descent: float
    turning: float


def stride(before: float, delta: float, turn: float | None) -> str:
    """Return the kind of a step, by its length, that of the one before and their angle."""
    if not HALF[0] <= delta / before <= HALF[1]:
        return "other"
    if turn is None:
        return "unknown"
    return "line" if abs(turn) >= LINE else "half"


class Stream:
    """The steps around one base input, near-duplicates of it or of one another."""

    __slots__ = (
        "base", "base_margin", "began", "best", "best_margin", "cluster", "descent", "falls",
        "first", "flips", "label", "labels", "last", "last_at", "last_label", "length",
        "pivot", "previous", "principals", "returns", "search", "searches", "steps", "turning",
    )  # fmt: skip

    def __init__(self, cluster: int, base: str, began: int) -> None:
        self.cluster, self.base, self.began, self.last_at = cluster, base, began, began
        self.best = self.previous = base
        self.pivot = base
        """The input that several steps started from, last of those that made the label weaker."""
        self.label: int | None = None
        self.last_label: int | None = None
        self.base_margin: float | None = None
        self.best_margin: float | None = None
        self.length: float | None = None
        self.steps = self.flips = self.falls = self.returns = 0
        self.descent = self.search = self.searches = self.turning = 0.0
        self.labels: dict[int, str] = {}
        """By label the last input that had it."""
        self.principals: dict[str, int] = {}
        self.first: list[str] = []
        self.last: deque[str] = deque(maxlen=LAST)

    def open(self, label: int | None, margin: float | None) -> None:
        """Take the answer to the stream's first input, where it is known."""
        self.label = self.last_label = label
        self.base_margin = self.best_margin = margin
        if label is not None:
            self.labels[label] = self.base

    def add(self, event: Event, ident: str) -> Gain:
        """Weigh one step; `ident` is its event's id."""
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
        self.flips += bool(m.flipped)
        self._search(m.delta, m.turn)
        gain = Gain(
            self._descend(m.near_to, m.label, m.margin, ident),
            self._turn(m.near_to, m.label, ident),
        )
        self.previous = ident
        return gain

    def _descend(
        self, parent: str | None, label: int | None, margin: float | None, ident: str
    ) -> float:
        """Weigh whether the client goes back to the best it has found: an optimiser does."""
        if margin is None or label is None:
            return 0.0
        if self.label is None:
            self.label = label
        signed = margin if label == self.label else -margin
        if self.best_margin is None:
            self.best = self.pivot = self.base = ident
            self.base_margin = self.best_margin = signed
            return 0.0
        gain = 0.0
        if self.best != self.base:
            if parent == self.best:
                self.pivot = parent
            # What has just made the label weaker was not given up: a film that fades goes on so.
            if parent != self.previous and self.previous != self.best:
                back = parent in (self.best, self.pivot) and parent != self.base
                self.returns += back
                gain = RETURNS.yes if back else RETURNS.no
                self.descent = max(0.0, self.descent + gain)
        if signed < self.best_margin:
            self.best, self.best_margin = ident, signed
            self.falls += 1
        return gain

    def _search(self, delta: float | None, turn: float | None) -> None:
        """Weigh the length of the step against that of the one before."""
        if delta is None or delta <= 0:
            return
        before, self.length = self.length, delta
        if before is None:
            return
        kind = stride(before, delta, turn)
        self.search = max(0.0, self.search + SEARCH[kind])
        self.searches = max(0.0, self.searches + SEARCHES[kind])

    def _turn(self, parent: str | None, label: int | None, ident: str) -> float:
        """Weigh whether a try of one label is followed by one from the last of another."""
        if label is None:
            return 0.0
        gain = 0.0
        if len(self.labels) > 1 and parent != self.previous and self.last_label is not None:
            back = any(
                parent == last for other, last in self.labels.items() if other != self.last_label
            )
            gain = TURNS_BACK.yes if back else TURNS_BACK.no
            self.turning = max(0.0, self.turning + gain)
        self.last_label = label
        if label in self.labels or len(self.labels) < MOST_LABELS:
            self.labels[label] = ident
        return gain

    def evidence(self) -> tuple[str, ...]:
        """Return the ids kept: the first ones and the last."""
        return (*self.first, *self.last)

    def who(self) -> tuple[str, ...]:
        """Return the principals it is the work of, the most involved first.

        Whoever sent an input or two into the stream of another's search is not one of them; where
        nobody sent many, it is the work of all.
        """
        ordered = sorted(self.principals, key=lambda p: -self.principals[p])
        few = max(FEW, self.steps // 50)
        if self.principals[ordered[0]] * 5 < self.steps:
            return tuple(ordered)
        return tuple(p for p in ordered if p == ordered[0] or self.principals[p] > few)
