"""Zip archives: every member by every reading, and what lies between them.

Members are handed on as parts, stored ones as views and compressed ones expanded as far as someone
reads. Where readers could disagree (two directories, a local header that says something else, a
flag that only some honour) each reading is handed on and the disagreement is reported.
"""

from __future__ import annotations

import itertools
import zlib
from typing import TYPE_CHECKING

from casemate.formats.expansion import Expansion
from casemate.formats.paths import trouble_with_link, trouble_with_name
from casemate.formats.seen import Coverage, Part, Span, Trouble
from casemate.formats.zip_directory import (
    FULL32,
    MAX_ENTRIES,
    METHODS,
    STORED,
    Directory,
    Ending,
    Header,
    decoded,
    directories,
    endings,
    local_header,
)
from casemate.formats.zip_gaps import read_gaps

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from casemate.formats.budget import Budget
    from casemate.formats.seen import Reading, Seen
    from casemate.formats.source import Source

ENCRYPTED = 0x1
ODD_FLAGS = 0x20 | 0x40 | 0x2000
"""Patched data, strong encryption, masked headers: zipfile refuses, miniz does not look."""
CHECKED = 1 << 14
"""Stored members up to this size are checked against their CRC even when they are mere data."""


def read(
    source: Source,
    budget: Budget,
    opaque: Callable[[str], bool] = lambda name: False,  # noqa: ARG005
) -> Reading:
    """Read a zip archive.

    Args:
        source: The archive.
        budget: The allowance of the file it belongs to.
        opaque: Says by name which members nothing loads as an artifact (a tensor's storage).
    """
    spans: list[tuple[int, int]] = []
    ends = endings(source)
    readings = [(end, *reading) for end in ends for reading in directories(source, end)]
    if any(len(directory.entries) > MAX_ENTRIES for _, directory, _ in readings):
        said = f"the archive has more than {MAX_ENTRIES:,} members"
        yield Trouble("scan-incomplete", "zip members", said, readings[0][1].start)
        yield Span(0, source.size, "refused", said)
        return
    chosen = readings[:1]
    for end, directory, shift in chosen:
        yield from _end(source, end, directory, spans)
        yield from _members(source, budget, directory, shift, spans, opaque)
    if not readings:
        yield from _no_directory(ends, spans)
    known = {(header.name, header.at) for _, directory, _ in chosen for header in directory.entries}
    for _, directory, shift in readings[1:]:
        fresh = [header for header in directory.entries if (header.name, header.at) not in known]
        if not fresh or _inside(directory.start, spans[2:]):
            continue
        yield Trouble(
            "zip-readers-disagree",
            "two directories",
            f"a second central directory lists {len(fresh)} other members: which one is used"
            " depends on the reader",
            directory.start,
        )
        spans.append((directory.start, directory.end))
        yield Span(directory.start, directory.end, "scanned")
        other = directory._replace(entries=tuple(fresh))
        yield from _members(source, budget, other, shift, spans, opaque)
    yield from read_gaps(source, budget, spans, opaque)


def _inside(offset: int, spans: list[tuple[int, int]]) -> bool:
    return any(start <= offset < end for start, end in spans)


def _end(
    source: Source, end: Ending, directory: Directory, spans: list[tuple[int, int]]
) -> Iterator[Seen]:
    comment_at = end.end - end.comment
    spans += [(directory.start, directory.end), (end.at, end.end)]
    comment = source.sub(comment_at, end.comment, "comment")
    if comment.size:
        yield Part("archive comment", comment, comment_at, end.end, opaque=True)
    yield Span(directory.start, directory.end, "scanned")
    yield Span(end.at, comment_at, "scanned")
    for place in end.zip64:
        yield Span(place, place + 56, "scanned")
        spans.append((place, place + 56))
    if end.zip64:
        yield Span(end.at - 20, end.at, "scanned")
        spans.append((end.at - 20, end.at))
    if any(disk not in {0, 0xFFFF} for disk in end.disks):
        yield Trouble(
            "zip-spanned", "disk numbers", f"claims to be disk {end.disks[0]} of a set", end.at
        )
    if len(end.zip64) > 1:
        yield Trouble(
            "zip-readers-disagree", "two zip64 records", "two zip64 end records", end.zip64[1]
        )
    if directory.declared != len(directory.entries):
        yield Trouble(
            "zip-readers-disagree",
            "number of members",
            f"the end record promises {directory.declared} members, the directory lists"
            f" {len(directory.entries)}",
            end.at,
        )


def _members(
    source: Source,
    budget: Budget,
    directory: Directory,
    shift: int,
    spans: list[tuple[int, int]],
    opaque: Callable[[str], bool],
) -> Reading:
    seen: set[str] = set()
    occupied: list[tuple[int, int, str]] = []
    for header in directory.entries:
        budget.spend_member()
        name = decoded(header)
        yield from trouble_with_name(name)
        if name in seen:
            yield Trouble(
                "archive-duplicate-member",
                name,
                f"'{name}' stands twice in the archive: which one is used depends on the reader",
                member=name,
            )
        seen.add(name)
        at = header.at + shift
        local = local_header(source, at)
        if local is None:
            yield Trouble(
                "format-malformed", f"zip member {name}", f"no member starts at byte {at}", at, name
            )
            continue
        yield from _disagreements(name, header, local, at)
        end = min(local.at + header.compressed, source.size)
        spans.append((at, max(end, local.at)))
        occupied.append((at, end, name))
        yield Span(at, local.at, "scanned")
        yield from _member(source, budget, name, header, local, opaque)
        if local.method != header.method or (
            not local.flags & 8 and 0 < local.compressed != header.compressed
        ):
            other = header._replace(
                method=local.method, compressed=local.compressed, size=local.size, crc=local.crc
            )
            yield from _member(source, budget, name, other, local, opaque)
    occupied.sort()
    for (_, end, name), (start, _, other_name) in itertools.pairwise(occupied):
        if start < end:
            yield Trouble(
                "zip-overlapping-members",
                "members overlap",
                f"'{other_name}' starts inside '{name}'",
                start,
            )
            return


