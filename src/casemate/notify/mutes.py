"""Mutes: what nobody is to be paged for, each with a reason and an end."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from casemate.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from casemate.notify.settings import MuteTable
    from casemate.records.detection import Detection


class Mute(NamedTuple):
    """One `[[notify.mute]]`, read."""

    table: MuteTable
    ends: int
    """Microseconds since the epoch."""

    def covers(self, detection: Detection, now: int) -> bool:
        """Say whether it keeps this detection quiet at `now`.

        A mute of one principal does not cover a detection that has others in it too.
        """
        wanted = self.table
        return (
            now < self.ends
            and wanted.rule in (None, detection.rule)
            and wanted.model in (None, detection.model)
            and (wanted.principal is None or set(detection.principals) == {wanted.principal})
        )


def read(tables: Sequence[MuteTable]) -> tuple[Mute, ...]:
    """Read the mutes strictly.

    Raises:
        UsageError: No reason, an end that is no day or time, or a mute of everything.
    """
    return tuple(_read(place, table) for place, table in enumerate(tables, 1))


def _read(place: int, table: MuteTable) -> Mute:
    where = f"[[notify.mute]] number {place}"
    if not table.reason.strip():
        raise UsageError(f"{where} has no reason")
    if table.rule is None and table.principal is None and table.model is None:
        raise UsageError(
            f"{where} would silence everything", hint="name a rule, a principal or a model"
        )
    try:
        if len(table.expires) == 10:  # a day, which it lasts to the end of
            day = date.fromisoformat(table.expires) + timedelta(days=1)
            ends = datetime(day.year, day.month, day.day, tzinfo=UTC)
        else:
            ends = datetime.fromisoformat(table.expires)
            ends = ends if ends.tzinfo else ends.replace(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        raise UsageError(
            f"{where}: no day or time: '{table.expires[:40]}'", hint="2027-03-31"
        ) from error
    return Mute(table, round(ends.timestamp()) * 1_000_000)
