"""What a zip archive holds that no directory mentions.

Members that only a streaming reader would see, bytes before, between and behind the members: each
is handed on as a part and reported, except padding, data descriptors and a script's first line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from casemate.formats.expansion import Expansion
from casemate.formats.seen import Part, Span, Trouble
from casemate.formats.zip_directory import (
    DESCRIPTOR,
    LOCAL,
    METHODS,
    STORED,
    Header,
    decoded,
    local_header,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from casemate.formats.budget import Budget
    from casemate.formats.seen import Coverage, Reading, Seen
    from casemate.formats.source import Source

HIDDEN = 4096
"""Members without an entry that are read out of one gap."""


def read_gaps(
    source: Source,
    budget: Budget,
    spans: list[tuple[int, int]],
    opaque: Callable[[str], bool],
) -> Reading:
    """Read what no directory mentions: hidden members, and bytes around and between members."""
    position = 0
    for start, end in [*sorted(spans), (source.size, source.size)]:
        if start > position:
            yield from _gap(source, budget, position, start, opaque)
        position = max(position, end)


def _gap(
    source: Source, budget: Budget, start: int, end: int, opaque: Callable[[str], bool]
) -> Reading:
    if start and _is_descriptor(source, start, end):
        yield Span(start, end, "scanned")
        return
    first = source.find(LOCAL, start, end)
    hidden = 0
    while first >= 0 and hidden < HIDDEN:
        local = local_header(source, first)
        if local is None or local.method not in {STORED, *METHODS} or not local.name:
            first = source.find(LOCAL, first + 4, end)
            continue
        hidden += 1
        budget.spend_member()
        if start < first:
            yield from _bytes(source, start, first)
        start = yield from _hidden(source, budget, local, first, end, opaque)
        first = source.find(LOCAL, start, end)
    if start < end:
        yield from _bytes(source, start, end)


def _is_descriptor(source: Source, start: int, end: int) -> bool:
    size = end - start
    return size in {12, 20} or (size in {16, 24} and source.read(start, 4) == DESCRIPTOR)


def _hidden(
    source: Source,
    budget: Budget,
    local: Header,
    at: int,
    limit: int,
    opaque: Callable[[str], bool],
) -> Generator[Seen, Coverage | None, int]:
    """Read a member that only a local header knows of."""
    name = decoded(local)
    said = f"'{name}' is in the archive but in no directory: only streaming readers see it"
    yield Trouble("zip-hidden-member", name, said, at, name)
    yield Span(at, local.at, "scanned")
    stop = min(local.at + local.compressed, limit) if local.compressed else limit
    if local.method == STORED:
        if not local.compressed and local.flags & 8:
            next_at = source.find(LOCAL, local.at, limit)
            stop = next_at if next_at >= 0 else limit
        yield Part(name, source.sub(local.at, stop - local.at, name), local.at, stop, opaque(name))
        return stop
    packed = source.sub(local.at, stop - local.at, name)
    part = Expansion(packed, METHODS[local.method], budget, name)
    stop = local.at + min(part.consumed, packed.size)
    try:
        yield Part(name, part, local.at, stop, opaque(name))
        if part.trouble:
            rule = "archive-bomb" if part.bomb else "format-malformed"
            yield Trouble(rule, f"zip member {name}", f"'{name}': {part.trouble}", at, name)
            yield Span(local.at, stop, "refused", part.trouble)
    finally:
        part.close()
    return max(stop, local.at + 1)


def _bytes(source: Source, start: int, end: int) -> Reading:
    """Hand on bytes that belong to no member; padding and a script's first line are nothing."""
    size = end - start
    head = source.read(start, min(size, 4096))
    if (size <= 4096 and not head.strip(b"\0")) or _is_descriptor(source, start, end):
        yield Span(start, end, "data")
        return
    if start == 0 and head in {DESCRIPTOR, b"PK00"}:
        yield Trouble("zip-spanned", "marker", "begins with the marker of a spanned archive", 0)
        yield Span(start, end, "scanned")
        return
    place = "before" if start == 0 else "between or behind"
    said = f"{size:,} bytes stand {place} the members"
    if not (start == 0 and head.startswith(b"#!")):
        yield Trouble("archive-hidden-data", f"zip {place}", said, start)
    rest = source.sub(start, size, place)
    yield Part(f"bytes {place} members", rest, start, end, outside=True)
