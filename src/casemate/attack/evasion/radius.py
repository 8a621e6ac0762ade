"""What searches within a radius share: the box, the ball, and the margin they lower.

Used by score-based attacks, between the attack and the oracle.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from casemate.attack.evasion.borders import per_row
from casemate.attack.measure import margins
from casemate.attack.reach import inward, reach

if TYPE_CHECKING:
    import numpy.typing as npt

    from casemate.attack.domain import Domain
    from casemate.attack.questions import Scores
    from casemate.targets.capabilities import Array, Ints

    Rows = npt.NDArray[np.int64]
    Doubles = npt.NDArray[np.float64]

_INSIDE = 1 - 1e-6
_TINY = 1e-12


def box(domain: Domain, x: Array, eps: float) -> tuple[Array, Array]:
    """Return the smallest and largest value of each cell within eps (linf) and the domain."""
    low, high = reach(domain.rules, x) if domain.columns else (domain.lower, domain.upper)
    exact = x.astype(np.float64)
    return (
        np.ascontiguousarray(inward(np.maximum(exact - eps, low), x.dtype, 1)),
        np.ascontiguousarray(inward(np.minimum(exact + eps, high), x.dtype, -1)),
    )


def into_ball(adv: Array, x: Array, eps: float, norm: str, low: Array, high: Array) -> Array:
    """Return points (n, ...) of the ball of radius eps about `x` and of the box, near `adv`.

    Args:
        adv: Points.
        x: Centres, inside the box.
        eps: Radius.
        norm: `l2`, or `linf`, for which the box holds the radius already.
        low: Smallest legal values.
        high: Largest legal values.
    """
    if norm == "linf":
        return np.clip(adv, low, high)
    moved = np.asarray(adv, np.float64) - x
    length = np.linalg.norm(moved.reshape(len(moved), -1), axis=1)
    share = np.minimum(1.0, eps * _INSIDE / np.maximum(length, _TINY))
    return np.asarray(np.clip(x + per_row(share, moved) * moved, low, high), x.dtype)


def margin(oracle: Scores, adv: Array, x: Array, y: Ints, rows: Rows | None = None) -> Doubles:
    """Return by how much the true class is ahead at each point; below 0 it is not.

    In logarithms where the target answers probabilities, so that margins do not saturate. For a
    declared table `adv` is made legal in place: what is asked about is what is kept.

    Args:
        oracle: The door to the model.
        adv: Points (n, ...).
        x: The inputs they belong to (n, ...).
        y: Their true classes (n,).
        rows: Their place in the batch; None: the oracle's rows.
    """
    if oracle.domain.columns:
        adv[...] = oracle.domain.project(adv, x)
    scores = oracle.scores(adv, rows)
    if oracle.kind == "probabilities":
        scores = np.log(np.maximum(scores, np.finfo(np.float64).tiny, dtype=np.float64))
    return margins(scores, y)
