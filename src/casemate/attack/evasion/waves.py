"""Smooth noise: vectors of low frequency, in which decision borders are felt with fewer questions.

Used by attacks without gradients. The coefficients of a vector are those of the cosine transform of
each channel, so that sums over many vectors are formed in the small space.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from casemate.attack.evasion.borders import per_row
from casemate.attack.evasion.square import planes

if TYPE_CHECKING:
    import numpy.typing as npt

    from casemate.targets.capabilities import Array

    Doubles = npt.NDArray[np.float64]


def noise(like: Array, n: int, band: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Return n unit vectors shaped like an input, and their coefficients."""
    tall, wide = bands(like, band)
    channels = planes(like).shape[1]
    code = rng.standard_normal((n, channels, tall, wide), dtype=np.float32).astype(like.dtype)
    code /= per_row(np.linalg.norm(code.reshape(n, -1), axis=1), code).astype(like.dtype)
    return code, decode(code, like)


def decode(code: Array, like: Array) -> Array:
    """Return the inputs (n, ...) whose cosine coefficients are `code` (n, channels, ...)."""
    out = np.empty((len(code), *like.shape[1:]), like.dtype)
    view = planes(out)
    height, width = view.shape[2:]
    rows, columns = cosines(height, code.shape[2]), cosines(width, code.shape[3])
    if height == code.shape[2] and width == code.shape[3]:
        view[...] = code
    else:
        view[...] = rows.T.astype(code.dtype) @ code @ columns.astype(code.dtype)
    return out


def bands(like: Array, band: int) -> tuple[int, int]:
    """Return the frequencies to probe along height and width: small sides and vectors whole."""
    height, width = planes(like).shape[2:]
    if like.ndim == 2:  # the order of columns says nothing
        return 1, min(width, band or width)
    return min(height, band or max(14, height // 4)), min(width, band or max(14, width // 4))


def cosines(side: int, count: int) -> Doubles:
    """Return the first `count` rows of the orthonormal cosine transform (DCT-II) of `side`."""
    k, t = np.arange(count)[:, None], np.arange(side)[None]
    basis = np.cos(np.pi * (t + 0.5) * k / side) * np.sqrt(2 / side)
    basis[0] /= np.sqrt(2)
    return np.asarray(basis)
