"""Rows of comma-separated numbers, as scoring servers take and give them: no header, no dialects.

Below the codecs of SageMaker and MLflow.
"""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

import numpy as np

from casemate.errors import FormatError, LimitExceeded
from casemate.targets.wire.tensor import MAX_STRINGS, Answer, Text, tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

MAX_COLUMNS = 1 << 20


def encode(x: npt.NDArray[Any], header: Sequence[str] = ()) -> bytes:
    """Return rows (n, d) as CSV, numbers in full precision, with a header where one is given.

    Raises:
        FormatError: x is not a table, or holds NaN or infinity.
    """
    if x.ndim != 2:
        raise FormatError(f"CSV holds rows of columns, not inputs of shape {list(x.shape[1:])}")
    if x.dtype.kind == "f" and not bool(np.isfinite(x).all()):
        raise FormatError("NaN or infinity cannot be sent as CSV")
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    if header:
        writer.writerow(header)
    writer.writerows(x.tolist())
    return out.getvalue().encode()


def decode(body: bytes, name: str = "predictions") -> Answer:
    """Read rows of numbers; a single column of anything else is read as text.

    Whole numbers written without a point become integers.

    Raises:
        FormatError: Not UTF-8, rows of unequal length, or text among numbers.
        LimitExceeded: Too many columns or strings.
    """
    try:
        lines = body.decode("utf-8").strip().splitlines()
    except UnicodeDecodeError as error:
        raise FormatError("CSV that is not UTF-8") from error
    if not lines:
        return Answer((tensor(name, np.empty(0)),))
    columns = lines[0].count(",") + 1
    if columns > MAX_COLUMNS:
        raise LimitExceeded(f"{columns} columns; {MAX_COLUMNS} is the limit")
    cells = ",".join(lines).split(",")
    if any(line.count(",") + 1 != columns for line in lines):
        raise FormatError("rows of unequal length")
    # Python's own numbers allow underscores, which no CSV means.
    found = None if b"_" in body else _numbers(cells)
    if found is None and columns == 1:
        if len(lines) > MAX_STRINGS:
            raise LimitExceeded(f"{len(lines)} strings; {MAX_STRINGS} is the limit")
        return Answer((), (Text(name, tuple(line.strip().strip('"') for line in lines)),))
    if found is None:
        raise FormatError("text where numbers were expected")
    shaped = found if columns == 1 else found.reshape(len(lines), columns)
    return Answer((tensor(name, shaped),))


def _numbers(cells: list[str]) -> npt.NDArray[Any] | None:
    try:
        return np.array([int(cell) for cell in cells], np.int64)
    except (ValueError, OverflowError):
        pass
    try:
        return np.array([float(cell) for cell in cells], np.float64)
    except ValueError:
        return None
