"""Telemetry: events asked for, from sealed segments and from journals that are not sealed yet."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from casemate.store.telemetry.columns import AT, COLUMNS, SEQUENCE, WRITER, Row, event, rows, table
from casemate.store.telemetry.isolation import query
from casemate.store.telemetry.journals import WriterJournal, with_gaps, writers
from casemate.store.telemetry.leaves import Leaves, Segment
from casemate.store.telemetry.segment import read_rows
from casemate.store.telemetry.sink import Filter
from casemate.store.telemetry.sql import Sandbox, answer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from casemate.records.event import Event

_BATCH = 16_384


class Telemetry:
    """An EventQuery over a folder; several may read it while guards write and a sealer seals."""

    def __init__(
        self,
        folder: Path,
        *,
        memory: str = "2GB",
        threads: int = 2,
        seconds: float = 60.0,
        most: int = 1_000_000,
        isolated: bool = True,
    ) -> None:
        """Open a folder, which may still be empty.

        Args:
            folder: Place of the telemetry.
            memory: Most memory a query may take, in DuckDB's notation.
            threads: Cores a query may use.
            seconds: Time `sql` may take.
            most: Rows `sql` may return.
            isolated: Run `sql` in a process of its own, which costs about half a second and can
                be stopped whatever it does. Without, one expensive function call is waited for.
        """
        self.folder = folder
        self._leaves = Leaves(folder)
        self._journals: dict[str, WriterJournal] = {}
        self._sandbox = Sandbox(memory=memory, threads=threads, seconds=seconds, most=most)
        self._isolated = isolated
        self._ask = partial(query, memory=memory, threads=threads, seconds=seconds, most=most)

    def scan(self, wanted: Filter) -> Iterator[Event]:
        """Yield events in order of time, then writer and sequence."""
        where, values = _where(wanted)
        limit = "" if wanted.limit is None else f" LIMIT {int(wanted.limit)}"
        order = ' ORDER BY "at", writer, sequence'
        unsealed = table(list(self._unsealed()))
        files = [str(self._leaves.path(s)) for s in self._leaves.segments() if _may_hold(s, wanted)]
        names = ", ".join(f'"{name}"' for name in COLUMNS)
        text = f"SELECT {names} FROM events{where}{order}{limit}"  # noqa: S608 - names of ours
        for batch in self._sandbox.batches(files, unsealed, text, values, _BATCH):
            yield from map(event, rows(batch))

    def tail(self, after: Mapping[str, int]) -> Iterator[Event]:
        """Yield events beyond a sequence of each writer, in order within a writer.

        A writer that `after` does not name is read from its beginning. Asking again with the last
        sequences seen reads only what is new.
        """
        position = dict(after)
        # Journals first: what a sealer moves meanwhile is then found in the segments.
        found = [self._read_on(name, position.get(name)) for name in writers(self.folder)]
        for segment in self._leaves.segments():
            if any(span.upto - 1 > position.get(span.writer, -1) for span in segment.spans):
                for this in read_rows(self._leaves.path(segment)):
                    if this[SEQUENCE] > position.get(this[WRITER], -1):
                        position[this[WRITER]] = this[SEQUENCE]
                        yield event(this)
        for journal, fresh in found:
            for this in self._filled(journal, fresh):
                if this[SEQUENCE] > position.get(journal.writer, -1):
                    yield event(this)

    def sealed(self) -> int:
        """Return how many events are sealed; no file of events is read."""
        return sum(one.events for one in self._leaves.segments())

    def lately(self, events: int) -> int | None:
        """Return since when the newest segments hold that many events; None where all do."""
        kept = sorted(self._leaves.segments(), key=lambda one: -one.ended)
        for one in kept:
            events -= one.events
            if events <= 0:
                return one.began if one is not kept[-1] else None
        return None

    def newest(self) -> int | None:
        """Return `at` of the newest event, None where there are none."""
        times = [one.ended for one in self._leaves.segments() if one.events]
        times += [this[AT] for this in self._unsealed()]
        return max(times, default=None)

    def sql(
        self,
        text: str,
        parameters: Sequence[Any] = (),
        *,
        since: int | None = None,
        until: int | None = None,
    ) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Run one read-only query over the table `events`; return column names and rows.

        The columns are the fields of Event with those of Measures among them, and besides them
        `id` (`<writer>:<sequence>`) and `time` (`at` as a timestamp, UTC).

        Args:
            text: One SELECT.
            parameters: For its question marks.
            since: Leaves out segments that end before, in microseconds since the epoch; the query
                itself must still ask for the time it wants.
            until: Likewise those that begin then or later.

        Raises:
            UsageError: Not a query, or one that would write, reach beyond the events, or take
                more time, memory or rows than it may.
        """
        unsealed = table(list(self._unsealed()))
        wanted = Filter(since=since, until=until)
        files = [str(self._leaves.path(s)) for s in self._leaves.segments() if _may_hold(s, wanted)]
        if self._isolated:
            return self._ask(files, unsealed, text, parameters)
        return answer(self._sandbox.table(files, unsealed, text, parameters))

    def _unsealed(self) -> Iterator[Row]:
        found = [WriterJournal(self.folder, name) for name in writers(self.folder)]
        read = [(journal, list(journal.read())) for journal in found]
        self._leaves.refresh()
        for journal, fresh in read:
            yield from self._filled(journal, fresh)

    def _filled(self, journal: WriterJournal, fresh: Sequence[Row]) -> Iterator[Row]:
        span = self._leaves.last(journal.writer)
        if span is None or not span.ended:
            yield from with_gaps(journal, fresh, None if span is None else span.upto)

    def _read_on(self, name: str, after: int | None) -> tuple[WriterJournal, list[Row]]:
        journal = self._journals.get(name)
        if journal is None or journal.expected is None or journal.told != after:
            journal = self._journals[name] = WriterJournal(self.folder, name)
        return journal, list(journal.read())


def _may_hold(segment: Segment, wanted: Filter) -> bool:
    if wanted.since is not None and segment.ended < wanted.since:
        return False
    if wanted.until is not None and segment.began >= wanted.until:
        return False
    return wanted.writer is None or any(span.writer == wanted.writer for span in segment.spans)


def _where(wanted: Filter) -> tuple[str, list[Any]]:
    parts: list[str] = []
    values: list[Any] = []
    for test, value in (
        ('"at" >= ?', wanted.since),
        ('"at" < ?', wanted.until),
        ("principal = ?", wanted.principal),
        ("model = ?", wanted.model),
        ("writer = ?", wanted.writer),
        ("cluster = ?", wanted.cluster),
    ):
        if value is not None:
            parts.append(test)
            values.append(value)
    if wanted.kinds:
        parts.append(f"kind IN ({', '.join('?' * len(wanted.kinds))})")
        values += wanted.kinds
    if wanted.ids:
        parts.append(f"({' OR '.join(['(writer = ? AND sequence = ?)'] * len(wanted.ids))})")
        values += [part for one in wanted.ids for part in one]
    return (f" WHERE {' AND '.join(parts)}" if parts else ""), values
