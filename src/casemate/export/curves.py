"""Curves worked out from trials: how much of the model is left at each distance, at each query.

Every curve rests on what was measured and on nothing between: at a radius, an input counts as lost
once any attack fooled the model within it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from casemate.records.trial import Outcome, Trial

T = TypeVar("T")
MAX_POINTS = 160
_Z95 = 1.959963984540054
_SLACK = 1 + 1e-9


class Point(NamedTuple):
    """A share and its 95 % interval (Wilson 1927) at a distance."""

    x: float
    share: float
    low: float
    high: float


class Dot(NamedTuple):
    """What one attack at a fixed radius left, known at that radius alone."""

    attack: str
    point: Point


class Robustness(NamedTuple):
    """The measure against distance in one norm, worst case over attacks, and attack by attack."""

    norm: str
    measure: str
    n: int
    worst: list[Point]
    known_between: bool
    """Whether an attack looked for the smallest change, so that the curve is known between dots."""
    lines: list[tuple[str, list[Point]]]
    """Attacks that look for the smallest change; the others are dots."""
    dots: list[Dot]


def robustness(trials: Sequence[Trial], norm: str) -> Robustness | None:
    """Return the curve of one model in one norm, None where nothing was measured.

    Args:
        trials: Evasion trials on the same model and data.
        norm: The norm to draw.
    """
    chosen = [one for one in trials if one.norm == norm and one.family == "evasion"]
    measured = [(one, counted(one)) for one in chosen]
    measured = [(one, rows) for one, rows in measured if rows]
    if not measured:
        return None
    free = [(one, rows) for one, rows in measured if one.eps is None]
    reach = _reach(measured)
    shared = _shared(free or measured, measured)
    union = _union(rows for _, rows in measured)
    union = {index: least for index, least in union.items() if index in shared}
    lines, dots = [], []
    for one, rows in measured:
        own = _union([rows])
        if one.eps is None:
            lines.append((one.attack, _curve(own, reach)))
        else:
            dots.append(Dot(one.attack, _point(own, one.eps)))
    if free:
        worst = _curve(union, reach)
    else:
        worst = [_point(union, at) for at in sorted({0.0, *(dot.point.x for dot in dots)})]
    return Robustness(norm, measured[0][0].clean.name, len(union), worst, bool(free), lines, dots)


def counted(trial: Trial) -> list[Outcome]:
    """Return the outcomes the trial's measure rests on: for recall, those of the rare class."""
    if trial.clean.name.startswith("recall"):
        return [one for one in trial.outcomes if one.label == 1] or list(trial.outcomes)
    return list(trial.outcomes)


def fooled_within(trial: Trial) -> list[tuple[float, float]]:
    """Return (queries, share of inputs the model had right that are fooled by then)."""
    right = [one for one in counted(trial) if one.clean]
    spent = sorted(queries_spent(trial))
    return _thinned([(queries, (i + 1) / len(right)) for i, queries in enumerate(spent)])


def queries_spent(trial: Trial) -> list[float]:
    """Return the queries each fooled input took, where the attack had the answers alone.

    Empty for an attack that spends its whole allowance on every input: it says nothing about cost.
    """
    if trial.cost.backward:
        return []
    found = [one for one in counted(trial) if one.clean and one.success and one.queries > 0]
    spent = [float(one.queries) for one in found]
    low, high = quantile(spent, 0.1), quantile(spent, 0.9)
    if trial.eps is None and low is not None and high is not None and low > 0.9 * high:
        return [] if len(spent) > 1 else spent
    return spent


def quantile(values: Iterable[float], share: float) -> float | None:
    """Return the value below which `share` of the values lie, None without values."""
    ordered = sorted(values)
    if not ordered:
        return None
    return ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1 if share else 0)]


def _union(groups: Iterable[Sequence[Outcome]]) -> dict[int, float]:
    """Return the smallest distance that fools each input; 0 for one the model has wrong."""
    least: dict[int, float] = {}
    for rows in groups:
        for one in rows:
            distance = math.inf
            if not one.clean:
                distance = 0.0
            elif one.success and one.distance is not None:
                distance = max(one.distance, 5e-324)
            least[one.index] = min(distance, least.get(one.index, math.inf))
    return least


def _shared(
    searched: Sequence[tuple[Trial, Sequence[Outcome]]],
    measured: Sequence[tuple[Trial, Sequence[Outcome]]],
) -> set[int]:
    """Return the inputs the worst case is drawn for.

    An input only a fixed-radius attack tried would look safe at every smaller radius, so it must be
    one a search tried. Those every attack tried compare best, where they are not too few.
    """
    common = set.intersection(*({one.index for one in rows} for _, rows in measured))
    searches = [{one.index for one in rows} for _, rows in searched]
    if 2 * len(common) >= max(len(one) for one in searches):
        return common
    return set.union(*searches)


def _reach(measured: Sequence[tuple[Trial, Sequence[Outcome]]]) -> float:
    radii = [one.eps for one, _ in measured if one.eps is not None]
    free = [
        out.distance
        for one, rows in measured
        if one.eps is None
        for out in rows
        if out.distance is not None
    ]
    return max([*radii, quantile(free, 0.98) or 0.0], default=0.0) or 1.0


def _curve(least: dict[int, float], reach: float) -> list[Point]:
    edges = sorted({0.0, reach, *(one for one in least.values() if one <= reach * _SLACK)})
    return [_point(least, edge) for edge in _thinned(edges)]


def _point(least: dict[int, float], eps: float) -> Point:
    n = len(least)
    held = sum(one > eps * _SLACK for one in least.values())
    p, z2 = held / n, _Z95 * _Z95
    middle = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z95 * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return Point(eps, p, max(0.0, middle - half), min(1.0, middle + half))


def _thinned(points: list[T]) -> list[T]:
    if len(points) <= MAX_POINTS:
        return points
    step = (len(points) - 1) / (MAX_POINTS - 1)
    return [points[round(i * step)] for i in range(MAX_POINTS)]
