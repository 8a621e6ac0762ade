"""Charts as numbers a template can draw: paths, ticks, a legend, and the same data as a table.

Knows nothing of records or of HTML; colours and type come from the page's style sheet.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from casemate.export.wording import number

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

WIDTH, HEIGHT = 560, 330
LEFT, RIGHT, TOP, BOTTOM = 70, 24, 14, 58
_ROWS = 9
"""Rows of the table that says the same as the chart."""


class Series(NamedTuple):
    """One line or one set of dots to draw."""

    label: str
    points: Sequence[tuple[float, float]]
    style: str
    """A class of the style sheet: `worst`, `c1` ... `c6`."""
    steps: bool = False
    """Hold the value up to the next point instead of joining the two."""
    dots: bool = False
    band: Sequence[tuple[float, float]] = ()
    """Lower and upper end at each point."""


class Tick(NamedTuple):
    """A mark on an axis."""

    at: float
    label: str


class Shape(NamedTuple):
    """What is drawn of a series."""

    label: str
    style: str
    line: str
    band: str
    dots: list[tuple[float, float]]


class Chart(NamedTuple):
    """A drawn chart."""

    ident: str
    title: str
    text: str
    """What it shows, for someone who cannot see it."""
    x_name: str
    y_name: str
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    shapes: list[Shape]
    head: list[str]
    rows: list[list[str]]
    box: tuple[int, int, int, int] = (LEFT, TOP, WIDTH - RIGHT, HEIGHT - BOTTOM)
    width: int = WIDTH
    height: int = HEIGHT


def draw(
    ident: str,
    title: str,
    text: str,
    series: Sequence[Series],
    *,
    x_name: str,
    y_name: str,
    logarithmic: bool = False,
) -> Chart:
    """Lay out a chart whose y is a share, 0 to 1.

    Args:
        ident: Unique on the page.
        title: What it is called.
        text: What it shows, in words.
        series: What to draw, the last on top.
        x_name: Name of the horizontal axis, with its unit.
        y_name: Name of the vertical axis.
        logarithmic: Whether x grows by factors; then every x is above 0.
    """
    values = [x for one in series for x, _ in one.points]
    ticks = _decades(min(values), max(values)) if logarithmic else _nice(max(values, default=1.0))
    low = ticks[0] if logarithmic else 0.0
    high = max(ticks[-1], *values) if logarithmic else max(values, default=1.0) or 1.0

    def at(x: float) -> float:
        part = math.log(x / low) / math.log(high / low) if logarithmic else (x - low) / (high - low)
        return round(LEFT + part * (WIDTH - LEFT - RIGHT), 1)

    def up(y: float) -> float:
        return round(HEIGHT - BOTTOM - y * (HEIGHT - TOP - BOTTOM), 1)

    return Chart(
        ident=ident,
        title=title,
        text=text,
        x_name=x_name,
        y_name=y_name,
        x_ticks=[Tick(at(one), number(one)) for one in ticks if low <= one <= high * (1 + 1e-9)],
        y_ticks=[Tick(up(one / 4), f"{25 * one} %") for one in range(5)],
        shapes=[_shape(one, at, up) for one in series],
        head=[x_name, *(one.label for one in series)],
        rows=_table(series),
    )


def _shape(one: Series, at: Callable[[float], float], up: Callable[[float], float]) -> Shape:
    drawn = [(at(x), up(y)) for x, y in one.points]
    if one.dots:
        return Shape(one.label, one.style, "", "", drawn)
    band = ""
    if one.band:
        lows = [(at(x), up(low)) for (x, _), (low, _) in zip(one.points, one.band, strict=True)]
        highs = [(at(x), up(high)) for (x, _), (_, high) in zip(one.points, one.band, strict=True)]
        band = _path(highs, one.steps) + "L" + _path(lows, one.steps, back=True)[1:] + "Z"
    return Shape(one.label, one.style, _path(drawn, one.steps), band, [])


def _path(points: Sequence[tuple[float, float]], steps: bool, back: bool = False) -> str:
    corners: list[tuple[float, float]] = []
    for x, y in points:
        if steps and corners:
            corners.append((x, corners[-1][1]))
        corners.append((x, y))
    if back:
        corners.reverse()
    return "M" + "L".join(f"{x:g} {y:g}" for x, y in corners)


def _table(series: Sequence[Series]) -> list[list[str]]:
    every = sorted({x for one in series for x, _ in one.points})
    if len(every) > _ROWS:
        marks = {x for one in series if one.dots for x, _ in one.points}
        step = (len(every) - 1) / (_ROWS - 1)
        every = sorted(marks | {every[round(i * step)] for i in range(_ROWS)})
    return [[number(x), *(_at(one, x) for one in series)] for x in every]


def _at(one: Series, x: float) -> str:
    exact = [i for i, (at, _) in enumerate(one.points) if at == x]
    before = [i for i, (at, _) in enumerate(one.points) if at <= x]
    found = exact if one.dots or not one.steps else before
    if not found:
        return "–"
    i = found[-1]
    text = f"{100 * one.points[i][1]:.1f} %"
    if one.band:
        text += f" ({100 * one.band[i][0]:.1f}–{100 * one.band[i][1]:.1f})"
    return text


def _nice(high: float) -> list[float]:
    if high <= 0:
        return [0.0, 1.0]
    rough = high / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(one * power for one in (1, 2, 2.5, 5, 10) if one * power >= rough)
    return [round(i * step, 12) for i in range(math.floor(high / step + 1e-9) + 1)]


def _decades(low: float, high: float) -> list[float]:
    """Return ticks from at or below `low` up to `high`: powers of ten, finer where few."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    parts = (1, 2, 5) if last - first <= 2 else (1,)
    every = [part * 10.0**power for power in range(first, last + 1) for part in parts]
    start = max(one for one in every if one <= low * (1 + 1e-9))
    ticks = [one for one in every if start <= one <= high * (1 + 1e-9)]
    return ticks if len(ticks) > 1 else [start, 10 * start]
