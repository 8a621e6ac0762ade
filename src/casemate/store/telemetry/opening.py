"""Open the telemetry at a place: a folder, or a ClickHouse server by URL."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from casemate.store.telemetry.journal import Journal
from casemate.store.telemetry.query import Telemetry

if TYPE_CHECKING:
    from casemate.store.telemetry.sink import EventQuery, EventSink


def new_writer() -> str:
    """Return an id for a process that is going to write events."""
    return f"w-{os.urandom(8).hex()}"


def open_sink(place: str | Path, writer: str) -> EventSink:
    """Open a place for writing.

    Args:
        place: Folder, or `clickhouse://host:8123/database`.
        writer: From `new_writer`; a writer writes to a place once.

    Raises:
        StoreError: It cannot be written, or the writer has written there before.
    """
    if _is_url(place):
        from casemate.store.telemetry.clickhouse import ClickHouseSink, connect

        return ClickHouseSink(connect(str(place)), writer)
    return Journal(Path(place), writer)


def open_query(place: str | Path, *, isolated: bool = True) -> EventQuery:
    """Open a place for reading; as for `open_sink`.

    Args:
        place: Folder or URL.
        isolated: Whether `sql` of a folder runs in a process of its own; without, the text must be
            ours.
    """
    if _is_url(place):
        from casemate.store.telemetry.clickhouse import ClickHouseQuery, connect

        return ClickHouseQuery(connect(str(place)))
    return Telemetry(Path(place), isolated=isolated)


def _is_url(place: str | Path) -> bool:
    return str(place).startswith(("clickhouse://", "clickhouses://"))
