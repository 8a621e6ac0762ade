"""Narrow questions about the events on record, as the console's pages ask them, remembered a while.

Each names its window of time, so that only the segments of it are read; an answer about the past is
kept longer than one about the present. Nobody asks the same thing twice at the same moment.
"""

from __future__ import annotations

import functools
import threading
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import msgspec

from casemate.errors import MissingExtra

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence
    from pathlib import Path

MINUTE = 60_000_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
LATELY = 1_000_000
"""Events, about, that a page looks through before it is asked for more."""
_FRESH = 3.0
"""Seconds an answer about the present holds."""
_KEPT = 600.0
"""Seconds an answer about the past holds: a hole in it may yet be told of."""
_MOST = 512
"""Answers remembered."""
BARS = 96
"""Most bars of a plot."""
_STEPS = (1, 5, 15, 60, 300, 900, 3600, 3 * 3600, 6 * 3600, 86400, 7 * 86400)
"""Widths of a bar in seconds."""


class Bar(msgspec.Struct, frozen=True, kw_only=True):
    """What came within one stretch of time."""

    at: int
    """Its beginning, in microseconds since the epoch."""
    named: int = 0
    """Inputs of the principals that were asked about."""
    other: int = 0
    refused: int = 0
    """Of all of them, refused or failed."""
    flips: int = 0
    """Inputs of the named ones whose label differs from that of the nearest input before."""


class Timeline(msgspec.Struct, frozen=True, kw_only=True):
    """Inputs over time."""

    since: int
    until: int
    width: int
    """Microseconds of a bar."""
    bars: tuple[Bar, ...] = ()


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What the record holds of one principal and one model."""

    model: str
    inputs: int
    refused: int
    first: int
    last: int
    repeats: int
    """Inputs that are near-duplicates of earlier ones."""
    flips: int
    """Inputs whose label differs from that of the nearest one before."""


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What the record holds of one principal, within some time."""

    since: int | None
    """None for all there is."""
    seen: tuple[Seen, ...] = ()
    """By model, the most asked first."""
    timeline: Timeline | None = None


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """One event, as a row of a page."""

    id: str
    at: int
    principal: str
    model: str
    kind: str
    status: int
    label: int | None
    label_name: str | None
    confidence: float | None
    margin: float | None
    near: float | None
    flipped: bool | None
    decision: str
    payload: str | None
    row: int
    route: str
    protocol: str
    note: str | None


class Gap(msgspec.Struct, frozen=True, kw_only=True):
    """A hole in the record."""

    at: int
    until: int | None
    lost: int
    writer: str
    note: str | None


_ASKED = (
    'id, "at", principal, model, kind, status, label, label_name, confidence, margin, near, '
    "flipped, decision, payload, row, route, protocol, note"
)


_ASKS = "kind IN ('inference', 'refused', 'failed')"
_REFUSED = "kind <> 'inference'"


