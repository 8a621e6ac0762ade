"""Contract: what the inputs of a model must look like, learned from data and checked per input.

`learn` makes one from training or reference inputs; `InlineJudge` checks every input against it and
takes the scales of table columns from it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from casemate.detect.inline.tables import WIDEST, apart_of, spread_of
from casemate.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt

FEW = 32
"""A column of at most so many distinct whole values, each seen often, is a category."""
SAMPLE = 4000
"""Rows among which nearest distances are measured."""
SLACK = 0.1
"""Share of the observed range by which a measured column may leave it on either side."""
THIN = 30.0
"""Rows' worth of range that is added for what few rows have not shown."""
TOLERANCE = 1e-6


class Bounds(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one column may hold."""

    name: str
    low: float
    high: float
    whole: bool = False
    values: tuple[float, ...] = ()
    """The only values seen, where they are few and each is seen often."""
    missing: bool = False
    """Whether NaN is usual in it."""


class Contract(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    tag_field="schema",
    tag="contract/1",
    forbid_unknown_fields=True,
):
    """What inputs must look like; JSON by msgspec."""

    rows: int
    """Inputs it was learned from."""
    low: float
    """Smallest cell of all."""
    high: float
    shape: tuple[int, ...] = ()
    """Shape of an input."""
    columns: tuple[Bounds, ...] = ()
    """Of a table; empty for long arrays."""
    groups: tuple[tuple[int, ...], ...] = ()
    """Columns of which exactly one is 1."""
    centres: tuple[float, ...] = ()
    scales: tuple[float, ...] = ()
    """Centre and spread of each column, for distances."""
    apart: float | None = None
    """Distance to the nearest other input that all but one in a hundred exceed; duplicates aside.
    Closer pairs count as near-duplicates."""


def learn(x: npt.NDArray[Any], columns: Sequence[str] = ()) -> Contract:
    """Learn a contract from inputs.

    Args:
        x: Inputs, (rows, ...), numeric; NaN stands for a missing cell.
        columns: Names of a table's columns; without, those of a table are numbered.

    Raises:
        UsageError: No rows, not numeric, or names that do not fit.
    """
    if x.ndim < 2 or not x.size or x.dtype.kind not in "biuf":
        raise UsageError(f"no contract can be learned from {x.dtype} {list(x.shape)}")
    rows = x.reshape(len(x), -1).astype(np.float64)
    finite = rows[np.isfinite(rows)]
    if not finite.size:
        raise UsageError("no contract can be learned: no cell is finite")
    low, high = float(finite.min()), float(finite.max())
    d = rows.shape[1]
    if columns and len(columns) != d:
        raise UsageError(f"{len(columns)} column names for {d} columns")
    if x.ndim > 2 or d > WIDEST or (not columns and d >= 64):
        return Contract(rows=len(rows), low=low, high=high, shape=x.shape[1:])
    names = tuple(columns) or tuple(f"column {j}" for j in range(d))
    bounds = tuple(_bounds(names[j], rows[:, j]) for j in range(d))
    filled = np.where(
        np.isfinite(rows), rows, np.nanmedian(np.where(np.isfinite(rows), rows, np.nan), axis=0)
    )
    filled = np.where(np.isfinite(filled), filled, 0.0)
    centre, scale = spread_of(filled)
    return Contract(
        rows=len(rows),
        low=low,
        high=high,
        shape=x.shape[1:],
        columns=bounds,
        groups=_groups(filled, bounds),
        centres=tuple(centre.tolist()),
        scales=tuple(scale.tolist()),
        apart=_apart((filled - centre) / scale),
    )


def read_contract(path: Path) -> Contract:
    """Read the contract that `write_contract` wrote.

    Raises:
        UsageError: The file is not there, or is no contract.
    """
    try:
        contract = msgspec.json.decode(path.read_bytes(), type=Contract)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not a contract: {error}") from error
    d = len(contract.columns)
    if {len(contract.centres), len(contract.scales)} != {d}:
        raise UsageError(f"{path}: {d} columns, but not as many centres and scales")
    if not all(0 < scale < np.inf for scale in contract.scales):
        raise UsageError(f"{path}: a scale that is not above 0")
    if any(not 0 <= j < d for group in contract.groups for j in group):
        raise UsageError(f"{path}: a group of columns that are not there")
    return contract


def write_contract(contract: Contract, path: Path) -> None:
    """Write a contract as JSON, for people to read and edit."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(contract), indent=2) + b"\n")


def _bounds(name: str, column: npt.NDArray[np.float64]) -> Bounds:
    there = column[np.isfinite(column)]
    missing = len(there) < len(column)
    if not len(there):
        return Bounds(name=name, low=0.0, high=0.0, missing=True)
    low, high = float(there.min()), float(there.max())
    whole = bool((there == np.rint(there)).all())
    values: tuple[float, ...] = ()
    if whole:
        found, counts = np.unique(there, return_counts=True)
        if len(found) <= FEW and counts.min() * 200 >= len(there) and counts.min() >= 5:
            values = tuple(found.tolist())
    slack = 0.0 if values else (SLACK + THIN / len(there)) * (high - low)
    if whole:
        slack = float(np.ceil(slack))
    floor = 0.0 if low >= 0 else -np.inf
    return Bounds(
        name=name,
        low=max(floor, low - slack),
        high=high + slack,
        whole=whole,
        values=values,
        missing=missing,
    )


def _groups(rows: npt.NDArray[np.float64], bounds: Sequence[Bounds]) -> tuple[tuple[int, ...], ...]:
    """Find runs of neighbouring 0/1 columns that always sum to 1."""
    binary = [
        one.values == (0.0, 1.0) or (one.whole and one.low == 0 and one.high <= 1) for one in bounds
    ]
    groups: list[tuple[int, ...]] = []
    start = 0
    while start < len(bounds):
        if not binary[start]:
            start += 1
            continue
        total = np.zeros(len(rows))
        taken = 0
        for stop in range(start, len(bounds)):
            if not binary[stop]:
                break
            total += rows[:, stop]
            if stop > start and bool((total == 1).all()):
                taken = stop + 1
                break
            if bool((total > 1).any()):
                break
        if taken:
            groups.append(tuple(range(start, taken)))
            start = taken
        else:
            start += 1
    return tuple(groups)


def _apart(z: npt.NDArray[np.float64]) -> float | None:
    sample = z[np.random.default_rng(0).permutation(len(z))[:SAMPLE]]
    return apart_of(sample) if len(sample) >= 100 else None


def breaks(contract: Contract, row: npt.NDArray[Any]) -> tuple[int, str | None]:
    """Count the cells of an input that break the contract; name the first, without its value.

    Args:
        contract: What holds.
        row: The input, flat.
    """
    if contract.columns and len(row) == len(contract.columns):
        return _table_breaks(contract, row)
    wanted = int(np.prod(contract.shape)) if contract.shape else len(row)
    if len(row) != wanted:
        return len(row), f"{len(row)} cells where {wanted} are usual"
    slack = SLACK * (contract.high - contract.low)
    with np.errstate(invalid="ignore"):
        fine = (row >= contract.low - slack) & (row <= contract.high + slack)
    count = int(len(row) - np.count_nonzero(fine))
    if not count:
        return 0, None
    first = int(np.argmin(fine))
    what = "is not finite" if not np.isfinite(row[first]) else "is out of range"
    return count, f"cell {first} {what}"


def _table_breaks(contract: Contract, row: npt.NDArray[Any]) -> tuple[int, str | None]:
    found: list[str] = []
    for j, bounds in enumerate(contract.columns):
        value = float(row[j])
        wrong = _wrong(bounds, value)
        if wrong:
            found.append(f"{bounds.name} {wrong}")
    for group in contract.groups:
        cells = row[list(group)]
        if np.count_nonzero(cells == 1) != 1 or np.count_nonzero(cells) != 1:
            first, last = contract.columns[group[0]].name, contract.columns[group[-1]].name
            found.append(f"not exactly one of {first} to {last} is 1")
    return len(found), found[0] if found else None


def _wrong(bounds: Bounds, value: float) -> str:
    if value != value:
        return "" if bounds.missing else "is missing"
    if value in (np.inf, -np.inf):
        return "is not finite"
    if bounds.values and value not in bounds.values:
        return "is none of the usual values"
    if bounds.whole and value != np.rint(value):
        return "is not a whole number"
    edge = TOLERANCE * max(1.0, abs(bounds.low), abs(bounds.high))
    if not bounds.low - edge <= value <= bounds.high + edge:
        return "is out of range"
    return ""
