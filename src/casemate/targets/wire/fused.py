"""Numbers in JSON, read in one pass from bytes to an array, without a Python object per number.

`numbers.array` asks it first for large bodies. It reads only what it is sure of: nested lists of
plain decimal numbers of one shape. Whatever else there may be (an error, an integer of many digits,
a number whose rounding needs care) it leaves to the careful reader, so that both always agree.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from casemate.targets.wire.tensor import MAX_DIMENSIONS

if TYPE_CHECKING:
    import numpy.typing as npt

WORTH = 2048
"""Bytes from which on it is worth its call."""
_loaded: list[Any] = []


def read(raw: bytes | memoryview, levels: int) -> npt.NDArray[Any] | None:
    """Return the array that nested lists of numbers stand for; None: ask the careful reader.

    Args:
        raw: JSON.
        levels: How many lists open before the first number, 1 to MAX_DIMENSIONS.
    """
    if not 1 <= levels <= MAX_DIMENSIONS or not ready():
        return None
    data = np.frombuffer(raw, np.uint8)
    values = np.empty(len(data) // 2 + 1)
    shape = np.zeros(MAX_DIMENSIONS, np.int64)
    count, kind = _loaded[0](data, levels, values, values.view(np.uint64), shape, POWERS, FIVES)
    if count <= 0:
        return None
    made = values[:count] if kind else values[:count].astype(np.int64)
    if kind and count * 4 < len(values):
        made = made.copy()
    return made.reshape(shape[:levels])


def ready() -> bool:
    """Say whether the compiled reader is loaded; it is never compiled on the path of a request."""
    return bool(_loaded)


def warm() -> bool:
    """Compile the reader, or take it from the cache; False without numba."""
    if not _loaded:
        from casemate.targets.wire.fused_kernel import COMPILED, scan

        if not COMPILED:
            return False
        room = np.empty(3)
        data, shape = np.frombuffer(b"[1.5]", np.uint8), np.zeros(MAX_DIMENSIONS, np.int64)
        scan(data, 1, room, room.view(np.uint64), shape, POWERS, FIVES)
        _loaded.append(scan)
    return True


POWERS = np.array([10.0**n for n in range(23)])
"""The powers of ten that a double holds exactly."""
FURTHEST = 60


def _five(q: int) -> int:
    """Return 5**q to 128 significant bits: cut off, and for small negative q the next one up."""
    if q >= 0:
        power: int = 5**q
        return (
            power << 128 - power.bit_length()
            if power < 1 << 128
            else (power >> power.bit_length() - 128)
        )
    power = int(5**-q)
    if q >= -27:
        return (1 << power.bit_length() + 127) // power + 1
    made = (1 << 2 * power.bit_length() + 128) // power + 1
    return made >> made.bit_length() - 128


FIVES = np.array(
    [[_five(q) >> 64, _five(q) & (1 << 64) - 1] for q in range(-FURTHEST, FURTHEST + 1)],
    np.uint64,
)
