"""Declared clients: explainers, monitors and load tests that look like attacks and are none.

Each has an allowance by the hour; beyond it, it is judged like everybody.
"""

from __future__ import annotations

import fnmatch
import re
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

from casemate.errors import UsageError
from casemate.guard.mitigations.bucket import Buckets

if TYPE_CHECKING:
    from collections.abc import Sequence

    from casemate.guard.policy import ClientTable

_KEPT = 4096


class Clients:
    """Says for a principal which declared client it is, while its allowance lasts."""

    def __init__(self, tables: Sequence[ClientTable]) -> None:
        """Prepare the declarations.

        Raises:
            UsageError: A day that is none.
        """
        self._declared = [
            (
                [re.compile(fnmatch.translate(one)) for one in table.principals],
                table,
                _end(table),
            )
            for table in tables
        ]
        self._found: dict[str, tuple[ClientTable, int] | None] = {}
        self._buckets = Buckets()

    def purpose(self, principal: str, rows: int, now: int) -> ClientTable | None:
        """Return the declaration that covers these inputs, and count them against it."""
        if not self._declared:
            return None
        if principal not in self._found:
            if len(self._found) >= _KEPT:
                self._found.clear()
            self._found[principal] = self._look(principal)
        found = self._found[principal]
        if found is None or now >= found[1]:
            return None
        table = found[0]
        key, size = (table.name, ""), float(table.per_hour)
        if self._buckets.level(key, now, size=size, per_second=size / 3600) < rows:
            return None
        self._buckets.take(key, now, rows, size=size, per_second=size / 3600)
        return table

    def _look(self, principal: str) -> tuple[ClientTable, int] | None:
        for patterns, table, end in self._declared:
            if any(pattern.match(principal) for pattern in patterns):
                return table, end
        return None


def _end(table: ClientTable) -> int:
    if table.expires is None:
        return 1 << 62
    try:
        day = date.fromisoformat(table.expires)
    except ValueError as error:
        raise UsageError(f"guard.client '{table.name}': expires: {error}") from error
    after = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)
    return round(after.timestamp() * 1_000_000)
