"""`rate`: at most so many inputs a minute, per principal.

Buys: the price of a query attack in time grows with the queries it needs. A thief with many
accounts is slowed by their number less; see `information`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from casemate.guard.mitigations.bucket import Buckets
from casemate.guard.mitigations.refusal import refuse
from casemate.guard.mitigations.step import Step

if TYPE_CHECKING:
    from casemate.guard.mitigations.step import Asked, Defaults, Directive


class Rate:
    """Counts inputs, not requests: a batch of a hundred is a hundred."""

    defaults: ClassVar[Defaults] = {"per_minute": 60.0, "burst": 0.0}

    def __init__(self) -> None:
        self._buckets = Buckets()

    def apply(self, asked: Asked, told: Directive) -> Step | None:
        """Refuse with 429 and a time to wait when the inputs are used up."""
        per_second = told.settings["per_minute"] / 60
        size = told.settings["burst"] or max(1.0, told.settings["per_minute"])
        key = (told.id, asked.exchange.principal)
        now, rows = asked.exchange.at, asked.exchange.rows
        level = self._buckets.level(key, now, size=size, per_second=per_second)
        # A batch larger than the bucket passes when the bucket is full, and leaves a debt.
        if level < min(rows, size):
            wait = (min(rows, size) - level) / per_second if per_second > 0 else 3600.0
            said = (("retry-after", str(max(1, round(wait)))),)
            return Step("refuse", refuse(asked.exchange.protocol, 429, said))
        self._buckets.take(key, now, rows, size=size, per_second=per_second)
        return None
