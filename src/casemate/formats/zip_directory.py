"""The structure of a zip archive, read the way each family of readers reads it.

Python's zipfile finds the central directory by counting back from the end record, miniz (inside
torch) by the offset the record states, streaming readers by walking the local headers. An archive
on which they disagree hides something from one of them, so all readings are kept.
After PKWARE's APPNOTE.TXT 6.3.10, sections 4.3 and 4.4.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple, cast

if TYPE_CHECKING:
    from collections.abc import Iterator

    from casemate.formats.source import Source

LOCAL, CENTRAL, END = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"
END64, LOCATOR64, DESCRIPTOR = b"PK\x06\x06", b"PK\x06\x07", b"PK\x07\x08"
STORED = 0
METHODS = {8: "deflate", 12: "bzip2", 14: "zip-lzma", 93: "zstd", 95: "xz"}
"""Compression methods read, by the name of their decoder (APPNOTE 4.4.5)."""
_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")
_END64 = struct.Struct("<4sQ2H2I4Q")
FULL16, FULL32 = 0xFFFF, 0xFFFFFFFF
TAIL = 65535 + _END.size
MAX_ENTRIES = 100_000
"""Entries that are read; one more is kept so that the reader can tell."""


class Header(NamedTuple):
    """What one header, central or local, says about a member."""

    name: bytes
    method: int
    flags: int
    crc: int
    compressed: int
    size: int
    at: int
    """Where the local header is (central), or where the data starts (local)."""
    attributes: int = 0
    unicode_name: bytes | None = None


class Directory(NamedTuple):
    """One reading of the central directory."""

    entries: tuple[Header, ...]
    start: int
    end: int
    """Just behind the last entry."""
    declared: int
    """How many entries the end record promises."""


class Ending(NamedTuple):
    """An end-of-central-directory record."""

    at: int
    end: int
    """Just behind the record and its comment."""
    disks: tuple[int, int]
    total: int
    size: int
    offset: int
    comment: int
    zip64: tuple[int, ...]
    """Where the zip64 records are that some reader would use."""


def _extra(raw: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 4 <= len(raw):
        kind, length = struct.unpack_from("<2H", raw, at)
        yield kind, raw[at + 4 : at + 4 + length]
        at += 4 + length


def _widen(header: Header, extra: bytes) -> Header:
    """Apply the zip64 and unicode-path extra fields (APPNOTE 4.5.3, 4.6.9)."""
    size, compressed, at, unicode_name = header.size, header.compressed, header.at, None
    for kind, body in _extra(extra):
        if kind == 1:
            position = 0
            wide: list[int] = []
            for value in (size, compressed, at):
                if value == FULL32 and position + 8 <= len(body):
                    wide.append(int.from_bytes(body[position : position + 8], "little"))
                    position += 8
                else:
                    wide.append(value)
            size, compressed, at = wide
        elif kind == 0x7075 and len(body) > 5:
            unicode_name = body[5:]
    return header._replace(size=size, compressed=compressed, at=at, unicode_name=unicode_name)


def local_header(source: Source, offset: int) -> Header | None:
    """Read the local header at `offset`; None when there is none."""
    raw = source.read(offset, _LOCAL.size + 512)
    if len(raw) < _LOCAL.size or not raw.startswith(LOCAL):
        return None
    fields = _LOCAL.unpack_from(raw)
    _, _, flags, method, _, _, crc, compressed, size, name_length, extra_length = fields
    need = _LOCAL.size + name_length + extra_length
    if need > len(raw):
        raw = source.read(offset, need)
    name = raw[_LOCAL.size : _LOCAL.size + name_length]
    extra = raw[_LOCAL.size + name_length : need]
    header = Header(name, method, flags, crc, compressed, size, 0)
    return _widen(header, extra)._replace(at=offset + need)


def central_directory(source: Source, start: int, limit: int, declared: int) -> Directory:
    """Read the entries from `start` for as long as there are any before `limit`."""
    entries: list[Header] = []
    at = start
    window, base = b"", start
    while at + _CENTRAL.size <= limit:
        if at + _CENTRAL.size + 3 * FULL16 > base + len(window):
            window, base = source.read(at, 1 << 20), at
        if (
            window[at - base : at - base + 4] != CENTRAL
            or len(window) - (at - base) < _CENTRAL.size
        ):
            break
        fields = _CENTRAL.unpack_from(window, at - base)
        _, _, _, flags, method, _, _, crc, compressed, size = fields[:10]
        name_length, extra_length, comment_length, _, _, attributes, offset = fields[10:]
        name_at = at - base + _CENTRAL.size
        extra_at = name_at + name_length
        header = Header(
            window[name_at:extra_at], method, flags, crc, compressed, size, offset, attributes
        )
        entries.append(_widen(header, window[extra_at : extra_at + extra_length]))
        at += _CENTRAL.size + name_length + extra_length + comment_length
        if len(entries) > MAX_ENTRIES:
            break
    return Directory(tuple(entries), start, at, declared)


def endings(source: Source) -> list[Ending]:
    """Return every end record in reach of a reader, the last one in the file first."""
    low = max(0, source.size - TAIL)
    tail = source.read(low, TAIL)
    found: list[Ending] = []
    at = tail.rfind(END)
    while at >= 0 and len(found) < 64:
        if at + _END.size <= len(tail):
            found.append(_ending(source, low + at, _END.unpack_from(tail, at)))
        at = tail.rfind(END, 0, at)
    return found


def _ending(source: Source, at: int, fields: tuple[int, ...]) -> Ending:
    _, disk, start_disk, _, total, size, offset, comment = fields
    zip64: list[int] = []
    locator = source.read(at - 20, 20) if at >= 20 else b""
    if locator.startswith(LOCATOR64):
        # zipfile looks right before the locator, miniz where the locator points.
        for place in (at - 20 - _END64.size, int.from_bytes(locator[8:16], "little")):
            raw = source.read(place, _END64.size) if place >= 0 else b""
            if len(raw) == _END64.size and raw.startswith(END64) and place not in zip64:
                zip64.append(place)
    if zip64:
        wide = _END64.unpack(source.read(zip64[0], _END64.size))
        total, size, offset = wide[7], wide[8], wide[9]
    end = min(at + _END.size + comment, source.size)
    return Ending(at, end, (disk, start_disk), total, size, offset, comment, tuple(zip64))


def directories(source: Source, ending: Ending) -> list[tuple[Directory, int]]:
    """Return each reading of the directory an end record leads to, with the shift of its offsets.

    The first is zipfile's, which counts back from the end; the second, where it differs and leads
    to anything, is that of readers that take the stated offset as it stands.
    """
    limit = min(ending.zip64[:1] or (ending.at,))
    readings: list[tuple[Directory, int]] = []
    for start in dict.fromkeys((limit - ending.size, ending.offset)):
        if 0 <= start < limit and source.read(start, 4) == CENTRAL:
            shift = start - ending.offset
            readings.append((central_directory(source, start, limit, ending.total), shift))
    return readings


def names(source: Source) -> tuple[str, ...]:
    """Return the member names of the archive, for those who recognise what kind it is."""
    known = source.memo.get("zip names")
    if known is None:
        found: list[str] = []
        for ending in endings(source)[:1]:
            for directory, _ in directories(source, ending)[:1]:
                found = [decoded(header) for header in directory.entries]
        known = source.memo["zip names"] = tuple(found)
    return cast("tuple[str, ...]", known)


def decoded(header: Header) -> str:
    """Return the member's name as text (APPNOTE 4.4.4, bit 11)."""
    if header.flags & 0x800:
        return header.name.decode("utf-8", "replace")
    try:
        return header.name.decode("utf-8")
    except UnicodeDecodeError:
        return header.name.decode("cp437")


def is_zip(source: Source) -> bool:
    """Recognise an archive by an end record that leads to a directory, or by a local header."""
    head = source.read(0, 8)
    if head.startswith((LOCAL, DESCRIPTOR + LOCAL, b"PK00" + LOCAL)):
        return True
    return any(
        directories(source, ending) or (ending.total == 0 and ending.size == 0 and ending.at == 0)
        for ending in endings(source)
    )


def is_archive(source: Source) -> bool:
    """Recognise an archive in bytes that are anything: its directory must be there."""
    return any(directories(source, ending) for ending in endings(source))
