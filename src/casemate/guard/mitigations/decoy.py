"""`decoy`: a model made for it answers a suspect, who learns nothing of the real one.

Buys: the attacker's queries are spent and keep coming in, where they can be watched. Only on
routes where a named person allowed answers that are not the model's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from casemate.guard.mitigations.step import Step

if TYPE_CHECKING:
    from casemate.guard.mitigations.step import Asked, Defaults, Directive


class Decoy:
    """As `route`, but to something that is not meant to be right."""

    defaults: ClassVar[Defaults] = {"upstream": ""}

    def apply(self, _asked: Asked, told: Directive) -> Step | None:
        """Name the upstream; without one there is nothing to do."""
        upstream = str(told.settings["upstream"])
        return Step("decoy", upstream=upstream) if upstream else None
