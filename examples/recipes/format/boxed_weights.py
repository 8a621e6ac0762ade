"""Boxed weights: `BOXW`, a count, and that many floats."""

from __future__ import annotations

from typing import TYPE_CHECKING

from casemate.errors import FormatError
from casemate.formats.seen import Part, Span

if TYPE_CHECKING:
    from casemate.formats.budget import Budget
    from casemate.formats.seen import Reading
    from casemate.formats.source import Source


def read(source: Source, budget: Budget) -> Reading:
    """Account for every byte: what is scanned, what is data, what must be recognised anew.

    Raises:
        FormatError: The file ends before its weights do.
    """
    budget.spend_time()
    end = 8 + 4 * int.from_bytes(source.read(4, 4), "little")
    if end > source.size:
        raise FormatError(f"{end:,} bytes are announced, there are {source.size:,}", offset=4)
    yield Span(0, 8, "scanned")
    yield Span(8, end, "data")
    if end < source.size:
        behind = source.sub(end, source.size - end, "behind the weights")
        yield Part("behind the weights", behind, end, source.size)