def _disagreements(name: str, central: Header, local: Header, at: int) -> Iterator[Seen]:
    differs: list[str] = []
    if central.name != local.name:
        differs.append(f"name ({decoded(local)!r})")
    if central.unicode_name not in {None, central.name, name.encode("utf-8", "replace")}:
        differs.append("unicode name")
    if b"\0" in central.name:
        differs.append("name (cut short by a NUL for some)")
    if central.method != local.method:
        differs.append(f"method ({central.method}, {local.method})")
    if (central.flags ^ local.flags) & (ENCRYPTED | ODD_FLAGS):
        differs.append("flags")
    if central.flags & local.flags & ODD_FLAGS:
        differs.append("flags that only some readers honour")
    if not local.flags & 8:
        for what in ("crc", "compressed", "size"):
            ours, theirs = getattr(central, what), getattr(local, what)
            if ours != theirs and theirs not in {0, FULL32}:
                differs.append(f"{what} ({ours}, {theirs})")
    if differs:
        yield Trouble(
            "zip-readers-disagree",
            name,
            f"'{name}': directory and local header differ in {', '.join(differs)}",
            at,
            name,
        )


def _member(
    source: Source,
    budget: Budget,
    name: str,
    header: Header,
    local: Header,
    opaque: Callable[[str], bool],
) -> Reading:
    start, end = local.at, min(local.at + header.compressed, source.size)
    if header.attributes >> 16 & 0o170000 == 0o120000:
        target = source.read(start, min(end - start, 4096)).decode("utf-8", "replace")
        yield from trouble_with_link(name, target)
    if not header.compressed:
        return
    if header.method == STORED:
        part = source.sub(start, end - start, name)
    elif header.method in METHODS:
        packed = source.sub(start, end - start, name)
        part = Expansion(packed, METHODS[header.method], budget, name, header.size)
    else:
        yield Trouble(
            "archive-unreadable-member",
            name,
            f"'{name}' is packed by method {header.method}, which casemate does not read",
            start,
            name,
        )
        yield Span(start, end, "refused", f"packed by method {header.method}")
        return
    try:
        if header.flags & ENCRYPTED and not _intact(part, header, budget):
            yield Trouble("archive-encrypted", name, f"'{name}' is encrypted", start, name)
            yield Span(start, end, "refused", "encrypted")
            return
        coverage = yield Part(name, part, start, end, opaque(name))
        yield from _after(name, part, header, budget, coverage, (start, end))
    finally:
        part.close()


def _intact(part: Source, header: Header, budget: Budget) -> bool:
    """Say whether the member is what its CRC says without any decryption."""
    total = 0
    for chunk in part.chunks():
        total = zlib.crc32(chunk, total)
        budget.spend_time()
    return total == header.crc


def _after(
    name: str,
    part: Source,
    header: Header,
    budget: Budget,
    coverage: Coverage | None,
    place: tuple[int, int],
) -> Iterator[Seen]:
    """Check the member's length and CRC, unless that means to read through a lot of mere data."""
    data = coverage is not None and coverage.data > part.size // 2
    if isinstance(part, Expansion):
        if not data:
            part.drain(header.size + 1)
        if part.bomb:
            yield Trouble("archive-bomb", name, f"'{name}' {part.trouble}", place[0], name)
            yield Span(*place, "refused", "a bomb")
            return
        broken = part.trouble and part.produced < header.size
        if broken or (part.ended and part.produced != header.size) or part.produced > header.size:
            said = f"{part.produced:,} bytes come out of '{name}', {header.size:,} were promised"
            yield Trouble("zip-wrong-size", name, said, place[0], name)
            yield Span(*place, "refused", "the size is wrong")
            return
        if not part.ended and part.produced < header.size:
            return
    elif header.size != part.size:
        said = f"'{name}' has {part.size:,} bytes, {header.size:,} were promised"
        yield Trouble("zip-wrong-size", name, said, place[0], name)
    if (data and part.size > CHECKED) or _intact(part, header, budget):
        return
    said = f"the checksum of '{name}' is wrong: zipfile refuses to read it, torch does not look"
    yield Trouble("zip-wrong-checksum", name, said, place[0], name)


def _no_directory(ends: list[Ending], spans: list[tuple[int, int]]) -> Iterator[Seen]:
    if ends and not ends[0].total and not ends[0].size:
        end = ends[0]
        spans.append((end.at, end.end - end.comment))
        yield Span(end.at, end.end - end.comment, "scanned")
        return
    yield Trouble(
        "format-malformed", "zip", "the archive has no directory: it is cut off or damaged", 0
    )
