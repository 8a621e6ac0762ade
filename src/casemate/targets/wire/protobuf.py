"""The protocol-buffers wire format, by hand: the few pieces the gRPC codec needs.

Pure bytes in and out, bounded by the length of what is read; nothing is generated and nothing
recurses.

Source: protobuf.dev, Encoding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from casemate.errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5


def fields(data: bytes | memoryview) -> Iterator[tuple[int, int, int, memoryview]]:
    """Yield (field number, wire type, varint value, bytes) of each field of one message.

    The value is 0 for all but varints; the bytes are empty for varints.

    Raises:
        FormatError: Truncated, a field number of zero, or a wire type of the retired groups.
    """
    view = memoryview(data)
    at = 0
    while at < len(view):
        key, at = read_varint(view, at)
        number, kind = key >> 3, key & 7
        if number == 0 or number >= 1 << 29:
            raise FormatError(f"field number {number}", offset=at)
        if kind == VARINT:
            value, at = read_varint(view, at)
            yield number, kind, value, view[:0]
            continue
        if kind == BYTES:
            length, at = read_varint(view, at)
        elif kind in (FIXED32, FIXED64):
            length = 4 if kind == FIXED32 else 8
        else:
            raise FormatError(f"wire type {kind}", offset=at)
        if length > len(view) - at:
            raise FormatError("a field runs past the end", offset=at)
        yield number, kind, 0, view[at : at + length]
        at += length


def read_varint(view: memoryview, at: int) -> tuple[int, int]:
    """Return the unsigned varint at `at` and the offset after it.

    Raises:
        FormatError: It does not end within ten bytes or within the data.
    """
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(view):
            raise FormatError("a number runs past the end", offset=at)
        byte = view[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, at
    raise FormatError("a number of more than ten bytes", offset=at)


def packed_varints(data: bytes | bytearray | memoryview) -> npt.NDArray[np.uint64]:
    """Return the varints packed one after another, all at once.

    Raises:
        FormatError: The last does not end, or one is longer than ten bytes.
    """
    raw = np.frombuffer(data, np.uint8)
    if raw.size == 0:
        return np.empty(0, np.uint64)
    ends = np.flatnonzero(raw < 0x80)
    if ends.size == 0 or ends[-1] != raw.size - 1:
        raise FormatError("a packed number runs past the end")
    starts = np.concatenate(([0], ends[:-1] + 1))
    lengths = ends - starts + 1
    if int(lengths.max()) > 10:
        raise FormatError("a number of more than ten bytes")
    if int(lengths.max()) == 1:
        return raw.astype(np.uint64)
    place = np.arange(raw.size) - np.repeat(starts, lengths)
    parts = (raw & 0x7F).astype(np.uint64) << (7 * place).astype(np.uint64)
    return np.bitwise_or.reduceat(parts, starts)


def signed(value: int) -> int:
    """Return an int64 from the two's complement a varint carries."""
    return value - (1 << 64) if value >= 1 << 63 else value


def text(data: memoryview) -> str:
    """Return a string field.

    Raises:
        FormatError: Not UTF-8.
    """
    try:
        return str(data, "utf-8")
    except UnicodeDecodeError as error:
        raise FormatError("a string that is not UTF-8") from error


def varint(value: int) -> bytes:
    """Return `value` as a varint; negative numbers in 64-bit two's complement."""
    value &= 0xFFFFFFFFFFFFFFFF
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def field(number: int, value: bytes | str | int) -> bytes:
    """Return one field: an int as a varint, text and bytes with their length."""
    if isinstance(value, int):
        return varint(number << 3 | VARINT) + varint(value)
    raw = value.encode() if isinstance(value, str) else value
    return b"".join((varint(number << 3 | BYTES), varint(len(raw)), raw))


def pack_varints(values: npt.NDArray[Any]) -> bytes:
    """Return integers as packed varints."""
    return b"".join(varint(int(value)) for value in values.reshape(-1))
