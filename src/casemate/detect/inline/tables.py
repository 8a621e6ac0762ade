"""Fingerprints of table rows: each column counts by its own scale, learned or given.

The judge asks it for the `Print` of a row. A row has few cells, so its sketch is the row itself in
units of its columns' spread; marks are hashes of half of the columns at a time, which survive
when a few columns change, and of coarse cells of all, which survive when all change a little.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from casemate.detect.inline import keyed
from casemate.detect.inline.plain import mix, narrow
from casemate.detect.inline.signals import Print

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from casemate.detect.inline.signals import Signals

WIDEST = 128
"""Tables of more columns than this are treated as long arrays."""
HALVES = keyed.WINDOWS
WHOLES = keyed.WHOLE + keyed.COARSE
DIMS = 8
"""Columns a coarse hash reads, at most."""
LEARN_AT = (8, 64, 512)
"""Rows after which the columns' scales are learned anew; then they stay."""
FEWEST = 20
"""Principals whose rows must be there before it is learned how far rows lie apart."""
FLOOR = 0.1
"""A column's scale is at least this share of its median magnitude: an attack that comes before any
other traffic must not be taken for the columns' natural spread."""


class Scales:
    """Centre and spread of each column, given or learned from the first rows.

    Args:
        d: Number of columns.
        given: (2, d) centres and scales; learned from traffic without.
        apart: Distance that all but one in a hundred unlike rows exceed; None where not known.
    """

    def __init__(
        self,
        d: int,
        given: npt.NDArray[np.float64] | None = None,
        apart: float | None = None,
    ) -> None:
        self.limits = limits_of(apart)
        self.epoch = 0
        self.centre = np.zeros(d)
        self.scale = np.ones(d)
        self._rows: list[npt.NDArray[np.float64]] = []
        self._whose: list[int] = []
        self._learning = given is None
        if given is not None:
            self.centre, self.scale = given[0].copy(), given[1].copy()

    def learn(self, row: npt.NDArray[np.float64], who: int) -> bool:
        """Take in one row of a principal; say whether the scales have changed."""
        if not self._learning:
            return False
        self._rows.append(row.copy())
        self._whose.append(who)
        seen = len(self._rows)
        if seen == 1:
            self.scale = np.where(row == 0.0, 1.0, 0.25 * np.abs(row))
            self.centre = row.copy()
            return True
        if seen not in LEARN_AT:
            return False
        rows = np.array(self._rows)
        self.centre, self.scale = spread_of(rows)
        self.limits = limits_of(apart_of((rows - self.centre) / self.scale, self._whose))
        self.epoch += 1
        if seen == LEARN_AT[-1]:
            self._learning = False
            self._rows, self._whose = [], []
        return True


def spread_of(rows: npt.NDArray[np.float64]) -> tuple[Any, Any]:
    """Return centre and scale of each column of rows, robustly."""
    centre = np.median(rows, axis=0)
    low, high = np.percentile(rows, [25, 75], axis=0)
    inner = (high - low) / 1.349
    clipped = np.clip(rows, centre - 10 * inner, centre + 10 * inner) if len(rows) >= 64 else rows
    wide = np.where(inner > 0, clipped.std(axis=0), rows.std(axis=0))
    scale = np.maximum(np.maximum(inner, wide), FLOOR * np.median(np.abs(rows), axis=0))
    return centre, np.where(scale > 0, scale, 1.0)


def limits_of(apart: float | None) -> npt.NDArray[np.float64]:
    """Return the limits of `index.score` for rows that lie so far apart by nature."""
    reach = 0.15 if apart is None else min(0.15, max(0.03, apart))
    recent = 0.25 if apart is None else min(0.25, max(0.05, 1.5 * apart))
    return np.array([reach, 0.0, 0.0, 0.4, 0.0, 1.0, 2048.0, recent])


