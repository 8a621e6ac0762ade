"""Which files a log is made of, and their records, whatever they are packed in."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from casemate.errors import FormatError, UsageError
from casemate.guard.logs.blocks import blocks
from casemate.guard.logs.documents import documents, is_document
from casemate.guard.logs.lines import lines
from casemate.guard.logs.tables import PARQUET, csv_rows, parquet_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from casemate.guard.logs.record import Row
    from casemate.guard.logs.tally import Tally

_SKIPPED = re.compile(r"^[._]|\.(?:crc|md5|sha256)$|^_SUCCESS$")
_DIGITS = re.compile(r"(\d+)")


def find(paths: Sequence[Path]) -> list[Path]:
    """Return the files, folders walked, in the order of their names with numbers as numbers.

    Raises:
        UsageError: A path is not there, or a folder holds no file.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = [
                one for one in path.rglob("*") if one.is_file() and not _SKIPPED.search(one.name)
            ]
            if not inside:
                raise UsageError(f"there is no file in {path}")
            found.extend(sorted(inside, key=lambda one: _natural(one.as_posix())))
        elif path.exists():
            found.append(path)
        else:
            raise UsageError(f"{path} does not exist")
    return found


def records(
    path: Path,
    name: str,
    tally: Tally,
    *,
    number: int = 0,
    end: int = 0,
    read: Callable[[int], None] | None = None,
) -> Iterator[Row]:
    """Yield the records of one file.

    Args:
        path: JSON lines, JSON, CSV or Parquet; plain, gzip or zstd.
        name: What to call it in places.
        tally: Where what cannot be read is counted.
        number: Lines to leave out, of JSON lines.
        end: The bytes they take.
        read: Told of the bytes that were read.
    """
    try:
        with path.open("rb") as stream:
            start = stream.read(4)
            stream.seek(0)
            if start == PARQUET:
                yield from parquet_rows(stream)
                return
            found = _skipped(blocks(stream, read), end)
            first, found = _peek(found)
            if number:
                yield from lines(found, name, tally, number=number, end=end)
            elif path.name.removesuffix(".gz").removesuffix(".zst").endswith(".csv"):
                yield from csv_rows(found, name, tally)
            elif is_document(first):
                yield from documents(found, name, tally)
            else:
                yield from lines(found, name, tally)
    except FormatError as error:
        tally.add(str(error), name, lost=True)
    except OSError as error:
        tally.add(f"a file that cannot be read: {error.strerror}", name, lost=True)


def _peek(found: Iterable[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """Return the first block that holds something, and all blocks; a broken start is kept."""
    rest = iter(found)
    try:
        first = next(rest, b"")
    except FormatError as error:
        return b"", _chained(b"", rest, error)
    return first, _chained(first, rest)


def _chained(
    first: bytes, rest: Iterator[bytes], broken: FormatError | None = None
) -> Iterator[bytes]:
    yield first
    if broken is not None:
        raise broken
    yield from rest


def _skipped(found: Iterator[bytes], count: int) -> Iterator[bytes]:
    for block in found:
        if count >= len(block):
            count -= len(block)
            continue
        yield block[count:]
        count = 0


def _natural(text: str) -> list[tuple[int, str]]:
    return [
        (int(part), "") if part.isdigit() and part.isascii() else (-1, part)
        for part in _DIGITS.split(text)
    ]
