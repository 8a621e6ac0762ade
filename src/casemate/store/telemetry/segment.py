"""A segment: events as a Parquet file, written once and then only read.

Columns that repeat are dictionaries, numbers that count are deltas, floating numbers are split by
byte (those that were 32 bits wide then cost 4 bytes), all of it compressed with zstd.
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Any

from casemate.store.telemetry import merkle
from casemate.store.telemetry.columns import AT, Row, pack_row, rows, schema, table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

_GROUP = 131_072
CHUNK = 16_384
"""Rows that are converted together."""
_COUNTS = ("sequence", "at", "took")
_NAMES = ("near_to", "request")
_RANDOM = ("input_digest", "output_digest", "served_digest", "payload", "cluster")


class SegmentWriter:
    """Takes rows, writes them to a file, and hashes each."""

    def __init__(self, path: Path) -> None:
        import pyarrow.parquet as pq

        self.path = path
        self.events = 0
        self.began = self.ended = 0
        self._hashes: list[bytes] = []
        self._rows: list[Row] = []
        self._tables: list[Any] = []
        self._file = pq.ParquetWriter(path, schema(), compression="zstd", **encodings())

    def add(self, rows: Sequence[Row]) -> None:
        """Add rows."""
        if not rows:
            return
        times = [row[AT] for row in rows]
        begin, end = min(times), max(times)
        self.began = min(self.began, begin) if self.events else begin
        self.ended = max(self.ended, end) if self.events else end
        self.events += len(rows)
        self._hashes += _hashed(rows)
        self._rows += rows
        if len(self._rows) >= CHUNK:
            self._group()

    def close(self) -> tuple[int, str, str]:
        """Finish the file durably; return its size, its SHA-256 and the root over its events."""
        self._group(last=True)
        self._file.close()
        size, digest = file_digest(self.path, sync=True)
        return size, digest, merkle.root(self._hashes).hex()

    def abandon(self) -> None:
        """Let go of a file that will not be finished."""
        self._file.close()
        self.path.unlink(missing_ok=True)

    def _group(self, *, last: bool = False) -> None:
        import pyarrow as pa

        if self._rows:
            self._tables.append(table(self._rows))
            self._rows = []
        if self._tables and (last or sum(map(len, self._tables)) >= _GROUP):
            self._file.write_table(pa.concat_tables(self._tables), row_group_size=_GROUP)
            self._tables = []


def _hashed(rows: Iterable[Row]) -> list[bytes]:
    new = hashlib.sha256
    return [new(b"\0" + payload).digest() for payload in map(pack_row, rows)]


def file_digest(path: Path, *, sync: bool = False) -> tuple[int, str]:
    """Return size and SHA-256 of a file, after making it durable if asked to."""
    with path.open("rb") as file:
        if sync:
            os.fsync(file.fileno())
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return file.tell(), digest


def read_rows(path: Path) -> Iterator[Row]:
    """Yield the rows of a segment in order, with today's columns."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(CHUNK):
            yield from rows(batch)


def read_payloads(path: Path) -> tuple[tuple[str, ...], list[bytes]]:
    """Return the columns of a segment as it was written, and the payloads that were hashed."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        names = tuple(file.schema_arrow.names)
        return names, [
            pack_row(row) for batch in file.iter_batches(CHUNK) for row in rows(batch, names)
        ]


def encodings() -> dict[str, Any]:
    """Return how the columns of a segment are written, as pyarrow's ParquetWriter takes it."""
    kinds = {field.name: str(field.type) for field in schema()}
    encoding = dict.fromkeys(_COUNTS, "DELTA_BINARY_PACKED")
    encoding |= dict.fromkeys(_NAMES, "DELTA_BYTE_ARRAY")
    encoding |= dict.fromkeys(_RANDOM, "PLAIN")
    encoding |= {name: "BYTE_STREAM_SPLIT" for name, kind in kinds.items() if kind == "double"}
    encoding["marks.list.element"] = "PLAIN"
    repeating = [
        f"{name}.list.element" if kind.startswith("list") else name
        for name, kind in kinds.items()
        if name not in encoding and name != "marks"
    ]
    return {"column_encoding": encoding, "use_dictionary": repeating}
