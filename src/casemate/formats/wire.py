"""The protobuf wire format, read field by field without a schema and without loading payloads.

Payloads are given by their place, so that a weight of a gigabyte is stepped over. After
developers.google.com/protocol-buffers, "Encoding".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from casemate.errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from casemate.formats.source import Source

VARINT, FIXED64, BYTES, START_GROUP, END_GROUP, FIXED32 = range(6)
WINDOW = 1 << 16
SLACK = 32
"""A key and a length take at most 20 bytes."""


class Field(NamedTuple):
    """One field of a message."""

    number: int
    wire: int
    value: int
    """The number itself for VARINT, FIXED64 and FIXED32; the length for BYTES."""
    start: int
    """Where the payload begins in the source."""
    end: int


def fields(source: Source, start: int = 0, end: int | None = None) -> Iterator[Field]:
    """Yield the fields of the message between two offsets.

    Raises:
        FormatError: The bytes are no message: a field is cut off, overlong or of a retired type.
    """
    stop = source.size if end is None else min(end, source.size)
    window, base = b"", start
    at = start
    while at < stop:
        local = at - base
        if local < 0 or local + SLACK > len(window):
            window, base, local = source.read(at, min(WINDOW, stop - at)), at, 0
            if not window:
                raise FormatError("a message is cut off", offset=at)
        # One-byte keys and values are nearly all there are; anything longer takes the long way.
        key = window[local]
        local += 1
        if key > 127:
            key, local = _varint(window, local - 1, base)
        number, wire = key >> 3, key & 7
        if not number:
            raise FormatError("a field has no number", offset=at)
        if wire in (BYTES, VARINT):
            if local >= len(window):
                raise FormatError("a field is cut off", offset=at)
            value = window[local]
            local += 1
            if value > 127:
                value, local = _varint(window, local - 1, base)
            payload = base + local
            at = payload + value if wire == BYTES else payload
        elif wire in {FIXED32, FIXED64}:
            width = 4 if wire == FIXED32 else 8
            value = int.from_bytes(window[local : local + width], "little")
            payload = base + local
            at = payload + width
        else:
            raise FormatError(f"a field is of wire type {wire}", offset=at)
        if at > stop:
            raise FormatError("a field is longer than its message", offset=payload)
        yield Field(number, wire, value, payload if wire == BYTES else at, at)


def _varint(window: bytes, local: int, base: int) -> tuple[int, int]:
    value = shift = 0
    for count in range(10):
        if local + count >= len(window):
            break
        byte = window[local + count]
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 128:
            return value & 0xFFFFFFFFFFFFFFFF, local + count + 1
    raise FormatError("a number is cut off or too long", offset=base + local)


def text(source: Source, field: Field, limit: int = 4096) -> str:
    """Return the payload of a BYTES field as text, cut to `limit` bytes."""
    return source.read(field.start, min(field.end - field.start, limit)).decode("utf-8", "replace")
