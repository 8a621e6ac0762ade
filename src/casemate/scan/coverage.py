"""Which bytes of a source were read for what they can do, which are mere data, which were not read.

Every byte lands in exactly one of the three. Where readers disagree the worse answer counts:
refused before scanned before data; what nobody mentions is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from casemate.formats.seen import Coverage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from casemate.formats.seen import Span, State


class Share(NamedTuple):
    """A range that holds a part, and how much of the part could be accounted for."""

    start: int
    end: int
    inner: Coverage


class Counted(NamedTuple):
    """The sum over a source."""

    coverage: Coverage
    unmentioned: tuple[tuple[int, int], ...]
    """Ranges no reader said anything about; at most ten are kept."""


_ORDER: dict[State, int] = {"refused": 0, "scanned": 1, "data": 2}
_PART = 3


def count(size: int, spans: Sequence[Span], shares: Sequence[Share]) -> Counted:
    """Sum up what was said about a source of `size` bytes."""
    marks: list[tuple[int, int, int, int]] = []
    for span in spans:
        _mark(marks, size, span.start, span.end, _ORDER[span.state], -1)
    for index, share in enumerate(shares):
        _mark(marks, size, share.start, share.end, _PART, index)
    marks.sort(key=lambda mark: mark[0])
    active = [0, 0, 0]
    parts: dict[int, None] = {}
    sums = [0, 0, 0]
    missing: list[tuple[int, int]] = []
    position = 0
    for at, change, state, index in [*marks, (size, 0, 0, -1)]:
        if at > position:
            _segment(position, at, active, parts, shares, sums, missing)
            position = at
        if state == _PART:
            if change > 0:
                parts[index] = None
            else:
                parts.pop(index, None)
        elif change:
            active[state] += change
    return Counted(Coverage(sums[1], sums[2], sums[0]), tuple(missing[:10]))


def _mark(
    marks: list[tuple[int, int, int, int]], size: int, start: int, end: int, state: int, index: int
) -> None:
    start, end = max(start, 0), min(end, size)
    if start < end:
        marks.append((start, 1, state, index))
        marks.append((end, -1, state, index))


def _segment(
    start: int,
    end: int,
    active: list[int],
    parts: dict[int, None],
    shares: Sequence[Share],
    sums: list[int],
    missing: list[tuple[int, int]],
) -> None:
    size = end - start
    if active[0]:
        sums[0] += size
    elif parts:
        # The worst of the parts that lie here; more than one is rare.
        shown = [_scaled(shares[index].inner, size) for index in parts]
        worst = max(shown, key=lambda part: (part.refused, part.scanned))
        if active[1]:
            worst = Coverage(size - worst.refused, 0, worst.refused)
        sums[0] += worst.refused
        sums[1] += worst.scanned
        sums[2] += worst.data
    elif active[1]:
        sums[1] += size
    elif active[2]:
        sums[2] += size
    else:
        sums[0] += size
        missing.append((start, end))


def _scaled(inner: Coverage, size: int) -> Coverage:
    """Carry a part's shares over to the bytes it takes, compressed or not; refusal rounds up."""
    total = sum(inner)
    if not total:
        return Coverage(size, 0, 0)
    refused = -(-inner.refused * size // total)
    scanned = min(-(-inner.scanned * size // total), size - refused)
    return Coverage(scanned, size - refused - scanned, refused)
