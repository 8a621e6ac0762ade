"""A segment: events as a Parquet file, written once and then only read.

Columns that repeat are dictionaries, numbers that count are deltas, floating numbers are split by
byte (those that were 32 bits wide then cost 4 bytes), all of it compressed with zstd.
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Any

from casemate.store.telemetry import merkle
from casemate.store.telemetry.columns import AT, COLUMNS, Row, pack_row, rows, schema, table

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_GROUP = 131_072
_CHUNK = 16_384
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
        self._file = pq.ParquetWriter(path, schema(), compression="zstd", **_encodings())

    def add(self, row: Row) -> None:
        """Add a row."""
        at = row[AT]
        if not self.events or at < self.began:
            self.began = at
        if not self.events or at > self.ended:
            self.ended = at
        self.events += 1
        self._hashes.append(hashlib.sha256(b"\0" + pack_row(row)).digest())
        self._rows.append(row)
        if len(self._rows) == _CHUNK:
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
        if self._tables and (last or len(self._tables) * _CHUNK >= _GROUP):
            self._file.write_table(pa.concat_tables(self._tables), row_group_size=_GROUP)
            self._tables = []


def file_digest(path: Path, *, sync: bool = False) -> tuple[int, str]:
    """Return size and SHA-256 of a file, after making it durable if asked to."""
    with path.open("rb") as file:
        if sync:
            os.fsync(file.fileno())
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return file.tell(), digest


def read_rows(path: Path) -> Iterator[Row]:
    """Yield the rows of a segment in order."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(_CHUNK, columns=list(COLUMNS)):
            yield from rows(batch)


def hashes(path: Path) -> list[bytes]:
    """Return the hash of each event of a segment, in order."""
    return [merkle.leaf(pack_row(row)) for row in read_rows(path)]


def _encodings() -> dict[str, Any]:
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
