"""`review`: a person looks at it; by default afterwards, or before it is answered.

Buys: a last line where nothing else decides. A queue can be flooded, so it has a budget by the
hour, of which no principal gets more than its share.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from casemate.guard.call import Reply
from casemate.guard.mitigations.bucket import Buckets
from casemate.guard.mitigations.step import Step

if TYPE_CHECKING:
    from casemate.guard.mitigations.step import Asked, Defaults, Directive

_HELD = Reply(202, (("content-type", "application/json"),), b'{"status":"pending"}')


class Review:
    """Marks requests for the queue, which is the events with this decision."""

    defaults: ClassVar[Defaults] = {"per_hour": 60.0, "share": 0.25, "hold": False}

    def __init__(self) -> None:
        self._buckets = Buckets()

    def apply(self, asked: Asked, told: Directive) -> Step | None:
        """Queue the request while there is room; `hold` answers 202 and does not ask the model."""
        size = float(told.settings["per_hour"])
        own = max(1.0, size * float(told.settings["share"]))
        now = asked.exchange.at
        everyone, caller = (told.id, ""), (told.id, asked.exchange.principal or "-")
        room = self._buckets.level(everyone, now, size=size, per_second=size / 3600)
        left = self._buckets.level(caller, now, size=own, per_second=own / 3600)
        if room < 1 or left < 1:
            return None
        self._buckets.take(everyone, now, 1, size=size, per_second=size / 3600)
        self._buckets.take(caller, now, 1, size=own, per_second=own / 3600)
        return Step("review", _HELD if told.settings["hold"] else None)
