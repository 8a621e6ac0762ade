"""What could not be read, counted by reason, with the first and the last place of each."""

from __future__ import annotations

from typing import NamedTuple


class Count(NamedTuple):
    """How often one reason held."""

    reason: str
    times: int
    first: str
    """`file.jsonl:1024`."""
    last: str
    lost: bool
    """Whether traffic may be missing from the record because of it."""


MOST = 64
"""Reasons told apart; what comes after them is counted under one."""
OTHER = "other reasons"


class Tally:
    """Counts, bounded: reasons may quote what a hostile log holds."""

    def __init__(self) -> None:
        self._counts: dict[str, Count] = {}

    def add(self, reason: str, place: str, *, lost: bool, times: int = 1) -> None:
        """Count `reason` once more.

        Args:
            reason: In words, without particulars of the line.
            place: `file:line`.
            lost: Whether the record is incomplete because of it.
            times: How many records it stands for.
        """
        if reason not in self._counts and len(self._counts) >= MOST:
            reason = f"{OTHER}, {'lost' if lost else 'noted'}"
        known = self._counts.get(reason)
        if known is None:
            self._counts[reason] = Count(reason, times, place, place, lost)
        else:
            self._counts[reason] = known._replace(times=known.times + times, last=place)

    @property
    def counts(self) -> tuple[Count, ...]:
        """All reasons, those that lose traffic first, the most frequent first."""
        return tuple(sorted(self._counts.values(), key=lambda c: (not c.lost, -c.times, c.reason)))

    @property
    def lost(self) -> int:
        """How many records are missing or could not be looked at."""
        return sum(count.times for count in self._counts.values() if count.lost)
