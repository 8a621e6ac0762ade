"""A model as its callers see it: what is usual, learned from the traffic and hard to bend.

Only the first input of each near-duplicate cluster counts, and only a few of each principal, so
that one client cannot teach the watch that what it does is usual. Red-team traffic never counts.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from typing import TYPE_CHECKING

from casemate.detect import odds

if TYPE_CHECKING:
    from casemate.detect.accounts import Account
    from casemate.records.event import Measures

KEPT = 2048
"""Inputs a baseline is made of; the first that count, then it stands."""
OF_ONE = 64
"""Most inputs of one principal that count."""
ENOUGH = 200
"""Inputs before the baseline says anything."""
APART = 0.01
"""Share of usual inputs that are nearer to an earlier one than ..."""
CROWDED = 0.6
"""... `apart` over this: the more inputs a guard remembers, the nearer is the nearest."""
PEERS = 10
"""Principals before what is usual for a principal is known."""
ALONE = 1000
"""Inputs after which a model with fewer principals than that is judged without them."""
RECENT = 1000
"""Inputs that stand for the present."""
SPREAD = 20
"""One in so many inputs of the present may be of the same principal."""
TENTHS = 10

Place = tuple[int, int, int, int]
"""Tenths of usual margins and of usual norms, the label, and the tenth of usual distances to the
nearest earlier input; -1 where not known."""


class Baseline:
    """What usual inputs of a model look like, by its answers and by their own size."""

    __slots__ = ("_aparts", "_cuts", "_due", "apart", "labels", "margins", "norms", "seen")

    def __init__(self) -> None:
        self.seen = 0
        self.margins: list[float] = []
        self.norms: list[float] = []
        self.labels: dict[int, int] = {}
        self.apart = 0.0
        """Distance to the nearest earlier input that usual inputs hardly ever fall below."""
        self._aparts: list[float] = []
        self._due = ENOUGH
        self._cuts: tuple[list[float], list[float], list[float]] = ([], [], [])

    def add(self, m: Measures) -> None:
        """Count one usual input, until there are enough for good."""
        if self.seen >= KEPT:
            return
        self.seen += 1
        if m.label is not None:
            self.labels[m.label] = self.labels.get(m.label, 0) + 1
        if m.margin is not None:
            self.margins.append(m.margin)
        if m.norm is not None:
            self.norms.append(m.norm)
        if m.delta is not None and m.delta > 0:
            self._aparts.append(m.delta)
        if self.seen >= self._due:
            self._settle()

    def _settle(self) -> None:
        self._due = min(KEPT, 2 * self.seen)
        self._cuts = _cuts(self.margins), _cuts(self.norms), _cuts(self._aparts)
        if len(self._aparts) >= ENOUGH:
            self.apart = CROWDED * sorted(self._aparts)[int(APART * len(self._aparts))]

    def place(self, m: Measures) -> Place:
        """Return where an input stands among the usual ones."""
        margins, norms, aparts = self._cuts
        return (
            bisect_left(margins, m.margin) if margins and m.margin is not None else -1,
            bisect_left(norms, m.norm) if norms and m.norm is not None else -1,
            -1 if m.label is None else m.label,
            bisect_left(aparts, m.delta) if aparts and m.delta else -1,
        )

    @property
    def ready(self) -> bool:
        """Whether enough was seen to speak of what is usual."""
        return self.seen >= ENOUGH


def _cuts(values: list[float]) -> list[float]:
    """Return the nine values that cut `values` into tenths, none where there are too few."""
    if len(values) < ENOUGH:
        return []
    ordered = sorted(values)
    found = [ordered[len(ordered) * i // TENTHS] for i in range(1, TENTHS)]
    # Answers of few different values, such as votes of a forest, have no tenths.
    return found if len(set(found)) == len(found) else []


class Model:
    """What the watch knows of one model: its baseline, its callers, how much it has looked at."""

    __slots__ = (
        "_breaks", "_near", "_shares", "_spoilt", "accounts", "baseline", "began", "callers",
        "given", "inputs", "last_at", "name", "present", "recent", "steps",
    )  # fmt: skip

    def __init__(self, name: str, at: int, baseline: Baseline | None = None) -> None:
        self.name, self.began, self.last_at = name, at, at
        self.given = baseline is not None
        self.baseline = baseline or Baseline()
        self.accounts: dict[str, Account] = {}
        self.inputs = self.steps = 0
        self.recent: deque[tuple[str, Place]] = deque()
        """Who asked and where it stands, spread over principals."""
        self.present: tuple[dict[int, int], ...] = ({}, {}, {}, {})
        """The same, counted: margins, norms, labels, distances."""
        self.callers: dict[str, int] = {}
        """The same, by principal."""
        self._shares: deque[float] = deque(maxlen=512)
        self._spoilt: deque[float] = deque(maxlen=512)
        self._near = odds.bet(0.02, 0.6)
        self._breaks = odds.bet(0.02, 0.4)

    def usual(self, m: Measures, account: Account) -> None:
        """Count an input that is nobody's near-duplicate."""
        if account.asked <= OF_ONE and account.marked is None and not self.given:
            self.baseline.add(m)

    def now(self, account: Account, place: Place) -> None:
        """Count an input for the present, unless its principal has just had its turn."""
        if self.inputs - account.turn < SPREAD:
            return
        account.turn = self.inputs
        if len(self.recent) == RECENT:
            self._present(*self.recent.popleft(), -1)
        self.recent.append((account.principal, place))
        self._present(account.principal, place, 1)

    def _present(self, who: str, place: Place, sign: int) -> None:
        for counts, value in zip(self.present, place, strict=True):
            if value >= 0:
                counts[value] = counts.get(value, 0) + sign
                if not counts[value]:
                    del counts[value]
        self.callers[who] = self.callers.get(who, 0) + sign
        if not self.callers[who]:
            del self.callers[who]

    def peer(self, account: Account) -> None:
        """Learn from a principal at its tenth input what principals send."""
        self._shares.append(account.steps / account.asked)
        self._spoilt.append(account.spoilt / account.asked)
        if len(self._shares) >= PEERS:
            usual = _usual(self._shares)
            self._near = odds.bet(usual, max(0.6, min(0.95, usual + 0.3)))
            usual = _usual(self._spoilt)
            self._breaks = odds.bet(usual, max(0.4, min(0.95, usual + 0.3)))

    @property
    def near(self) -> odds.Bet:
        """What an input is worth for being, or not being, a near-duplicate."""
        return self._near

    @property
    def breaks(self) -> odds.Bet:
        """What an input is worth for breaking, or keeping, the input contract.

        Nothing until it is known how often everybody does, or there is hardly anybody else.
        """
        known = len(self._spoilt) >= PEERS or self.inputs >= ALONE
        return self._breaks if known else _NOTHING

    def bar(self, budget: float, tests: int, floor: float) -> float:
        """Return the evidence a test needs on this model, in nats."""
        return odds.bar(self.steps, self.last_at - self.began, budget, tests, floor)


def _usual(shares: deque[float]) -> float:
    """Return a share that hardly a principal exceeds for long: each counts once, whatever it sends.

    Three times the mean of all but the highest quarter, so that attackers do not make it usual.
    """
    lower = sorted(shares)[: max(1, 3 * len(shares) // 4)]
    return min(0.6, max(0.02, 3 * sum(lower) / len(lower)))


_NOTHING = odds.Bet(0.0, 0.0)
