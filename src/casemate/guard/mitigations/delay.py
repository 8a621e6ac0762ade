"""`delay`: answers later.

Buys: attacks that ask one question after another take longer; it costs the guard an open
connection, so seconds are few.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from casemate.guard.mitigations.step import Step

if TYPE_CHECKING:
    from casemate.guard.mitigations.step import Asked, Defaults, Directive

_MOST = 30.0


class Delay:
    """The same time for every request in scope: noise would average out."""

    defaults: ClassVar[Defaults] = {"seconds": 2.0}

    def apply(self, _asked: Asked, told: Directive) -> Step | None:
        """Wait before the model is asked."""
        return Step("delay", delay=min(_MOST, max(0.0, float(told.settings["seconds"]))))
