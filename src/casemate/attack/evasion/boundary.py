"""Boundary attack, in l2: a random walk along the decision border, from labels alone."""

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

LOOK = 5
"""Every so many turns the sideways half of a step is asked about alone, to set its length."""
WIDEN = 1.3
"""Factor of a length that did well."""
SIDEWAYS, AHEAD = 0.5, 0.25
"""Shares of steps that fool at which a length stays as it is, after the paper."""
_TINY = 1e-12


def boundary(
    oracle: Labels,
    x: Array,
    y: Ints,
    *,
    rng: np.random.Generator,
    steps: int,
    sideways: float,
    ahead: float,
    starts: int,
    band: int,
) -> None:
    """Step sideways on the sphere about the input, then towards it; stay where that fools.

    Brendel, Rauber and Bethge 2018, "Decision-based adversarial attacks: reliable attacks against
    black-box machine learning models" (arXiv 1712.04248). Decision-based. We differ in starting
    from the nearest inputs of other classes in the batch, in smooth noise for images (Brunner et
    al. 2019, arXiv 1812.09803), and in changing each length a little with every answer.

    Args:
        oracle: The door to the model.
        x: Inputs (n, ...).
        y: True classes (n,).
        rng: Source of starts and steps.
        steps: Most steps; the budget may end the walk before.
        sideways: First length of a step sideways, as a share of the distance.
        ahead: First length of a step towards the input, as a share of the distance.
        starts: Inputs of other classes tried as a start.
        band: Frequencies per axis of the noise for an image; 0: by the size of the image.
    """
    border = Border(oracle, x, y, "l2")
    rows, at = border.start(starts, rng)
    side, near = np.full(len(y), sideways), np.full(len(y), ahead)
    for turn in range(steps):
        able = border.able(rows)
        rows, at = rows[able], at[able]
        if not len(rows):
            return
        there = at - x[rows]
        radius = border.distance(rows, at)
        around = _around(there, radius, side[rows], noise(at[:1], len(rows), band, rng)[1])
        if turn % LOOK == 0:
            fooled, _ = border.ask(x[rows] + around, rows)
            side[rows] *= _factor(fooled, SIDEWAYS)
        fooled, tried = border.ask(x[rows] + around * per_row(1 - near[rows], at), rows)
        near[rows] = np.minimum(near[rows] * _factor(fooled, AHEAD), 0.5)
        nearer = fooled & (border.distance(rows, tried) < radius)
        at = np.where(per_row(nearer, at), tried, at)


def _around(there: Array, radius: Doubles, side: Doubles, way: Array) -> Array:
    """Return `there` turned about the input by a step of length `side` along `way` (n, ...)."""
    flat, aim = there.reshape(len(there), -1), way.reshape(len(way), -1)
    share = (flat * aim).sum(axis=1) / np.maximum(radius, _TINY) ** 2
    across = aim - share[:, None].astype(aim.dtype) * flat
    length = np.maximum(np.linalg.norm(across, axis=1), _TINY)
    step = (side * radius / length)[:, None].astype(aim.dtype) * across
    back = 1 / np.sqrt(1 + side**2)
    return np.asarray(((flat + step) * back[:, None].astype(aim.dtype)).reshape(there.shape))


def _factor(fooled: npt.NDArray[np.bool_], share: float) -> Doubles:
    """Return what to multiply lengths with, so that they stand still when `share` of them fool."""
    return np.where(fooled, WIDEN, WIDEN ** (-share / (1 - share)))
