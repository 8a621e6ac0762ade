"""Fingerprints of images, sounds and other long arrays: marks and a sketch, keyed.

The judge asks it for the `Print` of one row. Sparse changes leave most windows as they were; dense
noise moves the projection little and the block means hardly at all; a shift keeps the windows that
may lie anywhere. (Windows: Li et al., "Blacklight", USENIX Security 2022. Projection: Charikar et
al., "Finding frequent items in data streams", 2002. Locality hash: Datar et al., SoCG 2004.)
"""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from casemate.detect.inline import keyed
from casemate.detect.inline.compiling import COMPILED

if COMPILED:
    from casemate.detect.inline import kernels as engine
else:
    from casemate.detect.inline import plain as engine  # type: ignore[no-redef]

if TYPE_CHECKING:
    import numpy.typing as npt

LAYOUTS = 32
LARGEST = 64.0
"""Cells beyond this many units are taken for this: they say that the input is broken, no more."""
SLACK = 1.25
"""A range holds inputs up to this many times its unit, so that noise at its edge stays in it."""
DIRECT = (np.dtype(np.float64), np.dtype(np.float32), np.dtype(np.uint8), np.dtype(np.int64))
"""Kinds the kernels are compiled for; others are converted first."""


class Print(NamedTuple):
    """What is kept of one input."""

    marks: npt.NDArray[np.uint64]
    """(MARKS,); the first is a digest of the exact bytes; 0 where there is none."""
    sketch: npt.NDArray[np.int16]
    """(PRINT,) numbers of the projection, then of that of the block means."""
    own: npt.NDArray[np.float32]
    """(2,) its own spread and that of its block means, in the sketch's units."""
    norm: float
    """Mean size of its cells, in its own units."""
    broken: int
    """Cells that are not finite."""


class Loaded(NamedTuple):
    """One input as it was read, in units of its line."""

    row: npt.NDArray[Any]
    top: float
    """Size of its largest cell, in its own units; what is not finite aside."""
    total: float
    squares: float
    norm: float
    broken: int


class Layout(NamedTuple):
    """Where the cells of one shape lie on a grid of 8 by 8 blocks."""

    runs: npt.NDArray[np.int64]
    """(3, runs) start, stop and block of each run of cells in one block."""
    counts: npt.NDArray[np.float64]
    depth: int
    """Cells of a pixel, next to one another."""