class Traffic:
    """The events of one place."""

    def __init__(self, place: str | Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Open the place; it may be empty, and may still be written to.

        Args:
            place: Folder of the telemetry, or `clickhouse://`.
            clock: Seconds, for how long answers hold.

        Raises:
            MissingExtra: What reads events is not installed.
        """
        try:
            from casemate.store.telemetry.opening import open_query
            from casemate.store.telemetry.query import Telemetry
        except ModuleNotFoundError as error:
            raise MissingExtra("case", for_="reading events") from error
        from pathlib import Path

        self._local: Telemetry | None = None
        if str(place).startswith(("clickhouse://", "clickhouses://")):
            self._query: Any = open_query(place)
        else:
            # Our own words, never a caller's: no process of its own, which would cost 0.5 s.
            self._local = self._query = Telemetry(Path(place), isolated=False)
        self._clock = clock
        self._answers: OrderedDict[Hashable, tuple[float, Any]] = OrderedDict()
        self._locks: dict[Hashable, threading.Lock] = {}
        self._lock = threading.Lock()

    def newest(self) -> int | None:
        """Return `at` of the newest event, None where there is none."""
        if self._local is not None:
            newest: int | None = self._remembered(("newest",), _FRESH, self._local.newest)
            return newest
        text = 'SELECT max("at") FROM events'
        found = self._ask(("newest",), text, (), None, None, _FRESH)
        return None if found[0][0] is None else int(found[0][0])

    def events_kept(self) -> int | None:
        """Return how many sealed events there are, None where that is not known at once."""
        return None if self._local is None else self._local.sealed()

    def lately(self) -> int | None:
        """Return since when what is looked at first begins; None for all there is."""
        return None if self._local is None else self._local.lately(LATELY)

    def timeline(
        self,
        since: int,
        until: int,
        *,
        principals: Sequence[str] = (),
        model: str | None = None,
        only: bool = False,
    ) -> Timeline:
        """Return what came between two times, bar by bar.

        Args:
            since: Microseconds since the epoch, inclusive.
            until: Exclusive.
            principals: Those to be counted by themselves.
            model: One model alone, None for all.
            only: Count nobody but them, which is faster over a long time.
        """
        width = width_of(since, until)
        first = since // width * width
        names = tuple(principals)
        chosen = f"principal IN ({', '.join('?' * len(names))})" if names else "1 = 0"
        where = ['"at" >= ?', '"at" < ?', _ASKS]
        after: list[Any] = [first, until]
        if model is not None:
            where.append("model = ?")
            after.append(model)
        if only:
            where.append(chosen)
            after += names
        text = (
            f'SELECT "at" - "at" % {width} AS bar, {_of(chosen)}, count(*), '  # noqa: S608 - ours
            f"{_of(_REFUSED)}, {_of(f'flipped AND {chosen}')} FROM events "
            f"WHERE {' AND '.join(where)} GROUP BY bar ORDER BY bar"
        )
        rows = self._ask(
            ("timeline", first, until, names, model, only),
            text, (*names, *names, *after), first, until,
        )  # fmt: skip
        bars = tuple(
            Bar(
                at=int(bar), named=int(named), other=int(total - named),
                refused=int(refused), flips=int(flips),
            )
            for bar, named, total, refused, flips in rows
        )  # fmt: skip
        return Timeline(since=first, until=until, width=width, bars=bars)

    def of(self, principal: str, since: int | None = None) -> Record:
        """Return what the record holds of a principal; one look at all the events of that time."""
        text = (
            f'SELECT model, "at" - "at" % {MINUTE} AS minute, count(*), '  # noqa: S608 - ours
            f'{_of(_REFUSED)}, min("at"), max("at"), {_of("near >= 0.5")}, {_of("flipped")} '
            f'FROM events WHERE principal = ? AND "at" >= ? AND {_ASKS} GROUP BY model, minute'
        )
        rows = self._ask(("of", principal, since), text, (principal, since or 0), since, None)
        models: dict[str, list[Any]] = {}
        for model, _, inputs, refused, first, last, repeats, flips in rows:
            one = models.setdefault(str(model), [0, 0, first, last, 0, 0])
            for place, count in ((0, inputs), (1, refused), (4, repeats), (5, flips)):
                one[place] += int(count)
            one[2], one[3] = min(one[2], first), max(one[3], last)
        seen = tuple(
            Seen(
                model=model, inputs=one[0], refused=one[1], first=one[2], last=one[3],
                repeats=one[4], flips=one[5],
            )
            for model, one in sorted(models.items(), key=lambda it: -it[1][0])
        )  # fmt: skip
        return Record(since=since, seen=seen, timeline=_over_time(rows) if rows else None)

    def latest(
        self, principal: str, most: int = 50, *, since: int | None = None
    ) -> tuple[Asked, ...]:
        """Return the last events of a principal, the newest first."""
        text = (
            f'SELECT {_ASKED} FROM events WHERE principal = ? AND "at" >= ? '  # noqa: S608 - ours
            'ORDER BY "at" DESC LIMIT ?'
        )
        key = ("latest", principal, most, since)
        rows = self._ask(key, text, (principal, since or 0, most), since, None)
        return tuple(_asked(one) for one in rows)

    def events(
        self, ids: Sequence[str], since: int | None = None, until: int | None = None
    ) -> tuple[Asked, ...]:
        """Return events by id, `<writer>:<sequence>`, in order of time.

        Args:
            ids: At most some hundreds.
            since: Not before this, where that is known: fewer segments are read.
            until: Before this, likewise.
        """
        pairs = [
            (writer, int(number))
            for one in ids
            for writer, _, number in (one.rpartition(":"),)
            if writer and number.isdecimal() and len(number) < 19
        ]
        if not pairs:
            return ()
        writers = sorted({writer for writer, _ in pairs})
        numbers = sorted({number for _, number in pairs})
        marks = ", ".join("?" * len(writers)), ", ".join("?" * len(numbers))
        text = (
            f"SELECT {_ASKED} FROM events WHERE writer IN ({marks[0]}) "  # noqa: S608 - ours
            f'AND "sequence" IN ({marks[1]}) AND "at" >= ? AND "at" <= ?'
        )
        values = (*writers, *numbers, since or 0, until or 1 << 62)
        key = ("events", tuple(ids), since, until)
        rows = self._ask(key, text, values, since, None if until is None else until + 1)
        wanted = set(ids)
        found = [_asked(one) for one in rows if one[0] in wanted]
        return tuple(sorted(found, key=lambda one: (one.at, one.id)))

    def gaps(self, most: int = 20) -> tuple[Gap, ...]:
        """Return the latest holes in the record, the newest first."""
        text = (
            'SELECT "at", "until", lost, writer, note FROM events WHERE kind = \'gap\' '
            'ORDER BY "at" DESC LIMIT ?'
        )
        rows = self._ask(("gaps", most), text, (most,), None, None, 60.0)
        return tuple(
            Gap(at=at, until=until, lost=lost, writer=writer, note=note)
            for at, until, lost, writer, note in rows
        )

    def _ask(
        self,
        key: Hashable,
        text: str,
        values: Sequence[Any],
        since: int | None,
        until: int | None,
        holds: float | None = None,
    ) -> list[tuple[Any, ...]]:
        if holds is None:
            now = time.time_ns() // 1000
            holds = _KEPT if until is not None and until < now - 15 * MINUTE else _FRESH

        def ask() -> list[tuple[Any, ...]]:
            if self._local is not None:
                return self._local.sql(text, values, since=since, until=until)[1]
            rows: list[tuple[Any, ...]] = self._query.sql(text, values)[1]
            return rows

        answer: list[tuple[Any, ...]] = self._remembered(key, holds, ask)
        return answer

    def _remembered(self, key: Hashable, holds: float, ask: Callable[[], Any]) -> Any:
        """Return an answer that still holds, else ask; a slow one holds as long as it took."""
        with self._lock:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:
            with self._lock:
                kept = self._answers.get(key)
                if kept is not None and kept[0] > self._clock():
                    self._answers.move_to_end(key)
                    return kept[1]
            began = self._clock()
            answer = ask()
            ended = self._clock()
            with self._lock:
                self._answers[key] = (ended + max(holds, 20 * (ended - began)), answer)
                while len(self._answers) > _MOST:
                    gone, _ = self._answers.popitem(last=False)
                    self._locks.pop(gone, None)
            return answer


@functools.lru_cache(maxsize=16)
def opened(place: str) -> Traffic:
    """Return the events of a place that is not the workspace's own, its answers kept."""
    return Traffic(place)


def width_of(since: int, until: int) -> int:
    """Return how wide a bar is, in microseconds, for a stretch to be seen in at most BARS."""
    wanted = max(1, until - since) / BARS
    days = -(-wanted // DAY)
    return next((one * 1_000_000 for one in _STEPS if one * 1_000_000 >= wanted), int(days * DAY))


def _of(condition: str) -> str:
    """Return the expression that counts the rows of which a condition is true."""
    return f"sum(CASE WHEN {condition} THEN 1 ELSE 0 END)"


def _over_time(rows: Sequence[tuple[Any, ...]]) -> Timeline:
    """Return rows of (model, minute, inputs, refused ...) as bars."""
    begin, end = min(one[1] for one in rows), max(one[1] for one in rows) + MINUTE
    width = max(MINUTE, width_of(begin, end))
    bars: dict[int, list[int]] = {}
    for _, minute, inputs, refused, *_rest in rows:
        bar = bars.setdefault(minute - minute % width, [0, 0])
        bar[0] += int(inputs)
        bar[1] += int(refused)
    return Timeline(
        since=begin - begin % width, until=end, width=width,
        bars=tuple(
            Bar(at=at, other=inputs, refused=refused)
            for at, (inputs, refused) in sorted(bars.items())
        ),
    )  # fmt: skip


def _asked(row: Sequence[Any]) -> Asked:
    return Asked(**dict(zip(Asked.__struct_fields__, row, strict=True)))
