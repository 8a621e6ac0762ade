"""Fingerprint kernels: one pass over an input makes its sketch, its digest and its windows' hashes.

`casemate.detect.inline.signals` calls them. Plain numpy for the same results stands in `plain`.
All arithmetic on hashes is modulo 2**64; sketches are integers, so that hashes of them agree
between machines wherever the sums do.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from casemate.detect.inline.compiling import kernel

if TYPE_CHECKING:
    import numpy.typing as npt

    U64 = npt.NDArray[np.uint64]
    F32 = npt.NDArray[np.float32]
    I16 = npt.NDArray[np.int16]
    I64 = npt.NDArray[np.int64]

STEP = np.float32(5.0)
"""Levels of a window's cells per unit: a cell's level is floor(v * STEP + 1/2)."""
HALF = 8
SPAN = 24
"""Cells of a window that may lie anywhere."""
WHOLE_ROLL = 8192
"""Inputs up to this long are rolled over whole; longer ones in PIECES pieces of PIECE cells."""
PIECES = 128
PIECE = 96
SPREAD = 0.3125
"""What one unit's worth of contrast counts for: about the deviation of natural inputs."""
TICK = 1024
"""Steps of a sketch's number per SPREAD."""
WIDE = 1024
"""Width of a locality hash, in those steps."""
sums = functools.partial(kernel, reorder=True)


