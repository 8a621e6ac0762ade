"""A model as its callers see it: what is usual, learned from the traffic and hard to bend.

Only the first input of each near-duplicate cluster counts, and only a few of each principal, so
that one client cannot teach the watch that what it does is usual. Red-team traffic never counts.
"""

from __future__ import annotations

import math
import random
from bisect import bisect_left
from collections import deque
from typing import TYPE_CHECKING

from casemate.detect import odds

if TYPE_CHECKING:
    from casemate.detect.accounts import Account
    from casemate.records.event import Measures

KEPT = 4096
"""Inputs the baseline remembers, drawn evenly from all that counted."""
OF_ONE = 64
"""Most inputs of one principal that count."""
ENOUGH = 200
"""Inputs before the baseline says anything."""
LOW = 0.02
"""Share of usual inputs whose margin is `low` or less."""
PEERS = 10
"""Principals before what is usual for a principal is known."""
_REFRESH = 128


class Baseline:
    """What usual inputs of a model look like, by its answers and by their own size."""

    __slots__ = ("_cuts", "_due", "_random", "labels", "low", "margins", "norms", "seen")

    def __init__(self) -> None:
        self.seen = 0
        self.margins: list[float] = []
        self.norms: list[float] = []
        self.labels: dict[int, int] = {}
        self.low: float | None = None
        """Margin that usual inputs hardly ever fall below; None until enough were seen."""
        self._random = random.Random(7)  # noqa: S311 - which inputs are kept is no secret
        self._due = ENOUGH
        self._cuts: dict[str, list[float]] = {}

    def add(self, m: Measures) -> None:
        """Count one usual input."""
        self.seen += 1
        if m.label is not None:
            self.labels[m.label] = self.labels.get(m.label, 0) + 1
        if m.margin is not None:
            self._keep(self.margins, m.margin)
        if m.norm is not None:
            self._keep(self.norms, m.norm)
        if self.seen >= self._due:
            self.settle()

    def _keep(self, values: list[float], value: float) -> None:
        if len(values) < KEPT:
            values.append(value)
            return
        place = self._random.randrange(self.seen)
        if place < KEPT:
            values[place] = value

    def settle(self) -> None:
        """Work out the quantiles anew."""
        self._due = self.seen + max(_REFRESH, self.seen // 8)
        self._cuts = {
            name: cuts(values)
            for name, values in (("margin", self.margins), ("norm", self.norms))
            if len(values) >= ENOUGH
        }
        if len(self.margins) >= ENOUGH:
            ordered = sorted(self.margins)
            self.low = ordered[max(0, math.ceil(LOW * len(ordered)) - 1)]

    def place(self, m: Measures) -> tuple[int, int]:
        """Return the tenths of usual inputs that margin and norm fall in; -1 where not known."""
        margin, norm = self._cuts.get("margin"), self._cuts.get("norm")
        return (
            bisect_left(margin, m.margin) if margin and m.margin is not None else -1,
            bisect_left(norm, m.norm) if norm and m.norm is not None else -1,
        )

    @property
    def ready(self) -> bool:
        """Whether enough was seen to speak of what is usual."""
        return self.seen >= ENOUGH


def cuts(values: list[float]) -> list[float]:
    """Return the nine values that cut `values` into tenths."""
    ordered = sorted(values)
    return [ordered[len(ordered) * i // 10] for i in range(1, 10)]


class Model:
    """What the watch knows of one model: its baseline, its peers, how much it has looked at."""

    __slots__ = (
        "_near", "_shares", "accounts", "baseline", "began", "given", "inputs", "last_at", "name",
        "steps", "told",
    )  # fmt: skip

    def __init__(self, name: str, at: int, baseline: Baseline | None = None) -> None:
        self.name, self.began, self.last_at = name, at, at
        self.given = baseline is not None
        self.baseline = baseline or Baseline()
        self.inputs = self.steps = self.accounts = 0
        self._shares: deque[float] = deque(maxlen=512)
        self._near = odds.bet(0.02, 0.6)
        self.told: dict[str, int] = {}

    def usual(self, m: Measures, account: Account) -> None:
        """Count an input that is nobody's near-duplicate."""
        if account.asked <= OF_ONE and account.marked is None and not self.given:
            self.baseline.add(m)

    def peer(self, account: Account) -> None:
        """Learn how many near-duplicates a principal sends, at its tenth input."""
        self._shares.append(account.steps / account.asked)
        if len(self._shares) >= PEERS:
            ordered = sorted(self._shares)
            usual = ordered[int(0.9 * len(ordered))]
            self._near = odds.bet(min(0.5, max(0.02, usual)), max(0.6, min(0.9, usual + 0.3)))

    @property
    def near(self) -> odds.Bet:
        """What an input is worth for being, or not being, a near-duplicate."""
        return self._near

    def bar(self, budget: float, tests: int, floor: float) -> float:
        """Return the evidence a test needs on this model, in nats."""
        return odds.bar(self.steps, self.last_at - self.began, budget, tests, floor)
