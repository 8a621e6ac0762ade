"""SimBA, in l2 and linf: one direction of a basis after the other, kept where the score falls."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from casemate.attack.evasion.radius import box, into_ball, margin
from casemate.attack.evasion.square import planes
from casemate.attack.evasion.waves import bands, cosines

if TYPE_CHECKING:
    from casemate.attack.questions import Scores
    from casemate.targets.capabilities import Array, Ints


def simba(
    oracle: Scores,
    x: Array,
    y: Ints,
    *,
    rng: np.random.Generator,
    eps: float,
    norm: str,
    steps: int,
    step_size: float,
    basis: str,
    band: int,
) -> None:
    """Step along a direction that was not tried yet, else against it, else leave it.

    Guo et al. 2019, "Simple black-box adversarial attacks" (arXiv 1905.07121). Score-based. We
    differ in staying within a radius, in asking no question that changes nothing, and in beginning
    anew where every direction was tried.

    Args:
        oracle: The door to the model.
        x: Inputs (n, ...).
        y: True classes (n,).
        rng: Source of the order of directions.
        eps: Radius in input units.
        norm: `l2` or `linf`.
        steps: Most questions per input.
        step_size: Euclidean length of a step, in input units.
        basis: `waves`, cosines over an image, or `cells`, which vectors always take.
        band: Frequencies per axis of the waves; 0: by the size of the image.
    """
    low, high = box(oracle.domain, x, eps if norm == "linf" else np.inf)
    basis = "cells" if x.ndim == 2 else basis  # waves over columns mean nothing
    adv = x.copy()
    best = margin(oracle, adv, x, y)
    asked = np.ones(len(x), np.int64)
    many = _directions(x, basis, band)
    turn, moving = 0, True
    order = np.empty((len(x), 0), np.int32)
    while True:
        if turn == order.shape[1]:
            if not moving:
                return
            turn, moving = 0, False
            order = rng.permuted(np.tile(np.arange(many, dtype=np.int32), (len(x), 1)), axis=1)
        adv, x, y, low, high, best, asked, order = oracle.shed(
            adv, x, y, low, high, best, asked, order
        )
        adv, x, y, low, high, best, asked, order = oracle.keep(
            asked < steps, adv, x, y, low, high, best, asked, order
        )
        if not len(x):
            return
        way = step_size * _basis(order[:, turn], x, basis, band)
        still = np.ones(len(x), bool)
        for side in (1, -1):
            moved = into_ball(adv + side * way, x, eps, norm, low, high)
            if oracle.domain.columns:
                moved = oracle.domain.project(moved, x)
            left = oracle.left()
            able = still & (asked < steps) & (True if left is None else left > 0)
            at = np.flatnonzero(able & (moved != adv).reshape(len(x), -1).any(axis=1))
            if not len(at):
                continue
            moving = True
            value = margin(oracle, moved[at], x[at], y[at], oracle.rows[at])
            asked[at] += 1
            hit = at[value < best[at]]
            adv[hit], best[hit], still[hit] = moved[hit], value[value < best[at]], False
        turn += 1


def _directions(x: Array, basis: str, band: int) -> int:
    """Return how many directions the basis has."""
    if basis == "cells":
        return int(x[0].size)
    tall, wide = bands(x, band)
    return int(planes(x).shape[1] * tall * wide)


def _basis(number: Array, x: Array, basis: str, band: int) -> Array:
    """Return the unit vectors (n, ...) of the numbers (n,)."""
    out = np.zeros_like(x)
    if basis == "cells":
        out.reshape(len(x), -1)[np.arange(len(x)), number] = 1
        return out
    view = planes(out)
    height, width = view.shape[2:]
    tall, wide = bands(x, band)
    channel, rest = np.divmod(number, tall * wide)
    across, along = cosines(height, tall)[rest // wide], cosines(width, wide)[rest % wide]
    view[np.arange(len(x)), channel] = across[:, :, None] * along[:, None, :]
    return out
