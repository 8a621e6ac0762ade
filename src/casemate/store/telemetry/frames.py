"""Frames of a journal: a mark, the length, a CRC-32 and a payload, one after another.

A frame that was cut off or changed by accident is told from a whole one, and reading goes on at
the next whole one. Against a change on purpose stands the log (seal.py), not the CRC.
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_HEAD = struct.Struct("<2sII")
_MARK = b"\xc5\xe7"
LONGEST = 16 * 1024 * 1024
"""Bytes of a payload; a longer one is damage."""


class Frame(NamedTuple):
    """A payload, or a stretch of bytes that is none."""

    payload: bytes | None
    """None where bytes were skipped to get to the next whole frame."""
    begin: int
    end: int


def frames(payloads: Iterable[bytes]) -> bytes:
    """Return payloads as frames, one after another."""
    parts: list[bytes] = []
    for payload in payloads:
        parts.append(_HEAD.pack(_MARK, len(payload), zlib.crc32(payload)))
        parts.append(payload)
    return b"".join(parts)


def read(data: bytes, start: int = 0) -> Iterator[Frame]:
    """Yield the frames of `data` from an offset on.

    Damage between two whole frames is yielded as one Frame without a payload. What stands at the
    end and is no whole frame is not yielded: a writer may be about to finish it.
    """
    offset = start
    while True:
        payload = _at(data, offset)
        if payload is None:
            whole = _next(data, offset + 1)
            if whole is None:
                return
            yield Frame(None, offset, whole)
            offset = whole
            continue
        end = offset + _HEAD.size + len(payload)
        yield Frame(payload, offset, end)
        offset = end


def _at(data: bytes, offset: int) -> bytes | None:
    if len(data) - offset < _HEAD.size:
        return None
    mark, length, check = _HEAD.unpack_from(data, offset)
    begin = offset + _HEAD.size
    if mark != _MARK or length > LONGEST or begin + length > len(data):
        return None
    payload = data[begin : begin + length]
    return payload if zlib.crc32(payload) == check else None


def _next(data: bytes, offset: int) -> int | None:
    tried = 0
    while (offset := data.find(_MARK, offset)) >= 0:
        if _at(data, offset) is not None:
            return offset
        # Bytes made to look like many long frames cost a checksum each; a bound keeps it linear.
        tried += 1
        if tried > 100_000:
            return None
        offset += 1
    return None
