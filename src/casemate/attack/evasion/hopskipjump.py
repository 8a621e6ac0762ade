"""HopSkipJump, in l2 and linf: the smallest change, from labels alone."""

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

SEARCH = {"l2": 7, "linf": 9}
"""Questions of one search along a curve."""
PROBE = {"l2": 0.1, "linf": 0.2}
"""Length of a probe, as a share of the present distance."""
MEMORY = {"l2": 0.4, "linf": 0.8}
"""Weight of the last normal in the next: it changes little, and its signs alone matter in linf."""
_TINY = 1e-12


def hopskipjump(
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
    sigma: float,
) -> None:
    """Walk along the decision border: estimate its normal from labels, jump, search, repeat.

    Chen, Jordan and Wainwright 2020, "HopSkipJumpAttack: a query-efficient decision-based attack"
    (arXiv 1904.02144). Decision-based. We differ in starting from the nearest inputs of other
    classes in the batch; in probing images with low frequencies only, after Li et al. 2020 (QEBA,
    arXiv 2005.14137); in keeping a share of the last normal; and, in l2, in searching on the
    half-circle between the present point and the input, on which a flat border's nearest point
    lies (Shi et al. 2023, CGBA, arXiv 2308.03163), so that no step length has to be found.

    Args:
        oracle: The door to the model.
        x: Inputs (n, ...).
        y: True classes (n,).
        rng: Source of starts and probes.
        norm: `l2` or `linf`.
        steps: Estimates of the normal; the budget may end the walk before.
        probes: Questions of the first estimate; the t-th takes sqrt(t) times as many.
        starts: Inputs of other classes tried as a start.
        band: Frequencies per axis that the probes of an image hold; 0: by the size of the image.
        sigma: Least root mean square of a probe's cells, in input units.
    """
    border = Border(oracle, x, y, norm)
    rows, at = border.start(starts, rng)
    normal = np.zeros_like(at)
    for step in range(1, steps + 1):
        left = oracle.left(rows)
        if left is not None:
            able = left > SEARCH[norm]
            rows, at, normal, left = rows[able], at[able], normal[able], left[able]
        if not len(rows):
            return
        wanted = int(probes * step**0.5)
        count = share_out(wanted, left, len(rows), SEARCH[norm], last=step == steps)
        fresh = normals(border, rows, at, count, _length(border, rows, at, sigma), band, rng)
        normal = MEMORY[norm] * normal + fresh
        at = _jump_l2(border, rows, at, normal) if norm == "l2" else _jump(border, rows, at, normal)


def _length(border: Border, rows: Rows, at: Array, sigma: float) -> Doubles:
    """Return the length of a probe (n,)."""
    wide = at[0].size ** 0.5 if border.norm == "linf" else 1.0
    length = PROBE[border.norm] * border.distance(rows, at) * wide
    return np.asarray(np.maximum(length, sigma * at[0].size ** 0.5))


def _jump_l2(border: Border, rows: Rows, at: Array, normal: Array) -> Array:
    """Return the border's point on the half-circle over input and `at`, in the normal's plane."""
    x = border.x[rows]
    radius = border.distance(rows, at)
    there = (at - x) / per_row(np.maximum(radius, _TINY), at)
    along = (there * normal).reshape(len(at), -1).sum(axis=1)
    side = normal - per_row(along, at) * there
    length = np.linalg.norm(side.reshape(len(at), -1), axis=1)
    side = side / per_row(np.maximum(length, _TINY), at)
    near, far = np.zeros(len(at)), np.full(len(at), np.pi / 2)
    for _ in range(SEARCH["l2"]):
        angle = (near + far) / 2
        turned = per_row(np.cos(angle), at) * there + per_row(np.sin(angle), at) * side
        fooled, tried = border.ask(x + per_row(radius * np.cos(angle), at) * turned, rows)
        near, far = np.where(fooled, angle, near), np.where(fooled, far, angle)
        at = np.where(per_row(fooled, at), tried, at)
    return at


def _jump(border: Border, rows: Rows, at: Array, normal: Array) -> Array:
    """Return a nearer point of the border in linf: go to the corner, then shrink the cube."""
    x = border.x[rows]
    radius = border.distance(rows, at)
    reached = at.copy()
    open_ = np.ones(len(at), bool)
    for share in (2.0, 0.5):
        i = np.flatnonzero(open_)
        if not len(i):
            break
        edge = per_row(radius[i], at)
        aim = at[i] + share * edge * np.sign(normal[i])
        aim = np.clip(aim, x[i] - edge, x[i] + edge)
        fooled, tried = border.ask(aim, rows[i])
        reached[i[fooled]] = tried[fooled]
        open_[i[fooled]] = False
    return border.shrink(rows, reached, SEARCH["linf"] - 2)
