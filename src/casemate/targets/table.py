"""Tables: CSV and Parquet to numbers, and what may be done to each column.

Nothing is executed, so `init` reads a user's table with the same code. Columns of strings become
ordinal codes in the order of their sorted distinct values (see `casemate.targets.encoding`), rows
with missing values are left out and counted in a note.
"""

from __future__ import annotations

import csv
import difflib
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from casemate.errors import MissingExtra, UsageError
from casemate.records.column import Column
from casemate.records.make import make
from casemate.targets.encoding import Encoding

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt

    from casemate.targets.capabilities import Array
    from casemate.targets.data import Raw

LABELS = ("label", "target", "class", "y", "labels", "outcome", "category")
"""Names a label column usually has, tried in this order when none is given."""
_MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "<na>", "?"})
_FEW = 10
"""A column of at most so many distinct whole numbers keeps to the values seen."""
_TRUTH = {"true": True, "false": False}


class Table(NamedTuple):
    """The cells of a file by column; strings, numbers or booleans, None where missing."""

    names: tuple[str, ...]
    cells: tuple[npt.NDArray[Any], ...]


def read_table(path: Path, label: str | None) -> Raw:
    """Return the features and labels of a CSV, TSV or Parquet file.

    Raises:
        UsageError: Not a table, no such label column, no rows, or none without missing values.
        MissingExtra: A Parquet file, and pyarrow is not installed.
    """
    parquet = path.suffix.lower() in (".parquet", ".pq")
    table = _read_parquet(path) if parquet else _read_text(path)
    label = label_column(table.names, label, path.name)
    if len(table.names) < 2:
        raise UsageError(f"{path.name} has no column beside '{label}'", hint="other separator?")
    at = table.names.index(label)
    features = Table(
        table.names[:at] + table.names[at + 1 :], table.cells[:at] + table.cells[at + 1 :]
    )
    return _numbers(features, table.cells[at], label, path.name)


def from_frame(frame: Any, y: npt.NDArray[Any], where: str) -> Raw:
    """Return the features of a DataFrame with the labels y (n,).

    Raises:
        UsageError: No rows without missing values, or another number of labels than of rows.
    """
    if len(frame) != len(y):
        raise UsageError(f"{where}: {len(frame)} inputs but {len(y)} labels")
    if not len(frame) or not len(frame.columns):
        raise UsageError(f"{where} holds no inputs")
    names = tuple(str(name) for name in frame.columns)
    cells = tuple(_objects(frame[name].tolist()) for name in frame.columns)
    labels = np.empty(len(y), dtype=object)
    labels[:] = y.reshape(len(y)).tolist()
    return _numbers(Table(names, cells), labels, "the labels", where)


def _numbers(table: Table, labels: npt.NDArray[Any], label: str, where: str) -> Raw:
    from casemate.targets.data import Raw

    present = np.ones(len(labels), bool)
    gaps = {}
    for name, cells in (*zip(*table, strict=True), (label, labels)):
        here = np.array([cell is not None for cell in cells], bool)
        gaps[name] = int((~here).sum())
        present &= here
    left_out = int((~present).sum())
    if left_out == len(present):
        raise UsageError(
            f"every row of {where} has a missing value, most of them in "
            f"'{max(gaps, key=lambda name: gaps[name])}'",
            hint="drop the column or fill it first",
        )
    notes: tuple[str, ...] = ()
    if left_out:
        notes = (f"{left_out} of {len(present)} rows have missing values and are left out",)
    pairs = [encode(name, cells[present]) for name, cells in zip(*table, strict=True)]
    y, encoding = encode(label, labels[present])
    if encoding.dtype == "string":
        y = np.array(encoding.strings, dtype=str)[y.astype(np.int64)]
    encodings = tuple(encoding for _, encoding in pairs)
    return Raw(np.stack([x for x, _ in pairs], axis=1), y, table.names, encodings, notes)


def label_column(names: Sequence[str], label: str | None, where: str) -> str:
    """Return the name of the label column: the one given, else the one with a usual name.

    Raises:
        UsageError: There is none of that name, or none with a usual name.
    """
    if label is not None:
        if label in names:
            return label
        near = difflib.get_close_matches(label, names, 1)
        raise UsageError(
            f"{where} has no column '{label}'",
            hint=f"did you mean '{near[0]}'?" if near else f"it has {_listed(names)}",
        )
    for usual in LABELS:
        for name in names:
            if name.strip().lower() == usual:
                return name
    raise UsageError(
        f"which column of {where} holds the labels?",
        hint=f"--label COLUMN, one of {_listed(names)}",
    )


def encode(name: str, cells: npt.NDArray[Any]) -> tuple[Array, Encoding]:
    """Return a column without gaps as float64 and how it was encoded."""
    if all(isinstance(cell, bool) for cell in cells):
        return cells.astype(np.float64), Encoding(name, "boolean")
    if all(isinstance(cell, int | float) for cell in cells):
        column = cells.astype(np.float64)
        whole = all(isinstance(cell, int | bool) for cell in cells)
        return column, Encoding(name, "integer" if whole else "float")
    strings, codes = np.unique(cells.astype(str), return_inverse=True)
    return codes.astype(np.float64), Encoding(name, "string", tuple(strings.tolist()))


