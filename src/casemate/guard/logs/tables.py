"""CSV and Parquet as rows of JSON, for the tables that platforms keep logs in.

Cells of bytes become base64, as loggers write them in JSON; times become ISO 8601. Parquet needs
pyarrow; CSV does not.
"""

from __future__ import annotations

import csv
import math
from typing import TYPE_CHECKING, Any, BinaryIO

import msgspec

from casemate.errors import FormatError, MissingExtra
from casemate.guard.logs.lines import LONGEST
from casemate.guard.logs.record import Row

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from casemate.guard.logs.tally import Tally

PARQUET = b"PAR1"
UNEQUAL = "a CSV row with another number of cells than the header"
UNREADABLE = "a CSV row that cannot be read"
_SOME = 1024


def csv_rows(blocks: Iterable[bytes], name: str, tally: Tally) -> Iterator[Row]:
    """Yield the rows of a CSV file with a header, each as a JSON object of strings.

    Empty cells are left out. Rows are numbered by the line they begin on.
    """
    csv.field_size_limit(LONGEST)  # the module has no other place for it
    reader = csv.reader(_texts(blocks, name, tally), strict=True)
    header: list[str] = []
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error:
            tally.add(UNREADABLE, f"{name}:{line}", lost=True)
            continue
        if cells is None:
            return
        if not header:
            header = cells
        elif len(cells) != len(header):
            if cells:
                tally.add(UNEQUAL, f"{name}:{line}", lost=True)
        else:
            kept = {key: cell for key, cell in zip(header, cells, strict=True) if cell}
            yield Row(line, msgspec.json.encode(kept), 0)


def parquet_rows(stream: BinaryIO) -> Iterator[Row]:
    """Yield the rows of a Parquet file, each as a JSON object; numbered from 1.

    Raises:
        FormatError: Damaged or cut off: its table of contents stands at the end.
        MissingExtra: pyarrow is not installed.
    """
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise MissingExtra("tables", for_="a Parquet log") from error

    number = 0
    try:
        for batch in parquet.ParquetFile(stream).iter_batches(batch_size=_SOME):
            for row in batch.to_pylist():
                number += 1
                yield Row(number, msgspec.json.encode(_plain(row)), 0)
    except (pa.ArrowException, OSError) as error:
        raise FormatError("the Parquet file is damaged or cut off") from error


def _texts(blocks: Iterable[bytes], name: str, tally: Tally) -> Iterator[str]:
    """Yield lines with their newline; csv joins those of a quoted cell itself."""
    held = b""
    try:
        for block in blocks:
            *whole, held = (held + block).split(b"\n")
            for line in whole:
                yield line.replace(b"\0", b"").decode("utf-8", "backslashreplace") + "\n"
    except FormatError as error:
        tally.add(str(error), name, lost=True)
        return
    if held:
        yield held.replace(b"\0", b"").decode("utf-8", "backslashreplace")


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list):
        if value and all(isinstance(one, tuple) and len(one) == 2 for one in value):
            return {str(key): _plain(one) for key, one in value}  # an Arrow map
        return [_plain(one) for one in value]
    return value
