"""Frames of a journal: a mark, the length, a CRC-32 and a payload, one after another.

A frame that was cut off or changed by accident is told from a whole one, and reading goes on at
the next whole one. Against a change on purpose stands the log (seal.py), not the CRC.
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_HEAD = struct.Struct("<2sII")
_MARK = b"\xc5\xe7"
LONGEST = 16 * 1024 * 1024
"""Bytes of a payload; a longer one is damage."""


Frame = tuple[bytes | None, int, int]
"""Payload, where its frame begins and ends; None for bytes skipped to get to the next whole one."""


def frames(payloads: Iterable[bytes]) -> bytes:
    """Return payloads as frames, one after another."""
    parts: list[bytes] = []
    for payload in payloads:
        parts.append(_HEAD.pack(_MARK, len(payload), zlib.crc32(payload)))
        parts.append(payload)
    return b"".join(parts)


def read(data: bytes, start: int = 0) -> Iterator[Frame]:
    """Yield the frames of `data` from an offset on.

    Damage between two whole frames is yielded as one without a payload. What stands at the
    end and is no whole frame is not yielded: a writer may be about to finish it.
    """
    head, check, size = _HEAD.unpack_from, zlib.crc32, len(data)
    offset = start
    while True:
        begin = offset + _HEAD.size
        if begin <= size:
            mark, length, sum_ = head(data, offset)
            end = begin + length
            if mark == _MARK and length <= LONGEST and end <= size:
                payload = data[begin:end]
                if check(payload) == sum_:
                    yield payload, offset, end
                    offset = end
                    continue
        whole = _next(data, offset + 1)
        if whole is None:
            return
        yield None, offset, whole
        offset = whole


def _whole(data: bytes, offset: int) -> bool:
    begin = offset + _HEAD.size
    if begin > len(data):
        return False
    _, length, sum_ = _HEAD.unpack_from(data, offset)
    end = begin + length
    return bool(length <= LONGEST and end <= len(data) and zlib.crc32(data[begin:end]) == sum_)


def _next(data: bytes, offset: int) -> int | None:
    tried = 0
    while (offset := data.find(_MARK, offset)) >= 0:
        if _whole(data, offset):
            return offset
        # Bytes made to look like many long frames cost a checksum each; a bound keeps it linear.
        tried += 1
        if tried > 100_000:
            return None
        offset += 1
    return None
