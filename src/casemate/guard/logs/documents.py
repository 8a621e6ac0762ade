"""JSON that is not one record per line: pretty-printed objects, and arrays of them.

Whole objects are found by their braces, so that a broken one costs itself and not its neighbours.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from casemate.errors import FormatError
from casemate.guard.logs.lines import LONGEST, STOPS, TOO_LONG
from casemate.guard.logs.record import Row

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    from casemate.guard.logs.tally import Tally

_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?P<cut>\\?\Z)?"?|[{}]', re.DOTALL)
_OPENS_A_FILE = re.compile(rb"\s*(?:\[|\{\s*(?:\n|\Z))")
BETWEEN = "something between records that is no record"


def is_document(start: bytes) -> bool:
    """Whether a file that begins so holds objects over several lines, or an array."""
    return _OPENS_A_FILE.match(start) is not None


def documents(
    blocks: Iterable[bytes], name: str, tally: Tally, *, longest: int = LONGEST
) -> Iterator[Row]:
    """Yield each object of a file, numbered by the line it begins on.

    Args:
        blocks: The file's text.
        name: Its name, for places.
        tally: Where what cannot be read is counted.
        longest: Largest object that is read.
    """
    text = b""
    line = 1
    inside = False
    is_array = None
    try:
        for block in blocks:
            text += block
            if is_array is None and text.strip():
                is_array = text.lstrip().startswith(b"[")
            text, line, inside = yield from _objects(text, line, name, tally)
            if len(text) > longest:
                tally.add(TOO_LONG, f"{name}:{line}", lost=True)
                return
    except FormatError as error:
        tally.add(str(error), f"{name}:{line}", lost=True)
    if inside or (is_array and not text.rstrip().endswith(b"]")):
        tally.add(STOPS, f"{name}:{line}", lost=True)
    elif text.strip(b" \t\r\n,[]\0"):
        tally.add(BETWEEN, f"{name}:{line}", lost=True)


def _objects(
    text: bytes, line: int, name: str, tally: Tally
) -> Generator[Row, None, tuple[bytes, int, bool]]:
    """Yield the whole objects of `text`; return the rest, its line, and whether it is begun."""
    level = 0
    begin = kept = counted = 0
    for token in _TOKEN.finditer(text):
        if token["cut"] is not None:
            break  # a string whose end is in the next block
        sign = token.group()
        if sign == b"{":
            if level == 0:
                begin = token.start()
            level += 1
        elif sign == b"}" and level:
            level -= 1
            if level == 0:
                line += text.count(b"\n", counted, begin)
                counted = begin
                if text[kept:begin].strip(b" \t\r\n,[]"):
                    tally.add(BETWEEN, f"{name}:{line}", lost=True)
                kept = token.end()
                yield Row(line, text[begin:kept], 0)
    if level:
        kept = begin
    line += text.count(b"\n", counted, kept)
    return text[kept:], line, level > 0
