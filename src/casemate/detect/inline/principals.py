"""Sketches of what each principal asked in the window: counts, distinct clusters, bits served.

Bounded: a table of `capacity` principals in families of eight, the longest silent of a family
leaves. The window slides in PARTS parts, so a count reaches back between 3/4 of it and all of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from casemate.detect.inline.compiling import kernel

if TYPE_CHECKING:
    import numpy.typing as npt

    U64 = npt.NDArray[np.uint64]
    I64 = npt.NDArray[np.int64]

PARTS = 4
REGISTERS = 64
FAMILY = 8
RECENT = 32


@kernel
def settle(names: U64, parts: I64, who: Any) -> Any:
    """Return the row of a principal, taking the longest silent of its family if it is new."""
    first: Any = np.int64(who % np.uint64(len(names) // 8)) * 8
    stalest = first
    for row in range(first, first + 8):
        if names[row] == who:
            return row
        if parts[row] < parts[stalest]:
            stalest = row
    names[stalest] = who
    parts[stalest] = -1
    return stalest


@kernel
def advance(
    row: int,
    part: int,
    parts: I64,
    counts: I64,
    bits: npt.NDArray[Any],
    registers: npt.NDArray[np.uint8],
    recent: npt.NDArray[np.int32],
) -> None:
    """Empty the parts of the window that time has passed."""
    last = parts[row]
    if last < 0:
        recent[row, :] = -1
        for p in range(4):
            counts[row, p] = 0
            bits[row, p] = 0.0
            registers[row, p, :] = 0
    elif part > last:
        for step in range(last + 1, min(part, last + 4) + 1):
            p = step % 4
            counts[row, p] = 0
            bits[row, p] = 0.0
            registers[row, p, :] = 0
    parts[row] = max(part, last)


@kernel
def distinct(registers: npt.NDArray[np.uint8]) -> int:
    """Return the number of distinct values (HyperLogLog, 64 registers, with linear counting)."""
    total = 0.0
    empty = 0
    for r in range(64):
        top: Any = 0
        for p in range(4):
            top = max(top, np.int64(registers[p, r]))
        total += 2.0 ** (-top)
        if top == 0:
            empty += 1
    if empty > 0:
        linear = 64.0 * np.log(64.0 / empty)
        if linear <= 160.0:
            return int(np.rint(linear))
    return int(np.rint(0.709 * 64.0 * 64.0 / total))


@kernel
def note(
    row: int,
    cluster: Any,
    place: int,
    parts: I64,
    counts: I64,
    registers: npt.NDArray[np.uint8],
    recent: npt.NDArray[np.int32],
) -> Any:
    """Count one input of a principal; return inputs and distinct clusters in the window."""
    p = parts[row] % 4
    counts[row, p] += 1
    h = (cluster ^ (cluster >> np.uint64(29))) & np.uint64(0xFFFFFFFFFFFFFF)
    rank = 1
    rest = h >> np.uint64(6)
    while rank < 50 and (rest & np.uint64(1)) == np.uint64(0):
        rank += 1
        rest = rest >> np.uint64(1)
    r = np.int64(h & np.uint64(63))
    registers[row, p, r] = max(registers[row, p, r], np.uint8(rank))
    if recent[row, 0] != place:
        for k in range(recent.shape[1] - 1, 0, -1):
            recent[row, k] = recent[row, k - 1]
        recent[row, 0] = place
    asked = 0
    for k in range(4):
        asked += counts[row, k]
    return asked, distinct(registers[row])


@kernel
def come(
    who: Any,
    part: int,
    names: U64,
    parts: I64,
    counts: I64,
    bits: npt.NDArray[Any],
    registers: npt.NDArray[np.uint8],
    recent: npt.NDArray[np.int32],
) -> Any:
    """Return the row of a principal, its window moved up to a part of time."""
    row = settle(names, parts, who)
    if parts[row] != part:
        advance(row, part, parts, counts, bits, registers, recent)
    return row


class Principals:
    """Arrays of the sketches.

    Args:
        capacity: Principals kept at a time.
        window_s: Length of the window in seconds.
    """

    def __init__(self, capacity: int, window_s: int) -> None:
        rows = max(1, -(-capacity // FAMILY)) * FAMILY
        self.part_us = max(1, window_s * 1_000_000 // PARTS)
        self.names = np.zeros(rows, np.uint64)
        self.parts = np.full(rows, -1, np.int64)
        self.counts = np.zeros((rows, PARTS), np.int64)
        self.bits = np.zeros((rows, PARTS))
        self.registers = np.zeros((rows, PARTS, REGISTERS), np.uint8)
        self.recent = np.full((rows, RECENT), -1, np.int32)

    def row(self, who: int, at: int) -> int:
        """Return the row of a principal at a time in microseconds, its window moved up to it."""
        found = come(
            np.uint64(who), at // self.part_us, self.names, self.parts, self.counts, self.bits,
            self.registers, self.recent,
        )  # fmt: skip
        return int(found)

    def note(self, row: int, cluster: int, place: int) -> tuple[int, int]:
        """Count one input; return the principal's inputs and distinct clusters in the window."""
        asked, fresh = note(
            row, np.uint64(cluster), place, self.parts, self.counts, self.registers, self.recent
        )
        return int(asked), int(fresh)

    def serve(self, row: int, bits: float) -> float:
        """Add information served; return what the window holds, in bits."""
        self.bits[row, self.parts[row] % PARTS] += bits
        return float(self.bits[row].sum())

    @property
    def size(self) -> int:
        """Return the bytes of memory it holds, now and always."""
        arrays = (self.names, self.parts, self.counts, self.bits, self.registers, self.recent)
        return sum(one.nbytes for one in arrays)
