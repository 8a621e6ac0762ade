"""Sign-OPT, in l2: descend on the distance of the border as a function of the direction."""

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

LOOKS = 6
"""Lengths tried in one line search."""
SEARCH = 5
"""Questions by which a direction that is nearer is measured."""
BETTER = 0.999
"""Share of the distance at which a direction must fool to count as nearer."""
SHORTEST = 1e-3
"""Length from which a later search begins at least: the next gradient may be a better one."""
NEAREST = 0.6
"""Share of the distance below which it is not looked for."""
_TINY = 1e-12


def sign_opt(
    oracle: Labels,
    x: Array,
    y: Ints,
    *,
    rng: np.random.Generator,
    steps: int,
    probes: int,
    smoothing: float,
    step_size: float,
    starts: int,
    band: int,
) -> None:
    """Ask whether directions beside the present one are nearer, one question each; follow the sum.

    Cheng et al. 2020, "Sign-OPT: a query-efficient hard-label adversarial attack" (arXiv
    1909.10773). Decision-based. We differ in starting from the nearest inputs of other classes in
    the batch, in a line search that first asks whether a direction is nearer at all, and in probing
    images with low frequencies only.

    Args:
        oracle: The door to the model.
        x: Inputs (n, ...).
        y: True classes (n,).
        rng: Source of starts and probes.
        steps: Gradient steps; the budget may end the descent before.
        probes: Questions of one gradient.
        smoothing: Length of a probe beside the direction, whose own length is 1.
        step_size: First length of a step.
        starts: Inputs of other classes tried as a start.
        band: Frequencies per axis that the probes of an image hold; 0: by the size of the image.
    """
    border = Border(oracle, x, y, "l2")
    rows, at = border.start(starts, rng, steps=8)
    length = np.full(len(y), step_size)
    search = LOOKS + SEARCH
    for step in range(steps):
        left = oracle.left(rows)
        if left is not None:
            able = left > search
            rows, at, left = rows[able], at[able], left[able]
        if not len(rows):
            return
        count = share_out(probes, left, len(rows), search, last=step == steps - 1)
        radius = border.distance(rows, at)
        uphill = normals(border, rows, at, count, smoothing * radius, band, rng, sphere=True)
        at, length[rows] = _descend(border, rows, at, uphill, length[rows])


def _descend(
    border: Border, rows: Rows, at: Array, normal: Array, length: Doubles
) -> tuple[Array, Doubles]:
    """Return a point (n, ...) no farther than `at`, and the step lengths to begin with next time.

    Lengths are doubled while the border comes nearer, quartered until it does.
    """
    x, best, near = border.x[rows], at.copy(), border.distance(rows, at)
    there, way = _unit(at - x), _unit(normal)
    length, open_, grew = length.copy(), np.ones(len(rows), bool), np.zeros(len(rows), bool)
    for _ in range(LOOKS):
        i = np.flatnonzero(open_ & border.able(rows))
        if not len(i):
            break
        aim = _unit(there[i] + per_row(length[i], at) * way[i])
        fooled, tried = border.ask(x[i] + per_row(near[i] * BETTER, at) * aim, rows[i])
        hit = i[fooled]
        best[hit] = tried[fooled]
        low, high = NEAREST * near[hit], BETTER * near[hit]
        for _ in range(SEARCH):
            middle = (low + high) / 2
            deeper, tried = border.ask(x[hit] + per_row(middle, at) * aim[fooled], rows[hit])
            best[hit[deeper]] = tried[deeper]
            low, high = np.where(deeper, low, middle), np.where(deeper, middle, high)
        near[hit], grew[hit] = high, True
        length[hit] *= 2
        missed = i[~fooled]
        open_[missed[grew[missed]]] = False
        length[missed] = np.where(grew[missed], length[missed] / 2, length[missed] / 4)
    return best, np.clip(length, SHORTEST, 1.0)


def _unit(moved: Array) -> Array:
    length = np.linalg.norm(moved.reshape(len(moved), -1), axis=1)
    return np.asarray(moved / per_row(np.maximum(length, _TINY), moved))
