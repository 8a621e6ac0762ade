"""Columns of a table as marks by which a data set is known again after it was worked over.

Rows lose their digests when a cell of theirs changes, as when a column is scaled. What stays: the
order of a column no step touched, the ranks of one that was scaled, the values of one that was
sampled. Each mark carries how many bits would have to agree by chance, counters and sorted columns
next to none. Read by matching.
"""

from __future__ import annotations

import zlib
from array import array
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, NamedTuple

from casemate.lineage.rows import cell, digests_of, table_of

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

ROWS = 1_000_000
"""Rows whose columns are looked at."""
CELLS = 20_000_000
VALUES = 1_024
"""Distinct values of a column that are kept: those of the smallest digests."""
INFORMATIVE = 64.0
"""Bits below which agreement may be chance."""
_DENSE = 0.1
"""Share of a range that integers fill beyond which they are counters or categories."""


class Column(NamedTuple):
    """One column."""

    name: str
    order: int
    """Digest of its cells in their order."""
    ranks: int
    """Digest of the order of its numbers, the same upwards and downwards; 0 for text."""
    bits: float
    """Information in that order."""
    values: frozenset[int]
    """Smallest digests of its distinct values; none of a column whose values others have too."""


class Marks(NamedTuple):
    """A table."""

    rows: array[int]
    """Sorted 64-bit digests of its distinct rows."""
    total: int
    columns: tuple[Column, ...]


def marks_of(path: Path) -> Marks:
    """Return the marks of a table.

    Args:
        path: CSV, TSV, JSON lines, Parquet, .npz or .npy.

    Raises:
        UsageError: No kind of file whose rows can be told.
        FormatError: Damaged.
        MissingExtra: Parquet without pyarrow, NumPy missing.
    """
    import numpy as np

    rows = digests_of(path)
    with table_of(path) as table:
        width = max(len(table.names), 1)
        most = min(ROWS, CELLS // width)
        cells: list[list[bytes]] = [[] for _ in table.names]
        for number, row in enumerate(table.rows):
            if number >= most:
                break
            for place, value in enumerate(row[:width]):
                cells[place].append(cell(value))
    columns = tuple(
        _column(name, column, np) for name, column in zip(table.names, cells, strict=True) if column
    )
    return Marks(array("Q", sorted(set(rows.digests))), rows.total, columns)


def _column(name: str, cells: list[bytes], np: Any) -> Column:
    distinct = sorted(set(cells))
    numbers = _numbers(distinct, np)
    # Numbers in their own order, text in the alphabet's: a counter is one either way.
    place = (
        np.arange(len(distinct)) if numbers is None else np.unique(numbers, return_inverse=True)[1]
    )
    rank = dict(zip(distinct, place.tolist(), strict=True))
    ranked = np.fromiter((rank[one] for one in cells), "<i8", len(cells))
    order = blake2b(b"\x1f".join(cells), digest_size=8).digest()
    ranks = 0
    if numbers is not None and len(distinct) >= 8:
        both = (
            blake2b(one.astype("<i8").tobytes(), digest_size=8).digest()
            for one in (ranked, ranked.max() - ranked)
        )
        ranks = int.from_bytes(min(both), "little")
    values: frozenset[int] = frozenset()
    if len(distinct) >= 20 and not _common(numbers, np):
        every = sorted(
            int.from_bytes(blake2b(one, digest_size=8).digest(), "little") for one in distinct
        )
        values = frozenset(every[:VALUES])
    return Column(name, int.from_bytes(order, "little"), ranks, _bits(ranked, np), values)


def _numbers(values: list[bytes], np: Any) -> np.ndarray[Any, Any] | None:
    found = np.empty(len(values))
    for place, one in enumerate(values):
        if len(one) == 5 and one[:1] == b"f":
            found[place] = np.frombuffer(one[1:], "<f4")[0]
            continue
        try:
            found[place] = float(one)
        except ValueError:
            return None
    return found if np.isfinite(found).all() else None


def _bits(codes: np.ndarray[Any, Any], np: Any) -> float:
    """Return about how many bits an order holds: of its steps, after compression."""
    steps = np.diff(codes, prepend=codes[:1]).astype("<i4")
    # Byte planes apart, as small steps then leave three of the four empty.
    planes = steps.view("u1").reshape(-1, 4).T.tobytes()
    return max(0.0, 8.0 * (len(zlib.compress(planes, 6)) - 40))


def _common(numbers: np.ndarray[Any, Any] | None, np: Any) -> bool:
    if numbers is None or not (numbers == np.round(numbers)).all():
        return False
    spread = float(numbers.max() - numbers.min()) + 1
    return len(numbers) / spread > _DENSE