def apart_of(z: npt.NDArray[np.float64], whose: Sequence[int] | None = None) -> float | None:
    """Return the first percentile of distances to the nearest unequal row; None for too few.

    Args:
        z: Rows (n, d) in units of their columns' spread.
        whose: Principal of each row: rows of one and the same are not compared, and every
            principal counts alike, as an attack's would pass for natural neighbours.
    """
    z = np.clip(z, -31.0, 31.0)
    nearest = np.full(len(z), np.inf)
    owners = np.arange(len(z)) if whose is None else np.asarray(whose)
    for start in range(0, len(z), 64):
        stop = start + 64
        apart = np.minimum(np.abs(z[start:stop, None, :] - z[None]), 2.0)
        d = np.sqrt(np.mean(apart**2, axis=2))
        d[(d == 0) | (owners[start:stop, None] == owners[None])] = np.inf
        nearest[start:stop] = d.min(1)
    there = np.isfinite(nearest)
    nearest, owners = nearest[there], owners[there]
    _, place, rows = np.unique(owners, return_inverse=True, return_counts=True)
    if len(nearest) < 50 or len(rows) < FEWEST:
        return None
    order = np.argsort(nearest)
    weight = np.cumsum(1.0 / rows[place[order]])
    return float(nearest[order][np.searchsorted(weight, 0.01 * weight[-1])])


class Tables:
    """Makes prints of table rows under one key."""

    def __init__(self, key: bytes, signals: Signals) -> None:
        self._key = key
        self._signals = signals
        self._plans: dict[int, tuple[Any, Any, Any, Any]] = {}

    def print_of(
        self,
        row: npt.NDArray[np.float64],
        scales: Scales,
        salts: npt.NDArray[np.uint64],
    ) -> Print:
        """Return the print of one row of finite numbers; (d,) with d at most WIDEST."""
        halves, coarse, shifts, weights = self._plan(len(row))
        with np.errstate(over="ignore"):
            z = np.clip((row - scales.centre) / scales.scale, -31.0, 31.0)
        marks = np.zeros(keyed.MARKS, np.uint64)
        marks[0] = self._signals.digest(row, salts)
        near = np.floor(z * 16.0 + 0.5).astype(np.int64).astype(np.uint64)
        marks[1 : 1 + HALVES] = mix((halves * near).sum(1, dtype=np.uint64) ^ salts[11])
        cells = np.floor(z[coarse] + shifts).astype(np.int64).astype(np.uint64)
        marks[1 + HALVES :] = mix((cells * weights).sum(1, dtype=np.uint64) ^ salts[12])
        sketch = np.zeros(keyed.PRINT, np.int16)
        if len(row) <= keyed.PRINT:
            sketch[: len(row)] = narrow(z * 1024.0)
        else:
            folded = np.bincount(
                np.arange(len(row)) % keyed.PRINT,
                z * keyed.signs(self._key, len(row)),
                minlength=keyed.PRINT,
            )
            sketch[:] = narrow(folded * np.sqrt(keyed.PRINT / len(row)) * 1024.0)
        return Print(marks, sketch, np.ones(2, np.float32), float(np.abs(row / len(row)).sum()), 0)

    def _plan(self, d: int) -> tuple[Any, Any, Any, Any]:
        found = self._plans.get(d)
        if found is None:
            rng = np.random.Generator(np.random.Philox(key=keyed.salt(self._key, f"columns {d}")))
            chosen = np.zeros((HALVES, d), np.uint64)
            for half in chosen:
                half[rng.permutation(d)[: -(-d // 2)]] = 1
            odd = np.uint64(1)
            halves = chosen * (rng.integers(0, 2**64, (HALVES, d), np.uint64) | odd)
            size = min(d, DIMS)
            coarse = np.stack([rng.permutation(d)[:size] for _ in range(WHOLES)])
            shifts = rng.random((WHOLES, size))
            weights = rng.integers(0, 2**64, (WHOLES, size), np.uint64) | odd
            found = self._plans[d] = (halves, coarse, shifts, weights)
        return found
