"""The direction of a decision border, estimated from labels around one of its points.

Used by decision-based attacks, between `borders` (who asks) and `waves` (what the probes are).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from casemate.attack.evasion.borders import per_row
from casemate.attack.evasion.waves import decode, noise

if TYPE_CHECKING:
    import numpy.typing as npt

    from casemate.attack.evasion.borders import Border
    from casemate.targets.capabilities import Array

    Rows = npt.NDArray[np.int64]
    Doubles = npt.NDArray[np.float64]

_CELLS = 1 << 23
_TINY = 1e-12


def share_out(wanted: int, left: Rows | None, n: int, search: int, *, last: bool) -> Rows:
    """Return the probes of each row, so that no small rest of its budget is left over."""
    if left is None:
        return np.full(n, wanted)
    able = left - search
    spends_all = last | (able < wanted + 0.7 * (wanted + search))
    return np.where(spends_all, able, wanted)


def normals(
    border: Border,
    rows: Rows,
    at: Array,
    count: Rows,
    length: Doubles,
    band: int,
    rng: np.random.Generator,
    *,
    sphere: bool = False,
) -> Array:
    """Return the estimated normal (n, ...) of the border at `at`, towards the wrong side.

    Args:
        border: Who is asked.
        rows: Inputs that the points belong to (n,).
        at: Points on the border (n, ...).
        count: Questions to spend on each (n,), at least 1.
        length: Euclidean length of a probe (n,).
        band: Frequencies per axis that a probe holds; 0: by the size of the image.
        rng: Source of the probes.
        sphere: Ask about all probes at the distance of `at` from the input.
    """
    cells = max(1, at[0].size)
    out = np.zeros_like(at)
    size = max(1, _CELLS // (cells * max(1, int(count.max()))))
    for first in range(0, len(rows), size):
        part = slice(first, first + size)
        out[part] = _normal(
            border, rows[part], at[part], count[part], length[part], band, rng, sphere=sphere
        )
    return out


def _normal(
    border: Border,
    rows: Rows,
    at: Array,
    count: Rows,
    length: Doubles,
    band: int,
    rng: np.random.Generator,
    *,
    sphere: bool,
) -> Array:
    where = np.repeat(np.arange(len(rows)), count)
    code, probes = noise(at[:1], len(where), band, rng)
    probes *= per_row(length[where], probes)
    probes += at[where]
    if sphere:
        x = border.x[rows]
        radius, now = border.distance(rows, at), border.distance(rows[where], probes)
        probes -= x[where]
        probes *= per_row(radius[where] / np.maximum(now, _TINY), probes)
        probes += x[where]
    fooled, _ = border.ask(probes, rows[where])
    sign = np.where(fooled, 1.0, -1.0)
    starts = np.concatenate([[0], np.cumsum(count)[:-1]])
    mean = np.add.reduceat(sign, starts) / count
    # Where every probe agrees the mean carries the direction, elsewhere it is only noise.
    weight = sign - np.where(np.abs(mean) == 1, 0, mean)[where]
    code *= per_row(weight.astype(code.dtype), code)
    total = np.add.reduceat(code, starts, axis=0) / per_row(np.sqrt(count), code).astype(code.dtype)
    return decode(total, at[:1])
