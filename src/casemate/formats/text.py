"""Plain text: source code, configuration, tables, prose; recognised by what it is made of.

A pickle of protocol 0 is text as well, so the recogniser of pickles is asked before this one.
"""

from __future__ import annotations

import codecs
import re
from typing import TYPE_CHECKING

from casemate.formats.seen import Span

if TYPE_CHECKING:
    from casemate.formats.budget import Budget
    from casemate.formats.seen import Reading
    from casemate.formats.source import Source

_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
_HIGH = re.compile(rb"[\x80-\xff]")
MARKS = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}


def is_text(source: Source) -> bool:
    """Recognise text: no control characters, and UTF-8, UTF-16 with a mark, or mostly ASCII.

    All of it is looked at, since a file that begins as text may go on as something else.
    """
    if not source.size:
        return False
    wide = MARKS.get(source.read(0, 2))
    decoder = codecs.getincrementaldecoder(wide or "utf-8")("strict")
    utf8, high = True, 0
    for chunk in source.chunks():
        if wide is None and _CONTROL.search(chunk):
            return False
        if utf8 and not (wide is None and chunk.isascii() and not decoder.getstate()[0]):
            try:
                decoded = decoder.decode(chunk)
            except UnicodeDecodeError:
                utf8 = False
            else:
                if wide is not None and _CONTROL.search(decoded.encode("utf-8", "replace")):
                    return False
        if not utf8:
            if wide is not None:
                return False
            high += len(_HIGH.findall(chunk))
    if decoder.getstate()[0]:
        # The last character is cut off.
        utf8 = False
        if wide is not None:
            return False
    # An old single-byte encoding has an accent here and there.
    return utf8 or high * 4 < source.size


def read(source: Source, budget: Budget) -> Reading:
    """Account for text: no loader of models runs it."""
    budget.spend_time()
    yield Span(0, source.size, "scanned")


def read_zeros(source: Source, budget: Budget) -> Reading:
    """Account for zeros."""
    budget.spend_time()
    yield Span(0, source.size, "data")


def is_empty(source: Source) -> bool:
    """Recognise a file without bytes."""
    return source.size == 0


def is_zeros(source: Source) -> bool:
    """Recognise bytes that are all zero."""
    return source.size > 0 and not any(chunk.strip(b"\0") for chunk in source.chunks())
