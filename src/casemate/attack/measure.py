"""Figures and how sure they are: margins, distances, intervals, the threshold of a rare event.

Used by the oracle while an attack runs and by the run loops when they measure again afterwards.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import numpy as np

from casemate.records.make import make
from casemate.records.trial import Measure

if TYPE_CHECKING:
    import numpy.typing as npt

    from casemate.targets.capabilities import Array, Ints

    Mask = npt.NDArray[np.bool_]

Norm = Literal["linf", "l2", "l1", "l0"]
ORDER: dict[str, float] = {"linf": math.inf, "l2": 2.0, "l1": 1.0, "l0": 0.0}
_Z95 = 1.959963984540054


def margins(scores: Array, y: Ints) -> npt.NDArray[np.float64]:
    """Return the score of class `y` less the best other one, per row (n,)."""
    rows = np.arange(len(scores))
    others = np.array(scores, np.float64)
    own = others[rows, y]
    others[rows, y] = -np.inf
    return np.asarray(own - others.max(axis=1))


def distances(x: Array, origin: Array, norm: str) -> npt.NDArray[np.float64]:
    """Return the distance (n,) between rows of `x` and `origin` (n, ...), computed in float64."""
    moved = np.asarray(x, np.float64) - np.asarray(origin, np.float64)
    moved = moved.reshape(len(x), math.prod(moved.shape[1:]))
    moved[np.isnan(moved)] = 0.0  # a missing value that stayed missing did not move
    return np.asarray(np.linalg.norm(moved, ord=ORDER[norm], axis=1))


def share(name: str, hits: int, n: int) -> Measure:
    """Return the measure `hits / n` with its 95 % interval after Wilson (1927); n may be 0."""
    if n == 0:
        return make(Measure, name=name, value=None, n=0)
    p, z2 = hits / n, _Z95 * _Z95
    middle = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z95 * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    low = 0.0 if hits == 0 else max(0.0, middle - half)
    high = 1.0 if hits == n else min(1.0, middle + half)
    return make(Measure, name=name, value=p, low=low, high=high, n=n)


def threshold_at(scores: npt.NDArray[np.float64], negative: Mask, fpr: float) -> float:
    """Return the lowest threshold at which at most a share `fpr` of the negatives is alarmed on.

    Args:
        scores: Probability of class 1 per row.
        negative: Which rows are of class 0.
        fpr: Largest share of negatives scoring at or above the threshold.
    """
    ordered = np.sort(scores[negative])[::-1]
    allowed = math.floor(fpr * len(ordered) + 1e-9)
    if allowed >= len(ordered):
        return 0.0
    return float(np.nextafter(ordered[allowed], np.inf))
