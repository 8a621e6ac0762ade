"""GeoDA, in l2 and linf: the nearest point of a border taken for flat, from labels alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from casemate.attack.evasion.borders import Border, per_row
from casemate.attack.evasion.normals import normals, share_out

if TYPE_CHECKING:
    import numpy.typing as npt

    from casemate.attack.questions import Labels
    from casemate.targets.capabilities import Array, Ints

    Rows = npt.NDArray[np.int64]
    Doubles = npt.NDArray[np.float64]

GROWTH = 1.41
"""Questions of an estimate over those of the one before: the paper's 0.6 to the power -2/3."""
PROBE = 0.1
"""Euclidean length of a probe, as a share of the present distance."""
REACH = (1.0, 1.3, 2.0, 4.0)
"""How far along the normal the border is looked for, in present distances."""
MEMORY = 0.5
"""Weight of the last normal in the next."""
SEARCH = 9
"""Questions of one search along the normal, the looking included."""
_TINY = 1e-12


def geoda(
    oracle: Labels,
    x: Array,
    y: Ints,
    *,
    rng: np.random.Generator,
    norm: str,
    steps: int,
    probes: int,
    starts: int,
    band: int,
) -> None:
    """Estimate the border's normal at a point of it, then meet it anew from the input along that.

    Rahmati et al. 2020, "GeoDA: a geometric framework for black-box adversarial attacks" (arXiv
    2003.06468). Decision-based. We differ in starting from the nearest inputs of other classes in
    the batch, in probes as long as the distance says, in keeping a share of the last normal, and in
    going on from the nearer point.

    Args:
        oracle: The door to the model.
        x: Inputs (n, ...).
        y: True classes (n,).
        rng: Source of starts and probes.
        norm: `l2` or `linf`.
        steps: Estimates of the normal; the budget may end the search before.
        probes: Questions of the first estimate; each later one takes 1.41 times as many.
        starts: Inputs of other classes tried as a start.
        band: Frequencies per axis that the probes of an image hold; 0: by the size of the image.
    """
    border = Border(oracle, x, y, norm)
    rows, at = border.start(starts, rng)
    normal = np.zeros_like(at)
    for step in range(steps):
        left = oracle.left(rows)
        if left is not None:
            able = left > SEARCH
            rows, at, normal, left = rows[able], at[able], normal[able], left[able]
        if not len(rows):
            return
        count = share_out(
            int(probes * GROWTH**step), left, len(rows), SEARCH, last=step == steps - 1
        )
        away = np.linalg.norm((at - x[rows]).reshape(len(rows), -1), axis=1)
        normal = MEMORY * normal + normals(border, rows, at, count, PROBE * away, band, rng)
        at = _meet(border, rows, at, normal)


def _meet(border: Border, rows: Rows, at: Array, normal: Array) -> Array:
    """Return the border's point along the normal from the input where that is nearer than `at`."""
    x, radius = border.x[rows], border.distance(rows, at)
    if border.norm == "linf":
        way = np.sign(normal)
    else:
        length = np.linalg.norm(normal.reshape(len(at), -1), axis=1)
        way = normal / per_row(np.maximum(length, _TINY), at)
    found, there = np.zeros(len(rows), bool), at.copy()
    for reach in REACH:
        i = np.flatnonzero(~found)
        fooled, tried = border.ask(x[i] + reach * per_row(radius[i], at) * way[i], rows[i])
        there[i[fooled]], found[i[fooled]] = tried[fooled], True
    i = np.flatnonzero(found)
    there[i] = border.shrink(rows[i], there[i], SEARCH - len(REACH))
    nearer = found & (border.distance(rows, there) < radius)
    return np.where(per_row(nearer, at), there, at)
