"""Evidence: one immutable observation."""

from __future__ import annotations

from datetime import datetime

import msgspec

from casemate.records.location import Location


class Evidence(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    tag_field="schema",
    tag="evidence/1",
    forbid_unknown_fields=True,
):
    """What was seen, where or in which payload, when, by what and how; made by any stage."""

    by: str
    """Catalog id or part of casemate that saw it, or a person's name."""
    how: str
    """The method, in a few words: `pickle opcode walk`, `re-measured on the target`."""
    at: datetime | None = None
    """Aware, UTC. None where the observation must be the same on every run (findings of a scan)."""
    location: Location | None = None
    payload_digest: str | None = None
    excerpt: str | None = None
    """At most 2,000 characters; never the whole payload."""
