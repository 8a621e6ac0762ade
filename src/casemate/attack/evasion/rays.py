"""RayS, in linf: the nearest border over directions of signs, from labels alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from casemate.attack.evasion.borders import Border, per_row
from casemate.attack.evasion.radius import box

if TYPE_CHECKING:
    import numpy.typing as npt

    from casemate.attack.questions import Labels
    from casemate.targets.capabilities import Array, Ints

    Rows = npt.NDArray[np.int64]
    Mask = npt.NDArray[np.bool_]
    Doubles = npt.NDArray[np.float64]

DOUBLINGS = 12
"""Times the first ray is made longer where the inputs have no bounds."""


def rays(oracle: Labels, x: Array, y: Ints, *, steps: int, tolerance: float) -> None:
    """Flip the signs of ever smaller blocks of cells; keep what brings the border nearer.

    Chen and Gu 2020, "RayS: a ray searching method for hard-label adversarial attack" (arXiv
    2006.12792). Decision-based. Nothing in it is random. We differ in measuring rays in linf and in
    searching them to a share of the radius, so that late, small gains are seen too.

    Args:
        oracle: The door to the model.
        x: Inputs (n, ...).
        y: True classes (n,).
        steps: Most flips tried; the budget may end the search before.
        tolerance: Share of the radius to which the border on a ray is found.
    """
    border = Border(oracle, x, y, "linf")
    cells = x[0].size
    sign = np.ones((len(x), cells), np.int8)
    radius = np.full(len(x), np.inf)
    far = _far(border)
    rows = np.arange(len(x))
    _try(border, rows, sign, radius, far, tolerance)
    for _ in range(0 if np.isfinite(_ends(border)).all() else DOUBLINGS):
        lost = np.flatnonzero(np.isinf(radius))
        far[lost] *= 2
        _try(border, lost, sign[lost], radius, far, tolerance)
    for level, number in _blocks(cells, steps):
        rows = rows[border.able(rows)]
        if not len(rows):
            break
        count = min(2**level, cells)
        block = slice(number * cells // count, (number + 1) * cells // count)
        flipped = sign[rows]
        flipped[:, block] *= -1
        better = _try(border, rows, flipped, radius, far, tolerance)
        sign[rows[better]] = flipped[better]
    if missed := int(np.isinf(radius).sum()):
        oracle.notes.append(f"{missed} of {len(x)} inputs have no wrong answer on any ray tried")


def _blocks(cells: int, steps: int) -> list[tuple[int, int]]:
    """Return level and number of the blocks to flip, in order: halves, quarters, ... and cells."""
    out: list[tuple[int, int]] = []
    level = 0
    while len(out) < steps:
        out += [(level, number) for number in range(min(2**level, cells))]
        level += 2**level < cells
    return out[:steps]


def _ends(border: Border) -> Doubles:
    """Return the smallest and largest value of each cell (2, n, ...)."""
    return np.stack(box(border.oracle.domain, border.x, np.inf)).astype(np.float64)


def _far(border: Border) -> Doubles:
    """Return a radius (n,) at which every finite bound is reached, and the spread of the data."""
    room = np.abs(_ends(border) - border.x)
    room[~np.isfinite(room)] = max(float(np.std(border.x)), 1e-3)
    return np.asarray(room.reshape(2, len(border.x), -1).max(axis=(0, 2)))


def _try(
    border: Border,
    rows: Rows,
    sign: npt.NDArray[np.int8],
    radius: Doubles,
    far: Doubles,
    tolerance: float,
) -> Mask:
    """Say on which rays the border is nearer than `radius`, which is lowered to where it is."""
    x = border.x[rows]
    way = sign.reshape(x.shape).astype(x.dtype)
    outside = np.where(np.isinf(radius[rows]), far[rows], radius[rows] * (1 - tolerance))
    fooled, _ = border.ask(x + per_row(outside, x) * way, rows)
    inside = np.zeros(len(rows))
    while True:
        at = np.flatnonzero(fooled & (outside - inside > tolerance * outside))
        at = at[border.able(rows[at])]
        if not len(at):
            break
        middle = (inside[at] + outside[at]) / 2
        hit, _ = border.ask(x[at] + per_row(middle, x) * way[at], rows[at])
        outside[at], inside[at] = (
            np.where(hit, middle, outside[at]),
            np.where(hit, inside[at], middle),
        )
    radius[rows[fooled]] = outside[fooled]
    return fooled
