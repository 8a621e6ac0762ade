"""Secret constants of the fingerprints, drawn from the key: who lacks it cannot predict a mark.

Everything is SHAKE-256 of the key and a purpose, so it is the same in every guard with that key.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    U64 = npt.NDArray[np.uint64]
    F32 = npt.NDArray[np.float32]

EXACT, BLOCKS, ROLLING, WHOLE, COARSE = 1, 8, 4, 3, 2
MARKS = EXACT + BLOCKS + ROLLING + WHOLE + COARSE
"""Marks of an input: of its bytes, of windows in place, of windows anywhere, of a projection of the
whole, and of a projection of its block means."""
WINDOWS = BLOCKS + ROLLING
ENDS = (
    EXACT,
    EXACT + BLOCKS,
    EXACT + WINDOWS,
    EXACT + WINDOWS + WHOLE,
    EXACT + WINDOWS + WHOLE + COARSE,
)
"""Where each family of marks ends."""
FINE, LOW = 32, 16
PRINT = FINE + LOW
"""Numbers kept of each input: a projection of it, and one of its block means."""
LANES = 256
GRID = 64
WHOLE_DIMS, COARSE_DIMS = 10, 8
LONGEST = 1 << 20
"""Signs repeat after so many cells."""
WORDS = 2048


class Keyed(NamedTuple):
    """Constants of the kernels, drawn once per key."""

    words: U64
    """(WORDS,) 32-bit keys of the exact digest."""
    cells: npt.NDArray[np.uint32]
    """(2, 8) multipliers of a half-window's cells."""
    salts: U64
    """(32,) odd multipliers and salts of the hashes."""
    buckets: npt.NDArray[np.uint8]
    """(LANES,) which number of the projection a lane falls to; FINE of them, equally often."""
    combs: F32
    """(LOW, GRID) rows of +1 and -1, as many of each, over block means."""
    dims: npt.NDArray[np.int64]
    """(WHOLE * WHOLE_DIMS + COARSE * COARSE_DIMS,) coordinates that each locality hash reads."""
    ends: npt.NDArray[np.int64]
    """ENDS."""
    shifts: npt.NDArray[np.int64]
    """Offset of each of them, a share of 2**20 of the width."""


def draw(key: bytes, purpose: str, size: int) -> bytes:
    """Return `size` bytes that only the key's holder can tell."""
    head = len(key).to_bytes(4, "little") + key + purpose.encode()
    return hashlib.shake_256(head).digest(size)


def salt(key: bytes, purpose: str) -> int:
    """Return a 64-bit number that only the key's holder can tell."""
    return int.from_bytes(draw(key, purpose, 8), "little")


def signs(key: bytes, n: int) -> F32:
    """Return `n` signs, +1 or -1; a longer draw begins with a shorter one."""
    bits = np.unpackbits(np.frombuffer(draw(key, "signs", -(-n // 8)), np.uint8), bitorder="little")
    return (bits[:n].astype(np.float32) * 2 - 1).astype(np.float32)


def constants(key: bytes) -> Keyed:
    """Draw the constants of a key."""

    def numbers(purpose: str, count: int) -> U64:
        return np.frombuffer(draw(key, purpose, 8 * count), "<u8").astype(np.uint64)

    order = np.argsort(numbers("lanes", LANES), kind="stable")
    buckets = np.empty(LANES, np.uint8)
    buckets[order] = np.arange(LANES) % FINE
    combs = np.empty((LOW, GRID), np.float32)
    for row, drawn in enumerate(numbers("combs", LOW * GRID).reshape(LOW, GRID)):
        combs[row] = np.where(np.argsort(np.argsort(drawn)) % 2 == 0, 1, -1)
    whole = np.argsort(numbers("whole", FINE), kind="stable")[: WHOLE * WHOLE_DIMS]
    coarse = FINE + np.argsort(numbers("coarse", LOW), kind="stable")[: COARSE * COARSE_DIMS]
    count = len(whole) + len(coarse)
    return Keyed(
        words=numbers("words", WORDS) & np.uint64(0xFFFFFFFF),
        cells=(numbers("cells", 16) | np.uint64(1)).astype(np.uint32).reshape(2, 8),
        salts=numbers("salts", 32) | np.uint64(1),
        buckets=buckets,
        combs=combs,
        dims=np.concatenate([whole, coarse]).astype(np.int64),
        ends=np.array(ENDS, np.int64),
        shifts=(numbers("shifts", count) & np.uint64((1 << 20) - 1)).astype(np.int64),
    )
