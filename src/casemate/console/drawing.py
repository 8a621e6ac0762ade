"""Plots as numbers a template draws: bars over time, the moments that matter, the same as rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from casemate.console.render import clock, when
from casemate.export.wording import number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from casemate.workflows.casefile import Mark
    from casemate.workflows.traffic import Bar as Given
    from casemate.workflows.traffic import Timeline

WIDTH, HEIGHT = 760, 240
LEFT, RIGHT, TOP, BOTTOM = 56, 14, 48, 34
_DAY = 86_400_000_000
_TICKS = 6
_ROWS = 12
_LEAST = 70
"""Distance two names of moments keep."""


class Bar(NamedTuple):
    """One bar: where it stands, and how high its parts are."""

    x: float
    width: float
    named_y: float
    named: float
    other_y: float
    other: float
    refused: float
    """Height of the part that was refused or failed, from the ground."""
    words: str


class Moment(NamedTuple):
    """A line with a name."""

    x: float
    words: str
    y: float
    anchor: str


class Plot(NamedTuple):
    """A drawn timeline."""

    bars: tuple[Bar, ...]
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    moments: tuple[Moment, ...]
    text: str
    """What it shows, for somebody who cannot see it."""
    rows: tuple[tuple[str, str, str, str], ...]
    named: bool
    refused: bool
    each: str
    """How much time one bar is."""
    width: int = WIDTH
    height: int = HEIGHT
    box: tuple[int, int, int, int] = (LEFT, TOP, WIDTH - RIGHT, HEIGHT - BOTTOM)


def plot(line: Timeline, marks: Sequence[Mark] = (), *, named: bool = False) -> Plot:
    """Lay out a timeline.

    Args:
        line: What came, bar by bar.
        marks: Moments to name; those outside are left out.
        named: Whether some principals are counted by themselves.
    """
    begin, end = line.since, max(line.until, line.since + line.width)
    high = max((one.named + one.other for one in line.bars), default=0) or 1
    top = _nice(high)
    scale_x = (WIDTH - LEFT - RIGHT) / (end - begin)
    scale_y = (HEIGHT - TOP - BOTTOM) / top
    ground = HEIGHT - BOTTOM
    wide = max(1.0, round(line.width * scale_x - 0.8, 2))
    bars = []
    for one in line.bars:
        apart = one.named if named else 0
        named_h = apart * scale_y
        other_h = (one.named + one.other - apart) * scale_y
        bars.append(
            Bar(
                x=round(LEFT + (one.at - begin) * scale_x, 2),
                width=wide,
                named_y=round(ground - named_h, 2),
                named=round(named_h, 2),
                other_y=round(ground - named_h - other_h, 2),
                other=round(other_h, 2),
                refused=round(one.refused * scale_y, 2),
                words=_words(one, apart=named),
            )
        )
    total = sum(one.named + one.other for one in line.bars)
    refused = sum(one.refused for one in line.bars)
    peak = max(line.bars, key=lambda one: one.named + one.other, default=None)
    text = f"{number(total)} inputs from {when(begin)} to {when(end)}"
    if named:
        text += f", {number(sum(one.named for one in line.bars))} of them by the suspects"
    if refused:
        text += f"; {number(refused)} refused or failed"
    if peak is not None:
        text += f"; most in the bar at {when(peak.at)}: {number(peak.named + peak.other)}"
    return Plot(
        bars=tuple(bars),
        x_ticks=_times(begin, end, scale_x),
        y_ticks=tuple((round(ground - y * scale_y, 1), number(y)) for y in (0, top / 2, top)),
        moments=_moments(marks, begin, end, scale_x),
        text=text + ".",
        rows=_table(line),
        named=named,
        refused=refused > 0,
        each=_each(line.width),
    )


def _words(one: Given, *, apart: bool) -> str:
    named, other, refused = one.named, one.other, one.refused
    parts = [when(one.at)]
    if apart:
        parts += [f"{number(named)} by suspects", f"{number(other)} by others"]
    else:
        parts.append(f"{number(named + other)} inputs")
    if refused:
        parts.append(f"{number(refused)} refused")
    return ", ".join(parts)


def _times(begin: int, end: int, scale: float) -> tuple[tuple[float, str], ...]:
    steps = [one * 1_000_000 for one in (
        10, 30, 60, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800,
        2592000,
    )]  # fmt: skip
    step = next((one for one in steps if (end - begin) / one <= _TICKS), steps[-1])
    long = end - begin > 2 * _DAY
    first = -(-begin // step) * step
    return tuple(
        (round(LEFT + (at - begin) * scale, 1), when(at)[5:10] if long else clock(at))
        for at in range(first, end, step)
    )[: 2 * _TICKS]


def _moments(marks: Sequence[Mark], begin: int, end: int, scale: float) -> tuple[Moment, ...]:
    made: list[Moment] = []
    last = [float("-inf"), float("-inf")]
    for one in sorted(marks, key=lambda it: it.at):
        if not begin <= one.at <= end:
            continue
        x = round(LEFT + (one.at - begin) * scale, 1)
        row = 0 if x - last[0] >= _LEAST + 20 else 1
        if row and x - last[1] < _LEAST + 20:
            made.append(Moment(x, "", TOP, "start"))
            continue
        last[row] = x
        right = x > WIDTH - 130
        made.append(Moment(x, one.words, 14 + 20 * row, "end" if right else "start"))
    return tuple(made)


def _table(line: Timeline) -> tuple[tuple[str, str, str, str], ...]:
    most = sorted(line.bars, key=lambda one: -(one.named + one.other))[:_ROWS]
    return tuple(
        (when(one.at), number(one.named), number(one.named + one.other), number(one.refused))
        for one in sorted(most, key=lambda one: one.at)
    )


def _each(width: int) -> str:
    seconds = width // 1_000_000
    for name, size in (("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1)):
        if seconds >= size:
            n = seconds // size
            return f"{n} {name}" if n == 1 else f"{n} {name}s"
    return "less than a second"


def _nice(high: float) -> float:
    power = 1.0
    while power * 10 < high:
        power *= 10
    return next(one * power for one in (1, 2, 4, 5, 6, 8, 10) if one * power >= high)