class Signals:
    """Makes prints of long arrays under one key."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._keyed = keyed.constants(key)
        self._signs = keyed.signs(key, 1 << 12)
        self._layouts: OrderedDict[tuple[int, ...], Layout] = OrderedDict()
        self._v = np.empty(0, np.float32)
        self._q = np.empty(0, np.int32)

    def salts(self, name: str) -> npt.NDArray[np.uint64]:
        """Return the salts of a line of inputs: prints of two lines never meet."""
        return (self._keyed.salts ^ np.uint64(keyed.salt(self._key, name) & ~1)).astype(np.uint64)

    def digest(self, row: npt.NDArray[Any], salts: npt.NDArray[np.uint64]) -> np.uint64:
        """Return a keyed digest of a row's bytes; never 0."""
        found = engine.digest(words(row), self._keyed.words, salts)
        return np.uint64(found) | np.uint64(1)

    def load(self, row: npt.NDArray[Any], unit: float) -> Loaded:
        """Read one input.

        Args:
            row: Its cells, flat and contiguous, of a numeric dtype.
            unit: Range of the line's cells, a power of two.
        """
        n = len(row)
        self._prepare(n)
        v = self._v[:n]
        given = row if row.dtype in DIRECT else row.astype(np.float64)
        top, total, squares, sizes = engine.load(given, np.float32(1.0 / unit), v)
        if math.isfinite(squares) and top <= LARGEST:
            return Loaded(row, top * unit, total, squares, sizes / n * unit, 0)
        return self._mend(row, unit, v)

    def print_of(
        self, loaded: Loaded, shape: tuple[int, ...], salts: npt.NDArray[np.uint64]
    ) -> Print:
        """Return the print of the input that was loaded last.

        Args:
            loaded: What `load` returned.
            shape: Its shape; says which cells are neighbours.
            salts: Of its line.
        """
        row, _, total, squares, norm, broken = loaded
        n = len(row)
        v, q = self._v[:n], self._q[:n]
        marks = np.empty(keyed.MARKS, np.uint64)
        sketch = np.empty(keyed.PRINT, np.int16)
        layout = self._layout(shape)
        k = self._keyed
        coarse = engine.fingerprint(
            v, self._signs, k.buckets, k.combs, layout.runs, layout.counts,
            k.cells, salts, k.dims, k.shifts, q, layout.depth, k.ends,
            words(row), k.words, marks, sketch,
        )  # fmt: skip
        spread = math.sqrt(max(0.0, squares / n - (total / n) ** 2)) / 0.3125
        own = np.array([max(spread, 0.02), max(coarse, 0.02)], np.float32)
        return Print(marks, sketch, own, norm, broken)

    def _mend(self, row: npt.NDArray[Any], unit: float, v: npt.NDArray[np.float32]) -> Loaded:
        wide = row.astype(np.float64)
        fine = np.isfinite(wide)
        wide[~fine] = 0.0
        top = float(np.abs(wide).max())
        v[:] = np.clip(wide / unit, -LARGEST, LARGEST)
        kept = v.astype(np.float64)
        with np.errstate(over="ignore"):
            norm = float(np.abs(wide).mean())
        if not math.isfinite(norm):
            norm = float(np.finfo(np.float64).max)
        broken = int(np.count_nonzero(~fine))
        return Loaded(row, top, float(kept.sum()), float(kept @ kept), norm, broken)

    def _prepare(self, n: int) -> None:
        if len(self._v) < n:
            self._v = np.empty(n, np.float32)
            self._q = np.empty(n, np.int32)
        if len(self._signs) < min(n, keyed.LONGEST):
            size = 1 << (min(n, keyed.LONGEST) - 1).bit_length()
            self._signs = keyed.signs(self._key, size)

    def _layout(self, shape: tuple[int, ...]) -> Layout:
        found = self._layouts.get(shape)
        if found is None:
            found = self._layouts[shape] = layout_of(shape)
            if len(self._layouts) > LAYOUTS:
                self._layouts.popitem(last=False)
        return found


def words(row: npt.NDArray[Any]) -> npt.NDArray[np.uint32]:
    """Return the bytes of a contiguous row as an even number of 32-bit words, zeros at the end."""
    rest = row.nbytes % 8
    if not rest:
        return row.view(np.uint32)
    padded = np.zeros(row.nbytes + 8 - rest, np.uint8)
    padded[: row.nbytes] = row.view(np.uint8)
    return padded.view(np.uint32)


def exponent_of(top: float) -> int | None:
    """Return the power of two that is the range of inputs whose largest cell is `top`."""
    if not 0.0 < top < math.inf:
        return None
    return max(-60, min(60, math.ceil(math.log2(top / SLACK))))


def plane_of(shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Return planes, height, width and cells per pixel of a shape; a flat square is a picture."""
    if len(shape) == 1:
        for channels in (1, 3):
            side = math.isqrt(shape[0] // channels)
            if side >= 8 and side * side * channels == shape[0]:
                return channels, side, side, 1
        return 1, 1, shape[0], 1
    if len(shape) == 2:
        return 1, shape[0], shape[1], 1
    if shape[-1] <= 4 < min(shape[-3:-1]):
        return math.prod(shape[:-3]), shape[-3], shape[-2], shape[-1]
    return math.prod(shape[:-2]), shape[-2], shape[-1], 1


def layout_of(shape: tuple[int, ...]) -> Layout:
    """Return the runs of cells of each block of a grid laid over the picture."""
    planes, height, width, depth = plane_of(shape)
    down, across = (8, 8) if height >= 8 and width >= 8 else (1, 64) if height < 8 else (64, 1)
    edges = np.unique(np.arange(across + 1) * width // across)
    lines = np.arange(planes * height)
    column = (edges[:-1] * across // max(1, width)).clip(0, across - 1)
    block = (lines % height * down // height)[:, None] * across + column[None, :]
    start = (lines * width)[:, None] + edges[:-1][None, :]
    stop = (lines * width)[:, None] + edges[1:][None, :]
    runs = np.stack([start.ravel() * depth, stop.ravel() * depth, block.ravel()]).astype(np.int64)
    counts = np.bincount(runs[2], runs[1] - runs[0], minlength=64).astype(np.float64)
    return Layout(np.ascontiguousarray(runs), counts, depth)
