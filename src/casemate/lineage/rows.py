"""Row digests: by which a row is known again in another file, whatever its format.

A digest is 64 bits of BLAKE2b over the row's cells by column name, in order of the names. Numbers
are taken as single precision, absent cells alike however they are written, index columns left out;
so a row keeps its digest from CSV to Parquet, when columns or rows change places, when pandas
writes it again. A row with a changed cell, or with other columns, is another row.
"""

from __future__ import annotations

import contextlib
import csv
import gzip
import itertools
import json
import math
import re
import struct
import tokenize
import zipfile
import zlib
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, NamedTuple

from casemate.errors import FormatError, LimitExceeded, MissingExtra, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

Cells = tuple[str, ...]
MOST = 50_000_000
"""Rows of one file."""
_MISSING = frozenset({"", "nan", "na", "n/a", "null", "none", "<na>"})
_INDEX = re.compile(r"|Unnamed: \d+|__index_level_\d+__")
_INTEGER = re.compile(r"[+-]?\d{1,40}")
_READ = re.compile(r"\.(csv|tsv|jsonl|ndjson)(\.gz)?$|\.(parquet|npz|npy)$", re.IGNORECASE)
_SINGLE = struct.Struct("<f")
_FIELD = 1 << 20
_BATCH = 16_384
_ARRAYS = 8 << 30


_DAMAGED = (
    OSError, EOFError, ValueError, SyntaxError, KeyError, RecursionError, MemoryError,
    csv.Error, zlib.error, zipfile.BadZipFile, tokenize.TokenError,
)  # fmt: skip


class Table(NamedTuple):
    """A file as rows: names of its columns, and cells in their order."""

    names: tuple[str, ...]
    rows: Iterator[Sequence[Any]]


class Rows(NamedTuple):
    """Digests of rows."""

    digests: list[int]
    """64 bits each, in the order of the rows."""
    total: int
    """Rows looked at."""


def has_rows(path: Path) -> bool:
    """Say whether a file is of a kind whose rows can be told, by its name."""
    return _READ.search(path.name) is not None


def digests_of(path: Path, keep: str | None = None) -> Rows:
    """Return the digests of a file's rows.

    Args:
        path: CSV, TSV, JSON lines (each also as .gz), Parquet, .npz or .npy.
        keep: Which of its rows, as for `chooser`; None for all.

    Raises:
        UsageError: No kind of file whose rows can be told, or `keep` names no column of it.
        FormatError: Not what its name says, or damaged.
        MissingExtra: Parquet without pyarrow, arrays without NumPy.
    """
    with table_of(path) as table:
        return _digests(table, keep, path)


@contextlib.contextmanager
def table_of(path: Path) -> Iterator[Table]:
    """Open a file as rows, to be read while it is open; raises as `digests_of`."""
    match = _READ.search(path.name)
    if match is None:
        raise UsageError(
            f"rows of {path.name} cannot be told", hint="CSV, TSV, JSON lines, Parquet, .npz, .npy"
        )
    kind = (match[1] or match[3]).lower()
    try:
        if kind in {"npz", "npy"}:
            yield _arrays(path)
        elif kind == "parquet":
            yield _parquet(path)
        else:
            opener = gzip.open if match[2] else open
            with opener(
                path, "rt", encoding="utf-8-sig", errors="surrogateescape", newline=""
            ) as text:
                yield _lines(text) if kind in {"jsonl", "ndjson"} else _separated(text, kind)
    except _DAMAGED as error:
        raise FormatError(f"{path.name} cannot be read as {kind}: {error}") from error


def chooser(keep: str, names: Sequence[str]) -> Callable[[int, Sequence[Any]], bool]:
    """Return what says whether a row (its number from 1, its cells) is meant.

    Args:
        keep: `column=value`, with `!=`, `<`, `<=`, `>`, `>=` likewise, several joined by ` and `;
            or numbers of rows, `10-90,95`, the first below the header being 1.
        names: Of the columns.

    Raises:
        UsageError: Neither, or there is no such column.
    """
    if re.fullmatch(r"\s*\d+(-\d+)?(\s*,\s*\d+(-\d+)?)*\s*", keep):
        spans = [(int(a), int(b or a)) for a, b in re.findall(r"(\d+)(?:-(\d+))?", keep)]
        return lambda number, _: any(first <= number <= last for first, last in spans)
    tests = [_test(part, names) for part in re.split(r"\s+and\s+", keep.strip())]
    return lambda _, cells: all(test(cells) for test in tests)


def _test(text: str, names: Sequence[str]) -> Callable[[Sequence[Any]], bool]:
    match = re.fullmatch(r"(.+?)\s*(!=|<=|>=|=|<|>)\s*(.*)", text, re.DOTALL)
    if match is None:
        raise UsageError(
            f"'{text}' chooses no rows", hint="column=value, or numbers of rows such as 10-90,95"
        )
    name, sign, value = match.groups()
    if name not in names:
        raise UsageError(f"there is no column '{name}'", hint=f"there are: {', '.join(names[:12])}")
    at = names.index(name)
    wanted = cell(value)
    if sign in {"=", "!="}:
        return lambda cells: (cell(cells[at]) == wanted) == (sign == "=")
    try:
        border = float(value)
    except ValueError:
        raise UsageError(f"'{value}' is no number to compare with", hint=f"{name}=...") from None

    def compare(cells: Sequence[Any]) -> bool:
        try:
            number = float(cells[at])
        except (TypeError, ValueError):
            return False
        return {
            "<": number < border, "<=": number <= border,
            ">": number > border, ">=": number >= border,
        }[sign]  # fmt: skip

    return compare


