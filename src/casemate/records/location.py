"""Location: where in an artifact something is."""

from __future__ import annotations

import msgspec


class Location(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    tag_field="schema",
    tag="location/1",
    forbid_unknown_fields=True,
):
    """A place: path, then archive member, then byte offset or line."""

    path: str
    member: str | None = None
    """Name inside the archive; nested archives join their members with ` > `."""
    offset: int | None = None
    """Byte offset from the start of the member (or of the file), 0-based."""
    line: int | None = None
    """1-based."""
