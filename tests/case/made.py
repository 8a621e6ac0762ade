"""Cases made up for tests."""

from datetime import UTC, datetime

from casemate.records.incident import Incident
from casemate.records.make import make

AWARE = datetime(2026, 11, 2, 3, 0, tzinfo=UTC)


def incident(**given):
    """Return a case that was opened at three in the morning."""
    body = {
        "id": "case-2026-0001", "title": "attack on digits", "severity": "important",
        "opened": AWARE, "opened_by": "ada", "aware": AWARE, "owner": "ada",
    }  # fmt: skip
    return make(Incident, **{**body, **given})
