"""The leaves of the tamper-evident log: one line of JSON for each sealed segment.

A leaf's bytes are its line; the log's hash is RFC 9162's over them (merkle.py). Segments that were
let go of after their time are named by a leaf too, so that a deletion on purpose is on record.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec

from casemate.errors import StoreError

if TYPE_CHECKING:
    from pathlib import Path

FOLDER = "log"
FILE = "leaves.jsonl"
SEGMENTS = "segments"


class Span(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a segment holds of one writer: consecutive sequences but for what gaps name."""

    writer: str
    first: int
    upto: int
    """Sequence that comes next, in a later segment."""
    events: int
    ended: bool = False
    """Whether the writer has ended with it."""


class Segment(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    tag_field="leaf",
    tag="segment/1",
    forbid_unknown_fields=True,
):
    """One sealed file of events."""

    number: int
    """Counts up by one per leaf from 0."""
    bytes: int
    sha256: str
    """Of the file."""
    root: str
    """Root of the Merkle tree whose leaves are the packed rows of the events, in order."""
    form: str
    """Names the columns of those rows (columns.form)."""
    events: int
    began: int
    """Smallest and largest `at` in it."""
    ended: int
    sealed: int
    """When, in microseconds since the epoch, by the sealer's clock."""
    spans: tuple[Span, ...]
    notes: tuple[str, ...] = ()
    """What the sealer noticed: damage, a clock that went back."""

    @property
    def file(self) -> str:
        """Name of the file in the folder of segments."""
        return f"{self.number:010d}.parquet"


class Expiry(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    tag_field="leaf",
    tag="expiry/1",
    forbid_unknown_fields=True,
):
    """Segments that were deleted because their time was over."""

    number: int
    segments: tuple[int, ...]
    sealed: int
    reason: str


Leaf = Segment | Expiry
_decoder: msgspec.json.Decoder[Leaf] = msgspec.json.Decoder(Leaf)
_encoder = msgspec.json.Encoder(order="deterministic")


def line(leaf: Leaf) -> bytes:
    """Return the bytes of a leaf, without a newline."""
    return _encoder.encode(leaf)


def parse(text: bytes) -> Leaf:
    """Read a leaf's bytes.

    Raises:
        StoreError: Not a leaf.
    """
    try:
        return _decoder.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise StoreError(f"not a leaf of the log: {error}") from error


class Leaves:
    """The leaves of a place, read on as the sealer adds to them; verifies nothing."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FOLDER / FILE
        self._segments = folder / SEGMENTS
        self._offset = 0
        self._kept: dict[int, Segment] = {}
        self._last: dict[str, Span] = {}

    def refresh(self) -> None:
        """Read the lines that are new.

        Raises:
            StoreError: The file has become shorter, or a line is not a leaf.
        """
        try:
            with self._path.open("rb") as file:
                if file.seek(0, os.SEEK_END) < self._offset:
                    raise StoreError(
                        f"{self._path} has become shorter",
                        hint="casemate verify says what is missing",
                    )
                file.seek(self._offset)
                new = file.read()
        except FileNotFoundError:
            if self._offset:
                raise StoreError(f"{self._path} is gone") from None
            return
        whole = new[: new.rfind(b"\n") + 1]
        for text in whole.splitlines():
            leaf = parse(text)
            if isinstance(leaf, Expiry):
                for number in leaf.segments:
                    self._kept.pop(number, None)
                continue
            self._kept[leaf.number] = leaf
            for span in leaf.spans:
                self._last[span.writer] = span
        self._offset += len(whole)

    def segments(self) -> list[Segment]:
        """Return the segments that were not let go of, oldest first."""
        self.refresh()
        return list(self._kept.values())

    def spans(self) -> list[Span]:
        """Return the last span of each writer ever sealed."""
        self.refresh()
        return list(self._last.values())

    def last(self, writer: str) -> Span | None:
        """Return the last span of a writer, as of the last refresh."""
        return self._last.get(writer)

    def path(self, segment: Segment) -> Path:
        """Return where a segment lies."""
        return self._segments / segment.file
