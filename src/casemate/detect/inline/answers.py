"""Measures of an answer: label, confidence, margin, and the information it gives away.

Pure functions of the scores; the judge adds flips and the principal's total.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

BITS_PER_DIGIT = math.log2(10.0)
MOST_BITS = 23.0
"""What a single-precision score can carry."""


class Answer(NamedTuple):
    """One answer, read."""

    label: int | None
    confidence: float | None
    margin: float | None
    bits: float
    """Of its scores alone, without the label."""


def read(scores: Any, labels: Any, rows: int) -> list[Answer]:
    """Read the answers of a request, one per row; absent or not finite is None."""
    tops = _labels(labels, rows)
    if scores is None or rows == 0:
        return [Answer(top, None, None, 0.0) for top in tops]
    table = np.asarray(scores)
    if table.dtype.kind not in "biuf" or len(table) != rows:
        return [Answer(top, None, None, 0.0) for top in tops]
    table = table.reshape(rows, -1)
    return [_one(table[i], tops[i]) for i in range(rows)]


def _labels(labels: Any, rows: int) -> list[int | None]:
    if labels is None or len(labels) != rows:
        return [None] * rows
    return [int(one) for one in labels]


def _one(row: npt.NDArray[Any], label: int | None) -> Answer:
    values = row.tolist()
    if not values or not math.isfinite(sum(values)):
        return Answer(label, None, None, 0.0)
    single = row.dtype.itemsize <= 4
    if len(values) == 1:
        value = float(values[0])
        bits = precision(value, single)
        if not 0.0 <= value <= 1.0:
            return Answer(label, value, None, bits)
        # One probability stands for two classes.
        sure, top = max(value, 1.0 - value), int(value >= 0.5)
        return Answer(top if label is None else label, sure, abs(2.0 * value - 1.0), bits)
    best = max(values)
    top = values.index(best)
    second = max(max(values[:top], default=-math.inf), max(values[top + 1 :], default=-math.inf))
    chosen = top if label is None else label
    finest = max(precision(best, single), precision(second, single))
    return Answer(chosen, float(best), float(best - second), finest * (len(values) - 1))


def precision(value: float, single: bool = False) -> float:
    """Return the bits of a score as written: its decimal digits after the point, up to 23 bits.

    Args:
        value: The score.
        single: Whether it came with single precision, and is meant as the shortest such number.
    """
    if value == int(value):
        return 0.0
    written, _, power = (str(np.float32(value)) if single else repr(value)).partition("e")
    digits = len(written.partition(".")[2]) - int(power or 0)
    return min(MOST_BITS, max(0, digits) * BITS_PER_DIGIT)


def surprise(count: int, total: int, classes: int) -> float:
    """Return the information in a label seen `count` of `total` times before, in bits."""
    return math.log2((total + max(2, classes)) / (count + 1.0))
