"""Compressed files: gzip, zlib, bzip2, xz, lzma, LZ4 frames and Zstandard.

Each reader hands what the stream expands to on as one part, even when the stream breaks off: a
loader would have run what came before. Streams that may be concatenated are read to the last one;
whatever stands behind is a part of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from casemate.formats.decoders import BROKEN, DECODERS
from casemate.formats.expansion import Expansion
from casemate.formats.seen import Part, Span, Trouble
from casemate.formats.text import is_zeros

if TYPE_CHECKING:
    from casemate.formats.budget import Budget
    from casemate.formats.seen import Reading
    from casemate.formats.source import Source


def _expands(source: Source, kind: str) -> bool:
    """Say whether the first bytes expand without complaint."""
    decoder = DECODERS[kind]()
    head = source.read(0, 512)
    try:
        out = decoder.feed(head)
    except BROKEN:
        return False
    return bool(out) or decoder.eof or len(head) == 512


def is_zlib(source: Source) -> bool:
    """Recognise a zlib stream, which has no magic: the header's check bits, then by expanding."""
    head = source.read(0, 2)
    if len(head) < 2 or head[0] & 0x0F != 8 or head[0] >> 4 > 7 or head[1] & 0x20:
        return False
    return int.from_bytes(head, "big") % 31 == 0 and _expands(source, "zlib")


def is_lzma(source: Source) -> bool:
    """Recognise the old .lzma format, which has no magic, by the tests xz-utils applies.

    Properties in range, a dictionary of 2**n or 2**n + 2**(n-1) bytes, a size that is unknown or
    below 256 GiB; then by expanding.
    """
    head = source.read(0, 13)
    if len(head) < 13 or head[0] > 224:
        return False
    window = int.from_bytes(head[1:5], "little")
    top = 1 << max(window.bit_length() - 1, 0)
    if window < 4096 or window not in {top, top | top >> 1, 0xFFFFFFFF}:
        return False
    size = int.from_bytes(head[5:13], "little")
    return (size == 2**64 - 1 or 0 < size < 1 << 38) and _expands(source, "lzma")


def read(kind: str, source: Source, budget: Budget) -> Reading:
    """Read one compressed file of `kind`: what it expands to, then what stands behind it."""
    expansion = Expansion(source, kind, budget, kind)
    end = min(expansion.consumed, source.size)
    try:
        yield Part(kind, expansion, 0, end)
    finally:
        expansion.close()
    if expansion.bomb:
        yield Trouble("archive-bomb", kind, f"the {kind} stream {expansion.trouble}", 0)
        yield Span(end, source.size, "refused", "the rest of a bomb")
        return
    if expansion.trouble:
        yield Trouble(
            "format-malformed", kind, f"the {kind} stream is broken: {expansion.trouble}", end
        )
        yield Span(end, source.size, "refused", "broken stream")
        return
    yield from _behind(kind, source, end)


def _behind(kind: str, source: Source, end: int) -> Reading:
    size = source.size - end
    if not size:
        return
    if is_zeros(source.sub(end, size, "padding")):
        yield Span(end, source.size, "data")
        return
    yield Trouble(
        "archive-hidden-data",
        f"{kind} trailer",
        f"{size:,} bytes stand behind the {kind} stream",
        end,
    )
    rest = source.sub(end, size, "trailing bytes")
    yield Part("trailing bytes", rest, end, source.size, outside=True)


def read_gzip(source: Source, budget: Budget) -> Reading:
    """Read a gzip file, all members."""
    return read("gzip", source, budget)


def read_zlib(source: Source, budget: Budget) -> Reading:
    """Read a zlib stream, as joblib writes it."""
    return read("zlib", source, budget)


def read_bzip2(source: Source, budget: Budget) -> Reading:
    """Read a bzip2 file, all streams."""
    return read("bzip2", source, budget)


def read_xz(source: Source, budget: Budget) -> Reading:
    """Read an xz file, all streams."""
    return read("xz", source, budget)


def read_lzma(source: Source, budget: Budget) -> Reading:
    """Read a file in the old lzma format."""
    return read("lzma", source, budget)


def read_lz4(source: Source, budget: Budget) -> Reading:
    """Read LZ4 frames."""
    return read("lz4", source, budget)


def read_zstd(source: Source, budget: Budget) -> Reading:
    """Read Zstandard frames."""
    return read("zstd", source, budget)
