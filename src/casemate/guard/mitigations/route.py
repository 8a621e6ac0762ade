"""`route`: another model answers: a second one, or the last that was good.

Buys: an incident is bounded while its cause is looked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from casemate.guard.mitigations.step import Step

if TYPE_CHECKING:
    from casemate.guard.mitigations.step import Asked, Defaults, Directive


class Route:
    """Sends the request, unchanged, elsewhere."""

    defaults: ClassVar[Defaults] = {"upstream": ""}

    def apply(self, _asked: Asked, told: Directive) -> Step | None:
        """Name the upstream; without one there is nothing to do."""
        upstream = str(told.settings["upstream"])
        return Step("route", upstream=upstream) if upstream else None
