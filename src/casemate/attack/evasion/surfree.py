"""SurFree, in l2: turn towards random directions about the input, from labels alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from casemate.attack.evasion.borders import Border, per_row
from casemate.attack.evasion.waves import noise

if TYPE_CHECKING:
    import numpy.typing as npt

    from casemate.attack.questions import Labels
    from casemate.targets.capabilities import Array, Ints

    Rows = npt.NDArray[np.int64]
    Doubles = npt.NDArray[np.float64]

WIDEST = np.pi / 2
PATIENCE = 0.1
"""Share by which the widest angle tried is changed after each direction."""
SEARCH = 4
"""Questions by which an angle that fools is made wider."""
_TINY = 1e-12


def surfree(
    oracle: Labels,
    x: Array,
    y: Ints,
    *,
    rng: np.random.Generator,
    steps: int,
    angle: float,
    angles: int,
    starts: int,
    band: int,
) -> None:
    """Turn the present point about the input in a random plane, as far as the answer stays wrong.

    Maho, Furon and Le Merrer 2021, "SurFree: a fast surrogate-free black-box attack" (arXiv
    2011.12807). Decision-based: every question may bring a nearer point, none is spent on a normal.
    We differ in starting from the nearest inputs of other classes in the batch and in drawing
    directions afresh instead of keeping a growing set of them orthogonal.

    Args:
        oracle: The door to the model.
        x: Inputs (n, ...).
        y: True classes (n,).
        rng: Source of starts and directions.
        steps: Most directions; the budget may end it before.
        angle: First widest angle, in degrees.
        angles: Angles tried in each sense of a direction, from the widest down.
        starts: Inputs of other classes tried as a start.
        band: Frequencies per axis of the directions in an image; 0: by the size of the image.
    """
    border = Border(oracle, x, y, "l2")
    rows, at = border.start(starts, rng)
    widest = np.full(len(y), np.deg2rad(angle))
    for _ in range(steps):
        able = border.able(rows)
        rows, at = rows[able], at[able]
        if not len(rows):
            return
        plane = _Plane(border, rows, at, noise(at[:1], len(rows), band, rng)[1])
        found = np.zeros(len(rows))
        for share in np.linspace(1, 0, angles, endpoint=False):
            for side in (1, -1):
                i = np.flatnonzero((found == 0) & border.able(rows))
                tried = side * share * widest[rows[i]]
                fooled = plane.ask(i, tried)
                found[i[fooled]] = tried[fooled]
        good = found != 0
        plane.widen(np.flatnonzero(good), found, widest[rows] / angles)
        at = plane.best
        factor = np.where(good, 1 + PATIENCE, 1 - PATIENCE)
        widest[rows] = np.minimum(widest[rows] * factor, WIDEST * 0.9)


class _Plane:
    """The half-circles over input and present point in one random plane per row."""

    def __init__(self, border: Border, rows: Rows, at: Array, way: Array) -> None:
        self.border, self.rows, self.best = border, rows, at.copy()
        self.radius = border.distance(rows, at)
        self.there = (at - border.x[rows]) / per_row(np.maximum(self.radius, _TINY), at)
        along = (self.there * way).reshape(len(at), -1).sum(axis=1)
        side = way - per_row(along, at) * self.there
        length = np.linalg.norm(side.reshape(len(at), -1), axis=1)
        self.side = side / per_row(np.maximum(length, _TINY), at)

    def ask(self, i: Rows, angle: Doubles) -> npt.NDArray[np.bool_]:
        """Say which points at these angles fool, and remember them: they are nearer."""
        x = self.border.x[self.rows[i]]
        turned = (
            per_row(np.cos(angle), x) * self.there[i] + per_row(np.sin(angle), x) * self.side[i]
        )
        aim = x + per_row(self.radius[i] * np.cos(angle), x) * turned
        fooled, tried = self.border.ask(aim, self.rows[i])
        nearer = fooled & (
            self.border.distance(self.rows[i], tried)
            < self.border.distance(self.rows[i], self.best[i])
        )
        self.best[i[nearer]] = tried[nearer]
        return nearer

    def widen(self, i: Rows, found: Doubles, room: Doubles) -> None:
        """Search between angles that fool and `room` beyond for the widest."""
        low = found[i]
        high = np.sign(low) * np.minimum(np.abs(low) + room[i], WIDEST * 0.99)
        for _ in range(SEARCH):
            middle = (low + high) / 2
            fooled = self.ask(i, middle)
            low, high = np.where(fooled, middle, low), np.where(fooled, high, middle)