@kernel
def mix(h: Any) -> Any:
    """Scramble 64 bits (the finaliser of splitmix64)."""
    h = (h ^ (h >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    h = (h ^ (h >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return h ^ (h >> np.uint64(31))


@kernel
def digest(raw: npt.NDArray[np.uint32], words: U64, salts: U64) -> Any:
    """Return a keyed 64-bit digest of an even number of 32-bit words (NH of UMAC, RFC 4418)."""
    total = np.uint64(len(raw)) * salts[0]
    size = len(words)
    for start in range(0, len(raw), size):
        part = np.uint64(0)
        pairs = min(size, len(raw) - start) // 2
        here = raw[start : start + 2 * pairs].reshape(pairs, 2)
        keys = words[: 2 * pairs].reshape(pairs, 2)
        for i in range(pairs):
            a = (np.uint64(here[i, 0]) + keys[i, 0]) & np.uint64(0xFFFFFFFF)
            b = (np.uint64(here[i, 1]) + keys[i, 1]) & np.uint64(0xFFFFFFFF)
            part += a * b
        total += mix(part + np.uint64(start) * salts[1])
    return mix(total ^ salts[2])


@sums
def load(x: Any, inverse: Any, into: F32) -> Any:
    """Copy cells in units of the model's range; return their largest magnitude and sums.

    Returns:
        Largest |v|, sum of v, of v squared and of |v|; not finite where a cell is not.
    """
    # Of numbers that are not negative the bits are in order; lanes compare those.
    bits = into.view(np.int32)
    top = np.int32(0)
    total = 0.0
    squares = 0.0
    sizes = 0.0
    for start in range(0, len(x), 1024):
        one: Any = np.float32(0.0)
        two: Any = np.float32(0.0)
        three: Any = np.float32(0.0)
        for i in range(start, min(len(x), start + 1024)):
            v = np.float32(x[i]) * inverse
            into[i] = v
            one += v
            two += v * v
            three += abs(v)
        for i in range(start, min(len(x), start + 1024)):
            top = max(top, bits[i] & np.int32(0x7FFFFFFF))
        total += one
        squares += two
        sizes += three
    largest = np.empty(1, np.int32)
    largest[0] = top
    return largest.view(np.float32)[0], total, squares, sizes


@sums
def project(v: F32, signs: F32, buckets: npt.NDArray[np.uint8], fine: npt.NDArray[Any]) -> None:
    """Add each cell, with its secret sign, to one of the sketch's numbers (a count sketch)."""
    lanes = np.zeros(256, np.float32)
    mask = len(signs) - 1
    whole = len(v) // 256 * 256
    for start in range(0, whole, 256):
        at = start & mask
        for j in range(256):
            lanes[j] += v[start + j] * signs[at + j]
    for i in range(whole, len(v)):
        lanes[i - whole] += v[i] * signs[i & mask]
    fine[:] = 0
    for j in range(256):
        fine[buckets[j]] += np.float64(lanes[j])


@sums
def lowpass(v: F32, starts: I64, stops: I64, block: I64, means: npt.NDArray[Any]) -> None:
    """Sum the cells of each block of the grid, run by run."""
    means[:] = 0
    for r in range(len(starts)):
        total = np.float32(0.0)
        for i in range(starts[r], stops[r]):
            total += v[i]
        means[block[r]] += np.float64(total)


@kernel
def keep(hashes: U64, start: int, stop: int, h: Any) -> None:
    """Keep `h` if it is among the smallest distinct of hashes[start:stop]; 0 marks a free place."""
    last = hashes[stop - 1]
    if last != np.uint64(0) and h >= last:
        return
    for i in range(start, stop):
        if hashes[i] == h:
            return
        if hashes[i] == np.uint64(0) or h < hashes[i]:
            for j in range(stop - 1, i, -1):
                hashes[j] = hashes[j - 1]
            hashes[i] = h
            return


@kernel
def levels(v: F32, into: npt.NDArray[np.int32]) -> None:
    """Quantise cells coarsely: sparse changes leave the most of them as they are."""
    for i in range(len(v)):
        into[i] = np.int32(np.floor(v[i] * np.float32(5.0) + np.float32(0.5)))


@kernel
def half_of(q: npt.NDArray[np.int32], cells: npt.NDArray[np.uint32]) -> Any:
    """Hash eight cells (multilinear, twice 32 bits)."""
    one = np.uint32(0)
    two = np.uint32(0)
    for j in range(8):
        cell = np.uint32(q[j])
        one = np.uint32(one + cell * cells[0, j])
        two = np.uint32(two + cell * cells[1, j])
    return (np.uint64(one) << np.uint64(32)) | np.uint64(two)


@kernel
def blocks(
    q: npt.NDArray[np.int32],
    depth: int,
    cells: npt.NDArray[np.uint32],
    salts: U64,
    marks: U64,
    start: int,
    stop: int,
) -> None:
    """Keep the smallest hashes of windows of 16 cells in place, 8 apart, or more in a long input.

    Flat windows say nothing: at least two cells must differ from those `depth` before them.
    """
    halves = len(q) // 8
    step = max(1, halves // 4096)
    first: Any = np.int64(salts[5] % np.uint64(step))
    if first == 0:
        first = step
    last = -1
    before = np.uint64(0)
    for t in range(first, halves, step):
        changes = 0
        lead = max(depth, 8 * t - 8)
        # Slices, as their places are known not to count from the end.
        here = q[lead : 8 * t + 8]
        there = q[lead - depth : 8 * t + 8 - depth]
        for i in range(len(here)):
            changes += here[i] != there[i]
        if changes < 2:
            continue
        if last != t - 1:
            before = half_of(q[8 * t - 8 : 8 * t], cells)
        half = half_of(q[8 * t : 8 * t + 8], cells)
        h = mix(before * salts[3] + half * salts[4] + np.uint64(t) * salts[5] + salts[6])
        keep(marks, start, stop, h)
        before, last = half, t


@kernel
def roll(
    q: npt.NDArray[np.int32], depth: int, salts: U64, marks: U64, start: int, stop: int
) -> None:
    """Keep the smallest hashes of windows of 24 cells anywhere: they survive a shift.

    At least three cells must differ from those `depth` before them, in the window.
    """
    n = len(q)
    factor = salts[7]
    highest = np.uint64(1)
    for _ in range(23):
        highest *= factor
    pieces = 1 if n <= 8192 else 128
    length = n if n <= 8192 else 96
    for piece in range(pieces):
        first = 0 if pieces == 1 else piece * (n - length) // (pieces - 1)
        here = q[first : first + length]
        h = np.uint64(0)
        changes = 0
        for i in range(min(23, length)):
            h = h * factor + np.uint64(here[i] + 1024)
            if i >= depth:
                changes += here[i] != here[i - depth]
        for i in range(length - 23):
            h = h * factor + np.uint64(here[i + 23] + 1024)
            changes += here[i + 23] != here[i + 23 - depth]
            if changes >= 3:
                keep(marks, start, stop, mix(h * salts[8] + salts[9]))
            h -= np.uint64(here[i] + 1024) * highest
            changes -= here[i + depth] != here[i]


@kernel
def locality(
    sketch: I16, dims: I64, shifts: I64, width: int, salts: U64, marks: U64, start: int, stop: int
) -> None:
    """Hash groups of coordinates to grid cells of random offset (p-stable locality hashing)."""
    each = len(dims) // (stop - start)
    for g in range(stop - start):
        h = salts[10 + g]
        for j in range(g * each, g * each + each):
            cell = (np.int64(sketch[dims[j]]) + ((shifts[j] * width) >> 20)) // width
            h = mix(h ^ np.uint64(cell)) * salts[16]
        marks[start + g] = mix(h)


@kernel
def narrow(value: Any) -> Any:
    """Round to 16 bits, saturating."""
    return np.int16(min(32767.0, max(-32767.0, np.rint(value))))


@kernel
def sketch_of(
    fine: npt.NDArray[Any],
    means: npt.NDArray[Any],
    counts: npt.NDArray[Any],
    combs: F32,
    n: int,
    sketch: I16,
) -> Any:
    """Scale both projections to sketch numbers; return the deviation of the block means."""
    for j in range(32):
        sketch[j] = narrow(fine[j] * np.sqrt(32.0 / n) / 0.3125 * 1024.0)
    total = 0.0
    for b in range(64):
        means[b] = means[b] / max(1.0, counts[b])
        total += means[b]
    centre = total / 64
    spread = 0.0
    for b in range(64):
        means[b] -= centre
        spread += means[b] * means[b]
    for k in range(16):
        value = 0.0
        for b in range(64):
            value += combs[k, b] * means[b]
        sketch[32 + k] = narrow(value / 8.0 / 0.3125 * 1024.0)
    return np.sqrt(spread / 64) / 0.3125


@kernel
def fingerprint(
    v: F32,
    signs: F32,
    buckets: npt.NDArray[np.uint8],
    combs: F32,
    runs: I64,
    counts: npt.NDArray[Any],
    cells: npt.NDArray[np.uint32],
    salts: U64,
    dims: I64,
    shifts: I64,
    q: npt.NDArray[np.int32],
    depth: int,
    ends: I64,
    raw: npt.NDArray[np.uint32],
    words: U64,
    marks: U64,
    sketch: I16,
) -> Any:
    """Make the sketch and the marks of cells in units of the range.

    Returns:
        The deviation of the block means, in sketch units.
    """
    fine = np.empty(32)
    means = np.empty(64)
    project(v, signs, buckets, fine)
    lowpass(v, runs[0], runs[1], runs[2], means)
    coarse = sketch_of(fine, means, counts, combs, len(v), sketch)
    levels(v, q)
    marks[:] = np.uint64(0)
    marks[0] = digest(raw, words, salts) | np.uint64(1)
    blocks(q, depth, cells, salts, marks, ends[0], ends[1])
    roll(q, depth, salts, marks, ends[1], ends[2])
    fine_dims = (ends[3] - ends[2]) * 10
    locality(sketch, dims[:fine_dims], shifts[:fine_dims], 1024, salts, marks, ends[2], ends[3])
    locality(sketch, dims[fine_dims:], shifts[fine_dims:], 1024, salts[3:], marks, ends[3], ends[4])
    return coarse
