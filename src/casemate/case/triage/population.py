"""Everybody: what is usual, whether all inputs changed at once, whether answers stopped coming."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from casemate.case.triage.questions import Point, Row

TENTHS = 10
LARGE = 0.25
"""Population stability index from which a shift is called large; a rule of thumb of credit
scoring that is older than any of its sources."""
FEWEST = 150
"""Inputs on each side of a change."""
LOUD = 3
"""Principals left out when it is asked whether everybody changed."""
FAILING, SLOWER, UNSEEN = 0.1, 4.0, 0.05
"""Share of failures, factor of time and share of unseen requests that are called an outage."""
SOME = 10
EDGE = 98
"""Percentile beyond which a size or a distance is no usual one."""
UNLIKE = 1.0
"""Distance beyond which inputs have hardly anything in common (records/event.py, `delta`)."""


class Usual:
    """What inputs are like, by their size, their margin, their label and how near others are."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self.rows = rows
        self.cuts = {name: _cuts(_values(rows, name)) for name in ("norm", "margin", "delta")}
        # Answers of few different values, such as votes of a forest, have tenths of unlike size.
        self._tenths = {
            name: Counter(bisect_left(cuts, value) for value in _values(rows, name))
            for name, cuts in self.cuts.items()
        }
        self.labels = Counter(row["label"] for row in rows if row["label"] is not None)
        near = sorted(value for value in _values(rows, "delta") if value > 0)
        there = len(near) >= FEWEST
        self.apart = (
            near[len(near) // 4] if there else 0.0,
            min(near[3 * len(near) // 4], UNLIKE) if there else 0.0,
        )
        """A quarter, and three quarters, of usual inputs have an earlier one as near as this."""
        self.length = near[len(near) // 2] if there else 0.0
        """Median distance of a usual input to the nearest earlier one."""
        self._alone = near[EDGE * len(near) // 100] if there else math.inf
        norms = sorted(_values(rows, "norm"))
        edge = (100 - EDGE) * len(norms) // 100
        known = len(norms) >= FEWEST
        self.norms = (norms[edge], norms[-1 - edge]) if known else (-math.inf, math.inf)
        """The sizes that nearly all usual inputs are between."""

    def unlike(self, rows: Sequence[Row]) -> dict[str, float]:
        """Return by measure how unlike rows are: a stability index, chance taken off."""
        found = {}
        for name, cuts in self.cuts.items():
            if cuts:
                seen = Counter(bisect_left(cuts, value) for value in _values(rows, name))
                found[name] = _index(seen, self._tenths[name])
        if self.labels:
            seen = Counter(row["label"] for row in rows if row["label"] is not None)
            found["label"] = _index(seen, self.labels)
        return found

    def sized(self, row: Row) -> bool:
        """Say whether an input has the size of a usual one."""
        norm = row["norm"]
        return norm is None or self.norms[0] <= norm <= self.norms[1]

    def met(self, row: Row) -> bool:
        """Say whether an input has an earlier one as near as usual ones have."""
        delta = row["delta"]
        # A judge that found nothing near has looked at few places; size must speak too.
        return self.sized(row) if delta is None else bool(delta <= self._alone)

    @property
    def kinds(self) -> float:
        """Return how many equally frequent labels would be as mixed as usual ones."""
        return kinds(self.labels)


class Change(NamedTuple):
    """A moment from which on everybody's inputs, or the answers to them, are different."""

    at: int
    shift: float
    """Stability index."""
    what: str
    inputs: bool
    """Whether the inputs changed, and not the answers alone."""
    versions: tuple[str, ...]
    """Versions of the model before and after, where they differ."""


class Outage(NamedTuple):
    """A time in which requests failed, took long or were not seen."""

    began: int
    ended: int
    what: str
    share: float
    affected: int


def changed(rows: Sequence[Row]) -> Change | None:
    """Return the largest change of everybody's inputs or answers; None where there is none.

    The inputs before each of a few moments are held against those after it; the loudest principals
    are left out, so that few cannot make a change of all.
    """
    by = Counter(row["principal"] for row in rows)
    loud = {who for who, _ in by.most_common(LOUD)}
    rest = [row for row in rows if row["principal"] not in loud]
    best: Change | None = None
    for part in range(1, 20):
        at = len(rest) * part // 20
        before, after = rest[:at], rest[at:]
        known = {row["principal"] for row in before}
        stayed = [row for row in after if row["principal"] in known]
        # Newcomers with inputs of their own are no drift, where enough of the others stayed.
        after = stayed if len(stayed) >= FEWEST else after
        if min(len(before), len(after)) < FEWEST:
            continue
        if len({row["principal"] for row in after}) < 5:
            continue
        then = Usual(before)
        for what, index in then.unlike(after).items():
            # Distances to earlier inputs shrink by themselves, the more a guard remembers.
            if what == "delta" or index < LARGE or (best is not None and index <= best.shift):
                continue
            inputs = then.unlike(after).get("norm", 0.0) >= LARGE / 2
            versions = _versions(before), _versions(after)
            told = versions if versions[0] != versions[1] else ()
            best = Change(int(after[0]["at"]), index, what, inputs, told)
    return best


def outage(points: Sequence[Point]) -> Outage | None:
    """Return the worst time in which the service did not answer as it does otherwise."""
    times: dict[int, list[Point]] = {}
    for point in points:
        times.setdefault(point.at, []).append(point)
    found = [
        _spell(times, "failed", lambda p: p.failed, FAILING),
        _spell(times, "unseen", lambda p: p.unread + p.lost, UNSEEN),
        _slow(times),
    ]
    there = [one for one in found if one is not None]
    return max(there, key=lambda one: one.affected, default=None)


def kinds(labels: Mapping[int, int]) -> float:
    """Return how many equally frequent labels would be as mixed: the exponential of the entropy."""
    n = sum(labels.values())
    return math.exp(-sum(c / n * math.log(c / n) for c in labels.values() if c)) if n else 0.0


def _spell(
    times: Mapping[int, list[Point]], what: str, count: Callable[[Point], int], bar: float
) -> Outage | None:
    bad = {}
    for at, points in times.items():
        hit = sum(map(count, points))
        # A hole stands at its beginning, for a time in which nothing else is on record.
        all_of = hit + sum(point.inputs for point in points)
        if hit >= SOME and hit >= bar * all_of:
            bad[at] = (hit, all_of)
    return _joined(times, bad, what)


def _slow(times: Mapping[int, list[Point]]) -> Outage | None:
    took = {
        at: sum(p.took * p.inputs for p in points) / max(1, sum(p.inputs for p in points))
        for at, points in times.items()
        if sum(p.inputs for p in points) >= SOME and any(p.took for p in points)
    }
    if len(took) < 3:
        return None
    usual = sorted(took.values())[len(took) // 4]
    inputs = {at: sum(p.inputs for p in points) for at, points in times.items()}
    bad = {at: (inputs[at], inputs[at]) for at, one in took.items() if one >= SLOWER * usual}
    return _joined(times, bad, "slow")


def _joined(
    times: Mapping[int, list[Point]], bad: Mapping[int, tuple[int, int]], what: str
) -> Outage | None:
    if not bad:
        return None
    ordered = sorted(times)
    ends = dict(zip(ordered, [*ordered[1:], ordered[-1] + 60_000_000], strict=True))
    hit = sum(one for one, _ in bad.values())
    total = sum(one for _, one in bad.values())
    return Outage(min(bad), ends[max(bad)], what, hit / max(1, total), hit)


def _versions(rows: Sequence[Row]) -> str:
    found = Counter(row["version"] or "" for row in rows)
    return found.most_common(1)[0][0]


def _values(rows: Iterable[Row], name: str) -> list[float]:
    return [row[name] for row in rows if row[name] is not None]


def _cuts(values: Sequence[float]) -> list[float]:
    """Return the values that cut others into tenths as far as may be, none where there are few."""
    if len(values) < FEWEST:
        return []
    ordered = sorted(values)
    return sorted({ordered[len(ordered) * i // TENTHS] for i in range(1, TENTHS)})


def _index(seen: Mapping[int, int], usual: Mapping[int, int]) -> float:
    """Return the stability index of two sets of counts, less what chance would make of it."""
    n, size = sum(seen.values()), sum(usual.values())
    if not n or not size:
        return 0.0
    names = seen.keys() | usual.keys()
    total = 0.0
    for name in names:
        now = (seen.get(name, 0) + 0.5) / (n + 0.5 * len(names))
        then = (usual.get(name, 0) + 0.5) / (size + 0.5 * len(names))
        total += (now - then) * math.log(now / then)
    return total - (len(names) - 1) * (1 / n + 1 / size)
