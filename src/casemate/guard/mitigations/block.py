"""`block`: no answer at all.

Buys: an end to it, and the attacker's knowledge that it was seen; quieter actions come first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from casemate.guard.mitigations.refusal import refuse
from casemate.guard.mitigations.step import Step

if TYPE_CHECKING:
    from casemate.guard.mitigations.step import Asked, Defaults, Directive


class Block:
    """Refuses everything in scope."""

    defaults: ClassVar[Defaults] = {"status": 403}

    def apply(self, asked: Asked, told: Directive) -> Step | None:
        """Refuse, in the words of any other refusal."""
        status = int(told.settings["status"])
        return Step(
            "refuse", refuse(asked.exchange.protocol, status if 400 <= status < 600 else 403)
        )
