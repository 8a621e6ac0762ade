"""Measures of an answer: label, confidence, margin, and the information it gives away.

Pure functions of the scores; the judge adds flips and the principal's total.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

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
    if row.size == 0 or not bool(np.isfinite(row).all()):
        return Answer(label, None, None, 0.0)
    if row.size == 1:
        value = float(row[0])
        if not 0.0 <= value <= 1.0:
            return Answer(label, value, None, precision(value))
        # One probability stands for two classes.
        sure, top = max(value, 1.0 - value), int(value >= 0.5)
        return Answer(
            top if label is None else label, sure, abs(2.0 * value - 1.0), precision(value)
        )
    top = int(row.argmax())
    best = float(row[top])
    second = float(np.partition(row, -2)[-2])
    chosen = top if label is None else label
    finest = max(precision(float(one)) for one in row[:8])
    return Answer(chosen, best, best - second, finest * (row.size - 1))


def precision(value: float) -> float:
    """Return the bits of a score as written: digits after the point, up to 23 bits."""
    if value == int(value):
        return 0.0
    written, _, power = str(np.float32(value)).partition("e")
    digits = len(written.partition(".")[2]) - int(power or 0)
    return min(MOST_BITS, max(0, digits) * math.log2(10.0))


def surprise(count: int, total: int, classes: int) -> float:
    """Return the information in a label seen `count` of `total` times before, in bits."""
    return math.log2((total + max(2, classes)) / (count + 1.0))
