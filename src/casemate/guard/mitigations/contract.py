"""`contract`: inputs that no honest client sends are refused: out of range, wrong kind, NaN.

Buys: a caller must stay among inputs the model was made for; perturbations that leave integers or
ranges never reach it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from casemate.guard.mitigations.refusal import refuse
from casemate.guard.mitigations.step import Step

if TYPE_CHECKING:
    from casemate.guard.mitigations.step import Asked, Defaults, Directive


class Contract:
    """Refuses by what the judge measured of the input."""

    defaults: ClassVar[Defaults] = {"cells": 1}

    def apply(self, asked: Asked, told: Directive) -> Step | None:
        """Refuse with 400 when an input breaks the contract in so many cells, or is not read."""
        least = int(told.settings["cells"])
        if asked.readable and all(one.broken < least for one in asked.measured):
            return None
        return Step("refuse", refuse(asked.exchange.protocol, 400))
