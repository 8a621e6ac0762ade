"""`information`: at most so many bits of answers an hour, per principal.

Buys: what a thief or a hill-climber needs is answers, not requests. A label of ten classes is 3.3
bits, a row of ten scores in full precision 216; coarsened answers last longer on the same budget,
and an exact repeat costs nothing.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from casemate.guard.mitigations.bucket import Buckets
from casemate.guard.mitigations.refusal import refuse
from casemate.guard.mitigations.step import Step

if TYPE_CHECKING:
    import numpy.typing as npt

    from casemate.guard.mitigations.step import Asked, Defaults, Directive

_CHARACTER = 1.5
"""Bits of a character of written language, about: Shannon 1951."""


class Information:
    """Counts the bits served; refuses when the allowance is spent."""

    defaults: ClassVar[Defaults] = {"bits_per_hour": 10_000.0, "burst": 0.0}

    def __init__(self) -> None:
        self._buckets = Buckets()

    def apply(self, asked: Asked, told: Directive) -> Step | None:
        """Refuse with 429 while the allowance is spent, and else charge what will be served."""
        per_second = told.settings["bits_per_hour"] / 3600
        size = told.settings["burst"] or max(1.0, told.settings["bits_per_hour"])
        key = (told.id, asked.exchange.principal)
        now = asked.exchange.at
        level = self._buckets.level(key, now, size=size, per_second=per_second)
        if level <= 0:
            wait = -level / per_second if per_second > 0 else 3600.0
            said = (("retry-after", str(max(1, round(wait)))),)
            return Step("refuse", refuse(asked.exchange.protocol, 429, said))

        def charge(bits: float) -> None:
            self._buckets.take(key, now, bits, size=size, per_second=per_second)

        return Step("pass", charge=charge)


def bits_of_scores(served: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Return the most each row of scores (n, classes) can tell, in bits.

    Scores that add up to one have a degree of freedom less than there are classes. Each tells what
    its decimals can: log2 of the steps of the coarsest decimal grid all of them lie on, or the 24
    bits of single precision.
    """
    rows, classes = served.shape
    free = max(1, classes - 1)
    digits = _decimals(served)
    per_score = 24.0 if digits is None else min(24.0, math.log2(10**digits + 1))
    least = math.log2(max(2, classes))
    return np.full(rows, max(least, free * per_score) if digits != 0 else least)


def bits_of_labels(classes: int) -> float:
    """Return the most a label can tell, in bits; two classes where their number is not known."""
    return math.log2(max(2, classes))


def bits_of_text(text: str) -> float:
    """Return about what a text tells, in bits."""
    return _CHARACTER * len(text)


def _decimals(values: npt.NDArray[Any]) -> int | None:
    wide = values.astype(np.float64)
    slack = 1e-6 if values.dtype.itemsize <= 4 else 1e-12
    with np.errstate(invalid="ignore", over="ignore"):
        for digits in range(5):
            scaled = wide * 10**digits
            if bool((np.abs(scaled - np.rint(scaled)) <= slack * 10**digits).all()):
                return digits
    return None
