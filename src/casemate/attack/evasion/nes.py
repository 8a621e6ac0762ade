"""NES, in linf and l2: gradient ascent on a gradient guessed from scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from casemate.attack.evasion.borders import per_row
from casemate.attack.evasion.radius import box, into_ball, margin
from casemate.attack.evasion.waves import decode, noise

if TYPE_CHECKING:
    from casemate.attack.questions import Scores
    from casemate.targets.capabilities import Array, Ints

MOMENTUM = 0.5
"""Weight of the last guess in the next."""
PATIENCE = 4
"""Steps without a lower margin after which the step is halved."""
_CELLS = 1 << 22
_TINY = 1e-12


def nes(
    oracle: Scores,
    x: Array,
    y: Ints,
    *,
    rng: np.random.Generator,
    eps: float,
    norm: str,
    steps: int,
    samples: int,
    sigma: float,
    step_size: float,
    band: int,
) -> None:
    """Ask about pairs of probes on either side, add them up by their scores, step, repeat.

    Ilyas et al. 2018, "Black-box adversarial attacks with limited queries and information" (arXiv
    1804.08598). Score-based. We differ in climbing the margin instead of a targeted likelihood, and
    in probing images with low frequencies only, after Li et al. 2020 (QEBA, arXiv 2005.14137).

    Args:
        oracle: The door to the model.
        x: Inputs (n, ...).
        y: True classes (n,).
        rng: Source of the probes.
        eps: Radius in input units.
        norm: `linf` or `l2`.
        steps: Most steps.
        samples: Questions spent on one guess, in pairs.
        sigma: Root mean square of a probe's cells, in input units.
        step_size: Length of the first step, as a share of the radius.
        band: Frequencies per axis that the probes of an image hold; 0: by the size of the image.
    """
    low, high = box(oracle.domain, x, eps if norm == "linf" else np.inf)
    adv, climb = x.copy(), np.zeros_like(x)
    best = margin(oracle, adv, x, y)
    length, stale = np.full(len(x), step_size * eps), np.zeros(len(x), np.int64)
    for _ in range(steps):
        adv, climb, x, y, low, high, best, length, stale = oracle.shed(
            adv, climb, x, y, low, high, best, length, stale
        )
        left = oracle.left()
        room = samples if left is None else int(min(samples, left.min(initial=samples) - 1))
        if not len(x) or room < 2:
            return
        guess = _guess(oracle, adv, x, y, room // 2, sigma, band, rng)
        climb = MOMENTUM * climb + guess
        step = np.sign(climb) if norm == "linf" else _unit(climb)
        adv = into_ball(adv + per_row(length, adv) * step, x, eps, norm, low, high)
        value = margin(oracle, adv, x, y)
        stale = np.where(value < best, 0, stale + 1)
        length = np.where(stale >= PATIENCE, length / 2, length)
        stale[stale >= PATIENCE] = 0
        best = np.minimum(best, value)


def _guess(
    oracle: Scores,
    adv: Array,
    x: Array,
    y: Ints,
    pairs: int,
    sigma: float,
    band: int,
    rng: np.random.Generator,
) -> Array:
    """Return the direction (n, ...) in which the margin falls, from pairs of questions."""
    out = np.empty_like(adv)
    size = max(1, _CELLS // (pairs * adv[0].size))
    for first in range(0, len(adv), size):
        part = slice(first, first + size)
        which = np.repeat(np.arange(len(adv))[part], pairs)
        code, probe = noise(adv[:1], len(which), band, rng)
        probe *= sigma * adv[0].size ** 0.5
        fall = np.zeros(len(which))
        for side in (1, -1):
            asked = oracle.domain.project(adv[which] + side * probe, x[which])
            fall -= side * margin(oracle, asked, x[which], y[which], oracle.rows[which])
        code *= per_row(fall, code)
        total = code.reshape(-1, pairs, *code.shape[1:]).sum(axis=1)
        out[part] = _unit(decode(total, adv[:1]))
    return out


def _unit(moved: Array) -> Array:
    length = np.linalg.norm(moved.reshape(len(moved), -1), axis=1)
    return np.asarray(moved / per_row(np.maximum(length, _TINY), moved))
