"""What the pages of one console share: the workspace, its events, who is in, what was done."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from casemate.errors import CasemateError
from casemate.workflows.traffic import Traffic

if TYPE_CHECKING:
    from casemate.console.jobs import Jobs
    from casemate.console.live import Watch
    from casemate.console.people import Person, Sessions
    from casemate.console.render import Pages
    from casemate.console.trail import Trail
    from casemate.store.workspace import Workspace
    from casemate.workflows.config import Loaded


class Desk(NamedTuple):
    """Everything a page may need."""

    loaded: Loaded
    workspace: Workspace
    traffic: Traffic | None
    """Events on record; None where what reads them is not installed or they cannot be read."""
    sessions: Sessions
    trail: Trail
    pages: Pages
    watch: Watch
    jobs: Jobs

    def note(
        self, person: Person, address: str, what: str, about: str, outcome: str = "done"
    ) -> None:
        """Put on the audit trail what somebody did."""
        self.trail.add(
            what, about, who=person.name, role=person.role, way=person.way, address=address,
            outcome=outcome,
        )  # fmt: skip


def open_traffic(loaded: Loaded, workspace: Workspace) -> Traffic | None:
    """Return the events of a workspace, None where they cannot be read."""
    place = loaded.config.guard.telemetry or workspace.folder / "telemetry"
    try:
        return Traffic(place)
    except CasemateError:
        return None