def _digests(table: Table, keep: str | None, path: Path) -> Rows:
    wanted = None if keep is None else chooser(keep, table.names)
    kept = [at for at, name in enumerate(table.names) if not _INDEX.fullmatch(name)]
    order = sorted(kept, key=lambda at: table.names[at])
    heads = [f"{table.names[at]}=".encode("utf-8", "surrogateescape") for at in order]
    found: list[int] = []
    number = 0
    for cells in table.rows:
        number += 1
        if number > MOST:
            raise LimitExceeded(f"{path.name} has more than {MOST:,} rows")
        if len(cells) != len(table.names):
            raise FormatError(
                f"{path.name} row {number} has {len(cells)} cells, the header {len(table.names)}"
            )
        if wanted is not None and not wanted(number, cells):
            continue
        body = b"\x1f".join(
            [
                head + one
                for head, at in zip(heads, order, strict=True)
                if (one := cell(cells[at]))  # an absent cell is as an absent column
            ]
        )
        found.append(int.from_bytes(blake2b(body, digest_size=8).digest(), "little"))
    return Rows(found, number)


def cell(value: Any) -> bytes:
    """Return a cell in the one form it has in every format."""
    if value is None:
        return b""
    if isinstance(value, bytes):
        return value
    if isinstance(value, bool):
        return b"True" if value else b"False"
    if isinstance(value, int):
        return b"%d" % value
    if not isinstance(value, float):
        text = str(value).strip()
        if _INTEGER.fullmatch(text):
            return b"%d" % int(text)
        try:
            value = float(text)
        except ValueError:
            absent = text.lower() in _MISSING
            return b"" if absent else text.encode("utf-8", "surrogateescape")
    if math.isnan(value):
        return b""
    if value.is_integer() and abs(value) < 1 << 53:
        return b"%d" % int(value)
    try:
        return b"f" + _SINGLE.pack(value)
    except OverflowError:
        return repr(value).encode()


def _separated(text: Any, kind: str) -> Table:
    head = text.readline(_FIELD)
    sign = "\t" if kind == "tsv" else max(",;\t", key=head.count)
    csv.field_size_limit(_FIELD)
    reader = csv.reader(itertools.chain([head], text), delimiter=sign, strict=True)
    first = next(reader, [])
    if any(_is_number(cell) for cell in first):  # no header: the first line is a row
        names = tuple(f"{at:06d}" for at in range(len(first)))
        return Table(names, filter(None, itertools.chain([first], reader)))
    return Table(tuple(name.strip() for name in first), filter(None, reader))


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _lines(text: Any) -> Table:
    decode = json.JSONDecoder().decode

    def rows() -> Iterator[dict[str, Any]]:
        text.seek(0)
        for line in text:
            if line.strip():
                one = decode(line)
                yield one if isinstance(one, dict) else {"value": one}

    # Twice through: lines need not have the same names.
    names = tuple(dict.fromkeys(name for one in rows() for name in one))
    return Table(names, ([_plain(one.get(name)) for name in names] for one in rows()))


def _plain(value: Any) -> Any:
    return json.dumps(value, sort_keys=True) if isinstance(value, dict | list) else value


def _parquet(path: Path) -> Table:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise MissingExtra("tables", for_=path.name) from error
    try:
        file = pq.ParquetFile(path)
    except pa.ArrowException as error:
        raise FormatError(f"{path.name} is not a Parquet file, or damaged: {error}") from error
    names = tuple(str(name) for name in file.schema_arrow.names)

    def cells() -> Iterator[Sequence[Any]]:
        try:
            for batch in file.iter_batches(batch_size=_BATCH):
                columns = [map(_plain, column.to_pylist()) for column in batch.columns]
                yield from zip(*columns, strict=True)
        except pa.ArrowException as error:
            raise FormatError(f"{path.name} is damaged: {error}") from error

    return Table(names, cells())


def _arrays(path: Path) -> Table:
    """Return arrays of one length, the longest, as columns; others have no rows of these."""
    try:
        import numpy as np
    except ImportError as error:
        raise MissingExtra("attack", for_=path.name) from error
    given: dict[str, Any] = {}
    if path.suffix.lower() == ".npy":
        given["x"] = np.load(path, allow_pickle=False, mmap_mode="r")
    else:
        with zipfile.ZipFile(path) as members:
            if sum(one.file_size for one in members.infolist()) > _ARRAYS:
                raise LimitExceeded(f"{path.name} unpacks to more than {_ARRAYS:,} bytes")
        with np.load(path, allow_pickle=False) as loaded:
            given = {name: loaded[name] for name in loaded.files}
    arrays = {name: one for name, one in given.items() if one.ndim}
    length = max((len(one) for one in arrays.values()), default=0)
    columns = {name: one for name, one in arrays.items() if len(one) == length}

    def cells() -> Iterator[Sequence[Any]]:
        for begin in range(0, length, _BATCH):
            parts = []
            for one in columns.values():
                part = one[begin : begin + _BATCH]
                if part.ndim == 1:
                    parts.append(part.tolist())
                    continue
                kind = np.float32 if part.dtype.kind == "f" else np.int64
                plain = part.astype(kind) if part.dtype.kind in "fiub" else part
                parts.append([row.tobytes() for row in np.ascontiguousarray(plain)])
            yield from zip(*parts, strict=True)

    return Table(tuple(columns), cells())
