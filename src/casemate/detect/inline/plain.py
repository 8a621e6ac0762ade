"""The fingerprint in plain numpy, for installations without numba: the same marks, slower.

Stands in for `kernels.fingerprint`, `kernels.load` and `kernels.digest`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    U64 = npt.NDArray[np.uint64]
    F32 = npt.NDArray[np.float32]

_30, _27, _31, _32 = (np.uint64(one) for one in (30, 27, 31, 32))


def mix(h: U64) -> U64:
    """Scramble an array of 64-bit numbers, as `kernels.mix` does one."""
    h = (h ^ (h >> _30)) * np.uint64(0xBF58476D1CE4E5B9)
    h = (h ^ (h >> _27)) * np.uint64(0x94D049BB133111EB)
    mixed: U64 = h ^ (h >> _31)
    return mixed


def digest(raw: npt.NDArray[np.uint32], words: U64, salts: U64) -> np.uint64:
    """Return the keyed digest of an even number of 32-bit words."""
    total = np.array([len(raw)], np.uint64) * salts[0]
    for start in range(0, len(raw), len(words)):
        part = raw[start : start + len(words)].astype(np.uint64)
        low = (part + words[: len(part)]) & np.uint64(0xFFFFFFFF)
        summed = np.sum(low[::2] * low[1::2], dtype=np.uint64, keepdims=True)
        total += mix(summed + np.array([start], np.uint64) * salts[1])
    return np.uint64(mix(total ^ salts[2])[0])


def load(x: Any, inverse: Any, into: F32) -> tuple[float, float, float, float]:
    """Copy cells in units of the range; return their largest magnitude and sums."""
    with np.errstate(over="ignore", invalid="ignore"):
        np.multiply(x.astype(np.float32), np.float32(inverse), out=into)
        wide = into.astype(np.float64)
        sizes = np.abs(wide)
        return float(sizes.max()), float(wide.sum()), float(wide @ wide), float(sizes.sum())


def smallest(hashes: U64, count: int) -> U64:
    """Return the `count` smallest distinct hashes, padded with zeros."""
    found = np.unique(hashes)[:count]
    return np.concatenate([found, np.zeros(count - len(found), np.uint64)])


def blocks(q: npt.NDArray[np.int32], depth: int, cells: npt.NDArray[np.uint32], salts: U64) -> U64:
    """Return the hashes of all windows in place that are not flat."""
    halves = q[: len(q) // 8 * 8].reshape(-1, 8)
    as_words = halves.astype(np.uint32)
    one, two = ((as_words * cells[row]).sum(1, dtype=np.uint32) for row in (0, 1))
    half = (one.astype(np.uint64) << _32) | two.astype(np.uint64)
    changed = np.zeros(len(q), np.int64)
    changed[depth:] = q[depth:] != q[:-depth]
    changes = changed[: len(q) // 8 * 8].reshape(-1, 8).sum(1)
    place = np.arange(1, len(half), dtype=np.uint64)
    made: U64 = mix(half[:-1] * salts[3] + half[1:] * salts[4] + place * salts[5] + salts[6])
    step = max(1, len(q) // 8 // 4096)
    looked = place % np.uint64(step) == salts[5] % np.uint64(step)
    told: U64 = made[(changes[1:] + changes[:-1] >= 2) & looked]
    return told


def roll(q: npt.NDArray[np.int32], depth: int, salts: U64) -> U64:
    """Return the hashes of all windows of 24 cells with at least three changes."""
    n = len(q)
    length = n if n <= 8192 else 96
    firsts = [0] if n <= 8192 else [piece * (n - length) // 127 for piece in range(128)]
    if length < 24:
        return np.zeros(0, np.uint64)
    powers = np.ones(24, np.uint64)
    for i in range(22, -1, -1):
        powers[i : i + 1] = powers[i + 1 : i + 2] * salts[7]
    made = []
    for first in firsts:
        piece = q[first : first + length]
        windows = np.lib.stride_tricks.sliding_window_view(piece, 24)
        changed = (windows[:, depth:] != windows[:, :-depth]).sum(1) >= 3
        chosen = (windows[changed].astype(np.int64) + 1024).astype(np.uint64)
        made.append(mix((chosen * powers).sum(1, dtype=np.uint64) * salts[8] + salts[9]))
    return np.concatenate(made)


def locality(sketch: Any, dims: Any, shifts: Any, groups: int, salts: U64) -> U64:
    """Return one hash per group of coordinates."""
    cell = (sketch[dims].astype(np.int64) + ((shifts * 1024) >> 20)) // 1024
    cells = cell.astype(np.uint64).reshape(groups, -1)
    h = salts[10 : 10 + len(cells)].copy()
    for j in range(cells.shape[1]):
        h = mix(h ^ cells[:, j]) * salts[16]
    return mix(h)


def narrow(values: Any) -> npt.NDArray[np.int16]:
    """Round to 16 bits, saturating."""
    made: npt.NDArray[np.int16] = np.clip(np.rint(values), -32767, 32767).astype(np.int16)
    return made


def fingerprint(
    v: F32,
    signs: F32,
    buckets: npt.NDArray[np.uint8],
    combs: F32,
    runs: npt.NDArray[np.int64],
    counts: npt.NDArray[Any],
    cells: npt.NDArray[np.uint32],
    salts: U64,
    dims: npt.NDArray[np.int64],
    shifts: npt.NDArray[np.int64],
    q: npt.NDArray[np.int32],
    depth: int,
    ends: npt.NDArray[np.int64],
    raw: npt.NDArray[np.uint32],
    words: U64,
    marks: U64,
    sketch: npt.NDArray[np.int16],
) -> float:
    """Make the sketch and the marks of cells in units of the range, as the kernel does."""
    n = len(v)
    signed = np.zeros(-(-n // 256) * 256, np.float32)
    signed[:n] = v * np.resize(signs, n)
    lanes = signed.reshape(-1, 256).sum(0, dtype=np.float64)
    fine = np.bincount(buckets, lanes, minlength=32)
    sketch[:32] = narrow(fine * np.sqrt(32.0 / n) / 0.3125 * 1024.0)
    summed = np.zeros(64)
    totals = np.concatenate([[0.0], np.cumsum(v, dtype=np.float64)])
    np.add.at(summed, runs[2], totals[runs[1]] - totals[runs[0]])
    means = summed / np.maximum(counts, 1.0)
    means -= means.mean()
    sketch[32:] = narrow(combs.astype(np.float64) @ means / 8.0 / 0.3125 * 1024.0)
    q[:] = np.floor(v * np.float32(5.0) + np.float32(0.5)).astype(np.int32)
    marks[0] = digest(raw, words, salts) | np.uint64(1)
    one, two, three, four, five = (int(end) for end in ends)
    marks[one:two] = smallest(blocks(q, depth, cells, salts), two - one)
    marks[two:three] = smallest(roll(q, depth, salts), three - two)
    dims_of = (four - three) * 10
    marks[three:four] = locality(sketch, dims[:dims_of], shifts[:dims_of], four - three, salts)
    marks[four:five] = locality(sketch, dims[dims_of:], shifts[dims_of:], five - four, salts[3:])
    return float(np.sqrt(np.mean(means**2)) / 0.3125)
