"""A large list of numbers taken out of JSON, so that what is left is small and read with all care.

The compiled reader proves that a part of the body is one whole list of plain numbers; in its place
stands PLACE, another list. JSON does not care which list stands somewhere, so what is true of the
hollow body (its meaning, members named twice) is true of the whole one wherever the list is a
value; whoever decodes the hollow body finds PLACE there and takes the array instead. Did nobody
find it, it stood in a text or in a member that is skipped, and the whole body is to be read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from casemate.errors import LimitExceeded
from casemate.targets.wire import fused, numbers

if TYPE_CHECKING:
    import msgspec
    import numpy.typing as npt

PLACE = b"[0.0,0e+00,-0.0]"
_NEAR = 64


class Hollow(NamedTuple):
    """A body without its large list of numbers."""

    body: bytes
    """With PLACE, once, where the list stood."""
    array: npt.NDArray[Any]
    """The list."""


def hollow(body: bytes) -> Hollow | None:
    """Return a body without the list of plain numbers that makes up most of it.

    None where there is no such list, or the compiled reader is not sure of it. Costs four searches
    beside the reading of the list itself.
    """
    if len(body) < fused.WORTH or not fused.ready():
        return None
    found = _span(body)
    if found is None:
        return None
    start, stop = found
    part = memoryview(body)[start:stop]
    try:
        array = fused.read(part, numbers.depth(body[start : start + _NEAR]))
    except LimitExceeded:
        return None
    if array is None:
        return None
    left = b"".join((body[:start], PLACE, body[stop:]))
    return Hollow(left, array) if left.count(PLACE) == 1 else None


def taken(raw: bytes | msgspec.Raw) -> bool:
    """Say whether a value of a hollow body is the one whose array was taken out."""
    view = memoryview(raw)
    return len(view) == len(PLACE) and view == PLACE


def _span(body: bytes) -> tuple[int, int] | None:
    # Lists of numbers hold no quotes: what makes up most of a body lies around its middle, between
    # two of them. Each search is a memchr.
    middle = len(body) // 2
    begin = body.rfind(b'"', 0, middle) + 1
    end = body.find(b'"', middle)
    brace = body.find(b"}", begin, len(body) if end < 0 else end)
    limits = [one for one in (end, brace, len(body)) if one >= 0]
    start = body.find(b"[", begin, begin + _NEAR)
    stop = body.rfind(b"]", begin, min(limits)) + 1
    return (start, stop) if start >= 0 and stop - start >= fused.WORTH else None