def learn_columns(
    x: Array, names: Sequence[str] = (), encodings: Sequence[Encoding] = ()
) -> tuple[Column, ...]:
    """Learn type, range and one-hot group of every column of x (n, d) from its values.

    Everything is mutable and without relations; what an attacker cannot change only the owner of
    the data can say.
    """
    names = names or [f"f{i}" for i in range(x.shape[1])]
    groups = _one_hot_groups(x, names)
    columns = []
    for i, name in enumerate(names):
        values = np.unique(x[:, i])
        kind: Literal["float", "integer", "boolean", "category"] = "float"
        allowed: tuple[float, ...] = ()
        if i < len(encodings) and encodings[i].dtype == "string":
            kind, allowed = "category", tuple(float(v) for v in range(len(encodings[i].strings)))
        elif set(values.tolist()) <= {0.0, 1.0} and len(values):
            kind = "boolean"
        elif (values == np.rint(values)).all():
            kind = "integer"
        low, high = (0.0, 1.0) if kind == "boolean" else (float(values[0]), float(values[-1]))
        if allowed:
            low, high = allowed[0], allowed[-1]
        columns.append(
            make(Column, name=name, type=kind, low=low, high=high, values=allowed, group=groups[i])
        )
    return tuple(columns)


def _one_hot_groups(x: Array, names: Sequence[str]) -> list[str | None]:
    """Return the group of each column: same prefix before `=` or the last `_`, always one 1."""
    members: dict[str, list[int]] = {}
    for i, name in enumerate(names):
        head, separator, _ = name.partition("=") if "=" in name else name.rpartition("_")
        if separator and head and ((x[:, i] == 0) | (x[:, i] == 1)).all():
            members.setdefault(head, []).append(i)
    groups: list[str | None] = [None] * len(names)
    for head, indices in members.items():
        if len(indices) > 1 and (x[:, indices].sum(axis=1) == 1).all():
            for i in indices:
                groups[i] = head
    return groups


def _read_text(path: Path) -> Table:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            head = file.read(1 << 16)
            file.seek(0)
            rows = list(csv.reader(file, delimiter=_separator(path, head), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path.name} is not a CSV file: {error}") from error
    rows = [row for row in rows if row]
    if not rows:
        raise UsageError(f"{path.name} is empty")
    names = tuple(name.strip() for name in rows[0])
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise UsageError(f"{path.name} has two columns called '{twice}'")
    if len(rows) == 1:
        raise UsageError(f"{path.name} has a header and no rows")
    for number, row in enumerate(rows[1:], 2):
        if len(row) != len(names):
            raise UsageError(
                f"{path.name} line {number} has {len(row)} cells, the header {len(names)}",
                hint="is the file truncated, or a separator unquoted?",
            )
    columns = list(zip(*rows[1:], strict=True))
    return Table(names, tuple(_typed(list(cells)) for cells in columns))


def _separator(path: Path, head: str) -> str:
    if path.suffix.lower() == ".tsv":
        return "\t"
    first = head.partition("\n")[0]
    return max((",", ";", "\t"), key=first.count) if first else ","


def _typed(cells: list[str]) -> npt.NDArray[Any]:
    """Return text cells as int, float, bool or str, whichever fits all of a column."""
    text = [cell.strip() for cell in cells]
    present = [cell for cell in text if cell.lower() not in _MISSING]
    convert: Any = str
    if present and all(cell.lower() in _TRUTH for cell in present):
        convert = _truth
    else:
        for kind in (int, float):
            try:
                numbers = [kind(cell.replace("_", "x")) for cell in present]
            except ValueError:
                continue
            if kind is int and any(abs(number) >= 1 << 53 for number in numbers):
                break  # an identifier; as a float it would not be the same number
            convert = kind
            break
    out = np.empty(len(text), dtype=object)
    out[:] = [None if cell.lower() in _MISSING else convert(cell) for cell in text]
    return out


def _truth(cell: str) -> bool:
    return _TRUTH[cell.lower()]


def _read_parquet(path: Path) -> Table:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise MissingExtra("tables", for_=path.name) from error
    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise UsageError(f"{path.name} is not a Parquet file, or damaged: {error}") from error
    if not table.num_rows:
        raise UsageError(f"{path.name} has no rows")
    names = tuple(str(name) for name in table.column_names if not str(name).startswith("__index"))
    return Table(names, tuple(_objects(table.column(name).to_pylist()) for name in names))


def _objects(values: list[Any]) -> npt.NDArray[Any]:
    """Return values as objects: plain ones as they are, others as text, gaps as None."""
    plain = all(v is None or isinstance(v, bool | int | float | str) for v in values)
    gap = [v is None or type(v).__name__ == "NAType" or v != v for v in values]
    out = np.empty(len(values), dtype=object)
    out[:] = [None if g else (v if plain else str(v)) for v, g in zip(values, gap, strict=True)]
    return out


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:12])
    return shown if len(names) <= 12 else f"{shown} and {len(names) - 12} more"
