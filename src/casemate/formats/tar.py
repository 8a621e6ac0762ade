"""Tar archives: v7, ustar, pax and GNU, walked header by header.

Members are views of the source. After POSIX.1-2017 pax, "ustar Interchange Format" and "pax Header
Block", and GNU tar's manual, "Basic Tar Format".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from casemate.formats.paths import trouble_with_link, trouble_with_name
from casemate.formats.seen import Part, Span, Trouble

if TYPE_CHECKING:
    from collections.abc import Iterator

    from casemate.formats.budget import Budget
    from casemate.formats.seen import Reading
    from casemate.formats.source import Source

BLOCK = 512
REGULAR = {b"0", b"\0", b"7"}
LINKS = {b"1", b"2"}
NAMED = {b"5"}
DEVICES = {b"3", b"4", b"6"}
LONG_NAME, LONG_LINK, PAX, PAX_GLOBAL = b"L", b"K", b"x", b"g"
HEADERS = {LONG_NAME, LONG_LINK, PAX, PAX_GLOBAL}
SPARSE = b"S"
EXTENDED = 1 << 20
"""Bytes of a long name or a pax header that are read."""


class Header(NamedTuple):
    """One header block."""

    name: str
    kind: bytes
    size: int
    link: str


def _text(raw: bytes) -> str:
    return raw.split(b"\0", 1)[0].decode("utf-8", "replace")


def _number(raw: bytes) -> int | None:
    """Read an octal field, or GNU's base 256; None when it is neither."""
    if raw[:1] in {b"\x80", b"\xff"}:
        value = int.from_bytes(raw[1:], "big")
        return None if raw[:1] == b"\xff" else value
    digits = raw.split(b"\0", 1)[0].strip()
    try:
        return int(digits, 8) if digits else 0
    except ValueError:
        return None


def header(source: Source, offset: int) -> Header | None:
    """Read the header block at `offset`; None when its checksum does not hold."""
    raw = source.read(offset, BLOCK)
    if len(raw) < BLOCK:
        return None
    said, size = _number(raw[148:156]), _number(raw[124:136])
    blanked = raw[:148] + b" " * 8 + raw[156:]
    signed = sum(byte - 256 if byte > 127 else byte for byte in blanked)
    if said not in {sum(blanked), signed} or size is None:
        return None
    name = _text(raw[:100])
    if raw[257:262] == b"ustar" and raw[263:265] == b"00" and raw[345:346] != b"\0":
        name = f"{_text(raw[345:500])}/{name}"
    return Header(name, raw[156:157], size, _text(raw[157:257]))


def is_tar(source: Source) -> bool:
    """Recognise a tar archive by its first header's checksum."""
    first = header(source, 0)
    return first is not None and source.read(0, 1) != b"\0"


def _pax(raw: bytes) -> dict[str, str]:
    """Read the records of a pax header: length, space, key, equals sign, value, newline."""
    found: dict[str, str] = {}
    at = 0
    while at < len(raw):
        length, space, _ = raw[at : at + 20].partition(b" ")
        if not space or not length.isdigit() or int(length) <= len(length) + 1:
            break
        key, _, value = raw[at + len(length) + 1 : at + int(length) - 1].partition(b"=")
        found[key.decode("utf-8", "replace")] = value.decode("utf-8", "replace")
        at += int(length)
    return found


def read(source: Source, budget: Budget) -> Reading:
    """Read a tar archive to its end marker, then whatever stands behind it."""
    at = 0
    pending: dict[str, str] = {}
    always: dict[str, str] = {}
    seen: set[str] = set()
    while at + BLOCK <= source.size:
        block = header(source, at)
        if block is None:
            break
        budget.spend_member()
        name = pending.get("path", always.get("path", block.name))
        link = pending.get("linkpath", always.get("linkpath", block.link))
        size = block.size
        wide = pending.get("size", always.get("size", ""))
        if wide.isdigit() and len(wide) < 20:
            size = int(wide)
        start = at + BLOCK
        end = min(start + size, source.size)
        yield Span(at, start, "scanned")
        if block.kind in HEADERS:
            raw = source.read(start, min(end - start, EXTENDED))
            if block.kind == PAX_GLOBAL:
                always |= _pax(raw)
            elif block.kind == PAX:
                pending |= _pax(raw)
            else:
                pending["path" if block.kind == LONG_NAME else "linkpath"] = _text(raw)
            yield Span(start, end, "scanned")
        else:
            yield from _member(source, block._replace(name=name, link=link), start, end, seen)
            pending = {}
        padded = start + -(-size // BLOCK) * BLOCK
        yield Span(end, min(padded, source.size), "data")
        if start + size > source.size:
            yield Trouble(
                "format-malformed", f"tar member {name}", f"'{name}' is cut off", start, name
            )
        at = padded
    yield from _end(source, at)


def _member(source: Source, block: Header, start: int, end: int, seen: set[str]) -> Reading:
    name = block.name
    yield from trouble_with_name(name)
    if block.kind in LINKS:
        # A hard link names a member from the top of the archive, a symbolic one from its folder.
        place = name if block.kind == b"2" else ""
        yield from trouble_with_link(place or name.rpartition("/")[2], block.link)
    elif block.kind in DEVICES:
        yield Trouble("archive-device-member", name, f"'{name}' is a device or a pipe", start, name)
    if name in seen and block.kind not in NAMED:
        yield Trouble(
            "archive-duplicate-member",
            name,
            f"'{name}' stands twice in the archive: the later one replaces the first",
            start,
            name,
        )
    seen.add(name)
    if end > start:
        yield Part(name, source.sub(start, end - start, name), start, end)


def _end(source: Source, at: int) -> Iterator[Part | Span | Trouble]:
    rest = source.size - at
    if rest <= 0:
        return
    if rest < BLOCK and source.read(at, rest).strip(b"\0"):
        yield Trouble("format-malformed", "tar header", "the archive is cut off in a header", at)
        yield Span(at, source.size, "refused", "cut off")
        return
    zeros = 0
    for chunk in source.chunks(at):
        stripped = chunk.lstrip(b"\0")
        zeros += len(chunk) - len(stripped)
        if stripped:
            break
    marker = zeros - zeros % BLOCK if at + zeros < source.size else zeros
    yield Span(at, at + marker, "data")
    if at + marker < source.size:
        size = source.size - at - marker
        what = "behind the archive" if marker else "where a member should start"
        said = f"{size:,} bytes stand {what}"
        yield Trouble("archive-hidden-data", "tar trailer", said, at + marker)
        place = source.sub(at + marker, size, "trailing bytes")
        yield Part("trailing bytes", place, at + marker, source.size, outside=True)
