"""Files of pickle streams: one after another, with the arrays joblib keeps between opcodes.

Also joblib's two older formats: the array's file beside the pickle (then it is a .npy like any
other) and the .z file, a zlib stream behind a length.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from casemate.formats.carving import plausible
from casemate.formats.expansion import Expansion
from casemate.formats.pickle import trace
from casemate.formats.seen import Part, Span, Stream, Trouble

if TYPE_CHECKING:
    from casemate.formats.budget import Budget
    from casemate.formats.pickle_trace import PickleTrace
    from casemate.formats.seen import Reading
    from casemate.formats.source import Source

ZFILE = b"ZF"
ZFILE_LENGTH = 19
"""Hex digits of 2**64 with their prefix, padded (joblib.numpy_pickle_compat)."""
_FIRST = frozenset(b"\x80(}])NIJKMLFGSTUVBCXci\x82\x83\x84\x88\x89\x8a\x8b\x8c\x8d\x8e\x8f\x95\x96")
"""Opcodes that can run on an empty stack and lead somewhere. PERSID is none: only a loader that
defines persistent ids goes on after it, and zip archives begin with its letter."""


def first_trace(source: Source) -> PickleTrace:
    """Trace the stream at the very beginning, once per source."""
    known = source.memo.get("first trace")
    if known is None:
        known = source.memo["first trace"] = trace(source, 0)
    return cast("PickleTrace", known)


def is_pickle(source: Source) -> bool:
    """Recognise a pickle, of any protocol, by reading it.

    Streams that declare a protocol are taken at their word when more follows; older ones, which any
    text might be, count when they import something or are a whole value up to the end.
    """
    head = source.read(0, 3)
    if not head or head[0] not in _FIRST:
        return False
    traced = first_trace(source)
    if plausible(traced):
        return True
    if head[0] == 0x80 and len(head) > 1 and head[1] <= 5:
        return traced.complete or traced.end > 16 or traced.end >= source.size
    tail = source.size - traced.end
    return traced.complete and traced.end > 4 and (tail < 3 or bool(traced.names))


def is_program(source: Source) -> bool:
    """Recognise a pickle in bytes that are anything: it must import by name and do something."""
    head = source.read(0, 1)
    return bool(head) and head[0] in _FIRST and plausible(first_trace(source))


def read(source: Source, budget: Budget) -> Reading:
    """Read stream after stream for as long as one begins where the last one ended."""
    at = 0
    while at < source.size:
        budget.spend_member()
        traced = first_trace(source) if at == 0 else trace(source, at)
        if at and not (traced.complete or plausible(traced)):
            break
        yield Stream(traced, at, traced.end)
        if not traced.complete:
            at = max(traced.end, at + 1)
            yield Span(at, source.size, "refused", "the pickle breaks off here")
            return
        at = traced.end
    rest = source.size - at
    if rest <= 0:
        return
    if rest <= 4096 and not source.read(at, rest).strip(b"\0\r\n\t "):
        yield Span(at, source.size, "data")
        return
    behind = source.sub(at, rest, "bytes behind the pickle")
    yield Part("bytes behind the pickle", behind, at, source.size, outside=True)


def is_zfile(source: Source) -> bool:
    """Recognise a compressed array of joblib before 0.10."""
    head = source.read(0, 2 + ZFILE_LENGTH)
    return head.startswith(ZFILE + b"0x") and head[4:].strip(b" \n").isalnum()


def read_zfile(source: Source, budget: Budget) -> Reading:
    """Read a joblib .z file."""
    start = 2 + ZFILE_LENGTH
    if source.read(start, 1) == b" ":
        start += 1
    yield Span(0, start, "scanned")
    packed = source.sub(start, source.size - start, "zlib")
    expansion = Expansion(packed, "zlib", budget, "zlib")
    try:
        yield Part("zlib", expansion, start, source.size, opaque=True)
    finally:
        expansion.close()
    if expansion.trouble:
        rule = "archive-bomb" if expansion.bomb else "format-malformed"
        yield Trouble(rule, "joblib z-file", f"the zlib stream {expansion.trouble}", start)
        yield Span(start, source.size, "refused", expansion.trouble)
