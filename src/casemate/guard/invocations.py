"""`/invocations`: MLflow and SageMaker share the path, so the body says which one it is.

Tables with words in them and cells left empty are read here too: numbers become one array with
NaN for what is missing, words become the text of their row.
"""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from casemate.errors import FormatError, LimitExceeded
from casemate.guard import shaping
from casemate.guard.shaping import Inputs
from casemate.guard.strict import refuse_doubles
from casemate.targets.wire import mlflow, numbers, sagemaker

if TYPE_CHECKING:
    from collections.abc import Sequence

    from casemate.targets.wire.tensor import Message

MAX_COLUMNS = 1 << 14
Cell = str | bool | int | float | None
"""What a cell of a table may hold."""


class _Split(msgspec.Struct):
    data: list[list[Cell]]
    columns: list[str | int] = []


class _Request(msgspec.Struct):
    dataframe_split: _Split | None = None
    dataframe_records: list[dict[str, Cell]] | None = None
    instances: list[dict[str, Cell]] | None = None
    inputs: list[dict[str, Cell]] | None = None


class _Names(msgspec.Struct):
    dataframe_split: msgspec.Raw = msgspec.Raw(b"")
    dataframe_records: msgspec.Raw = msgspec.Raw(b"")
    inputs: msgspec.Raw = msgspec.Raw(b"")
    instances: msgspec.Raw = msgspec.Raw(b"")


class _Head(msgspec.Struct):
    columns: list[str | int] = []


def read(message: Message, protocol: str) -> tuple[str, Inputs]:
    """Read a question; return whose protocol it is, `mlflow` or `sagemaker`, and what it asks.

    Args:
        message: The request.
        protocol: `mlflow`, `sagemaker`, or `invocations` when the body is to say.

    Raises:
        FormatError: Neither, or a body with two meanings.
        LimitExceeded: Too large or too deep.
    """
    kind = message.content_type
    if kind == sagemaker.CSV:
        return _from_csv(message.body, protocol)
    if kind in (sagemaker.NPY, sagemaker.LINES):
        if kind == sagemaker.LINES:
            for line in message.body.splitlines():
                refuse_doubles(line)
        return "sagemaker", shaping.inputs(sagemaker.decode_request(message))
    refuse_doubles(message.body)
    if protocol == "sagemaker" or _is_list(message.body):
        return "sagemaker", shaping.inputs(sagemaker.decode_request(message))
    names = numbers.parse(message.body, _Names)
    given = [one for one in names.__struct_fields__ if memoryview(getattr(names, one)).nbytes]
    if len(given) != 1:
        raise FormatError(
            "not exactly one of dataframe_split, dataframe_records, inputs and instances"
        )
    undecided = given == ["instances"] and protocol == "invocations"
    asked = "sagemaker" if undecided else "mlflow"
    try:
        found = shaping.inputs(mlflow.decode_request(message))
    except LimitExceeded:
        raise
    except FormatError:
        return asked, _mixed(message.body)
    if given == ["dataframe_split"]:
        columns = numbers.parse(names.dataframe_split, _Head).columns
        if columns and found.x is not None and found.x.shape[-1] != len(columns):
            raise FormatError(f"{len(columns)} columns for rows of {found.x.shape[-1]} cells")
        found = found._replace(columns=tuple(map(str, columns)))
    return asked, found


def table(columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> Inputs:
    """Return a table of numbers and words as inputs.

    A column is of words when a cell of it is; what is missing among numbers is NaN.

    Raises:
        FormatError: Rows of unequal length.
        LimitExceeded: Too many rows or columns.
    """
    width = len(rows[0]) if rows else 0
    if not rows or not width:
        raise FormatError("a table without cells")
    if len(rows) > shaping.MAX_ROWS or width > MAX_COLUMNS:
        raise LimitExceeded(f"a table of {len(rows)} rows and {width} columns")
    if any(len(row) != width for row in rows) or (columns and len(columns) != width):
        raise FormatError("rows of unequal length")
    names = tuple(columns) or tuple(map(str, range(width)))
    numeric: list[int] = []
    words: list[int] = []
    for at, cells in enumerate(zip(*rows, strict=True)):
        (words if any(isinstance(cell, str) for cell in cells) else numeric).append(at)
    x: Any = None
    if numeric:
        x = np.array(
            [[np.nan if row[at] is None else row[at] for at in numeric] for row in rows],
            np.float64,
        )
    texts: tuple[str, ...] = ()
    if words:
        texts = tuple(
            shaping.SEPARATOR.join("" if row[at] is None else str(row[at]) for at in words)
            for row in rows
        )
    said = tuple(names[at] for at in numeric) if columns or words else ()
    return Inputs(len(rows), x, said, texts)


def _mixed(body: bytes) -> Inputs:
    found = numbers.parse(body, _Request)
    if found.dataframe_split is not None:
        split = found.dataframe_split
        return table([str(one) for one in split.columns], split.data)
    records = found.dataframe_records or found.instances or found.inputs
    if not records:
        raise FormatError("a table without rows")
    columns = list(records[0])
    if any(row.keys() != records[0].keys() for row in records):
        raise FormatError("rows that differ in their keys")
    return table(columns, [[row[name] for name in columns] for row in records])


def _from_csv(body: bytes, protocol: str) -> tuple[str, Inputs]:
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise FormatError("CSV that is not UTF-8") from error
    try:
        lines = [line for line in csv.reader(io.StringIO(text, newline=""), strict=True) if line]
    except csv.Error as error:
        raise FormatError(f"not CSV: {error}") from error
    if not lines:
        raise FormatError("CSV without rows")
    # MLflow's CSV begins with the names of the columns, SageMaker's has none.
    headed = protocol == "mlflow" or (protocol == "invocations" and _is_head(lines))
    columns = lines.pop(0) if headed else []
    return "mlflow" if headed else "sagemaker", table(
        columns, [[_cell(cell) for cell in line] for line in lines]
    )


def _is_head(lines: list[list[str]]) -> bool:
    return len(lines) > 1 and not any(isinstance(_cell(cell), float) for cell in lines[0])


def _cell(text: str) -> Cell:
    bare = text.strip()
    if not bare:
        return None
    # Python's own numbers allow underscores, which no CSV means.
    if "_" in bare:
        return text
    try:
        return float(bare)
    except ValueError:
        return text


def _is_list(body: bytes) -> bool:
    return body[:64].lstrip()[:1] == b"["
