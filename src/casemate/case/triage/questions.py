"""What triage asks the store: aggregates over everything first, then the events of a few.

Standard SQL that DuckDB and ClickHouse both take. Each question reads few columns and groups by
few keys, so that a hundred million events take seconds and little memory.
"""

# ruff: noqa: S608 - the texts are ours; what came from outside is a parameter

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from casemate.case.triage.callers import Caller
    from casemate.store.telemetry.sink import EventQuery

MINUTE, HOUR, DAY = 60_000_000, 3_600_000_000, 86_400_000_000
BUCKETS = 1000
"""Most points of a timeline."""
OF_ONE, OF_QUIET = 3000, 500
"""Most events read of one principal, and of one that sent hardly any near-duplicates."""
SAMPLE = 6000
"""Events of everybody that stand for what is usual."""
SHOWN = 1000
"""Most events looked up by their ids."""
FEW = 8
"""Near-duplicates, or inputs nearest to one's own, that are hardly any."""
LINKED = 0.5
"""`near` from which on the guard takes an input for a near-duplicate (records/event.py)."""
MEASURES = ("norm", "margin", "delta")
STEP = f"(near >= {LINKED} AND coalesce(delta, 1) > 0)"
"""A near-duplicate that is no repeat."""


class Window(NamedTuple):
    """What is looked at."""

    since: int
    until: int
    """Exclusive."""
    model: str | None = None
    exercises: tuple[str, ...] = ()
    """Red-team runs that are looked at too; the events of all others are left out."""

    @property
    def where(self) -> str:
        """Return the condition; gaps and starts have no model and belong to all."""
        marks = f"(marked IS NULL OR {self._marked})" if self.exercises else "marked IS NULL"
        return f'"at" >= ? AND "at" < ? AND {marks}' + (
            " AND model IN (?, '')" if self.model is not None else ""
        )

    @property
    def values(self) -> list[Any]:
        """Return its parameters."""
        model = [self.model] if self.model is not None else []
        return [self.since, self.until, *self.exercises, *model]

    @property
    def left_out(self) -> str:
        """Return the condition of what red-team runs sent and is not looked at."""
        return "marked IS NOT NULL" + (f" AND NOT {self._marked}" if self.exercises else "")

    @property
    def _marked(self) -> str:
        return f"marked IN ({', '.join('?' * len(self.exercises))})"


class Extent(NamedTuple):
    """What there is to look at."""

    events: int
    inputs: int
    compared: int
    """Inputs that were compared with earlier ones."""
    answered: int
    """Inputs whose label is on record."""
    scored: int
    marked: int
    """Events of red-team runs, which are left out."""
    writers: int
    """Guards and imports that wrote, at least."""


class Usual(NamedTuple):
    """What the inputs of one model are like: means and deviations."""

    model: str
    inputs: int
    norm: tuple[float, float]
    margin: tuple[float, float]
    delta: tuple[float, float]


class Point(NamedTuple):
    """One piece of the timeline of a model."""

    model: str
    at: int
    inputs: int
    failed: int
    unread: int
    lost: int
    took: float
    """Mean microseconds of an answer; 0 where not known."""


class Survey(NamedTuple):
    """Everything, counted once."""

    there: Extent
    points: list[Point]
    """Oldest first."""
    known: dict[str, Usual]
    """By model."""


Row = dict[str, Any]
_COLUMNS = (
    "writer", "sequence", "at", "principal", "model", "version", "near", "near_to", "near_same",
    "cluster", "delta", "label", "margin", "flipped", "norm", "broken", "purpose",
)  # fmt: skip


def bounds(query: EventQuery, window: Window) -> tuple[Window, int, int]:
    """Return the window cut to what is on record, the events in it and those left out of it."""
    text = (
        f'SELECT min("at"), max("at"), count(*), (SELECT count(*) FROM events WHERE '
        f"{window.left_out}) FROM events WHERE {window.where}"
    )
    values = [*window.exercises, *window.values]
    began, ended, events, left_out = ask(query, text, values)[0]
    if not events:
        return window, 0, int(left_out)
    cut = window._replace(since=max(window.since, began), until=min(window.until, ended + 1))
    return cut, int(events), int(left_out)


def survey(query: EventQuery, window: Window, left_out: int) -> Survey:
    """Count everything once, by model and time."""
    step = max(MINUTE, -(-(window.until - window.since) // BUCKETS) // MINUTE * MINUTE)
    asked = "kind = 'inference'"
    plain = f"{asked} AND NOT coalesce({STEP}, false)"
    sums = [
        f"sum(CASE WHEN {asked} THEN 1 ELSE 0 END)",
        "sum(CASE WHEN kind = 'failed' OR status >= 500 THEN 1 ELSE 0 END)",
        "sum(CASE WHEN kind = 'bypassed' THEN 1 ELSE 0 END)",
        "sum(CASE WHEN kind = 'gap' THEN CASE WHEN lost > 0 THEN lost ELSE 1 END ELSE 0 END)",
        "avg(CASE WHEN took > 0 THEN took ELSE NULL END)",
        "count(*)",
        f"sum(CASE WHEN {asked} AND near IS NOT NULL THEN 1 ELSE 0 END)",
        "count(label)",
        "count(margin)",
    ]
    for name in MEASURES:
        of = f"CASE WHEN {plain} THEN {name} ELSE NULL END"
        sums += [f"count({of})", f"sum({of})", f"sum({of} * {of})"]
    text = (
        f'SELECT model, "at" - "at" % {step} AS t, {", ".join(sums)}, min(writer), max(writer) '
        f"FROM events WHERE {window.where} GROUP BY model, t ORDER BY t LIMIT 200000"
    )
    found = ask(query, text, window.values)
    points = []
    for model, *counts, took in (one[:7] for one in found):
        at, inputs, failed, unread, lost = (int(value or 0) for value in counts)
        points.append(Point(str(model), at, inputs, failed, unread, lost, float(took or 0)))
    events, inputs, compared, answered, scored = (
        sum(int(one[place] or 0) for one in found) for place in (7, 2, 8, 9, 10)
    )
    writers = len({name for one in found for name in one[-2:]})
    by_model: dict[str, list[tuple[Any, ...]]] = {}
    for one in found:
        by_model.setdefault(str(one[0]), []).append(one)
    known = {
        model: Usual(
            model,
            sum(int(one[2] or 0) for one in rows),
            _moments(rows, 11),
            _moments(rows, 14),
            _moments(rows, 17),
        )
        for model, rows in by_model.items()
    }
    there = Extent(events, inputs, compared, answered, scored, left_out, writers)
    return Survey(there, points, known)


def events(
    query: EventQuery, window: Window, people: Sequence[Caller], inputs: int
) -> tuple[list[Row], list[Row]]:
    """Return the events of principals, and some of everybody's without repeats, by time.

    Of busy principals near-duplicates come first, and not all that they sent.
    """
    names = ", ".join(f'"{name}"' for name in _COLUMNS)
    every = max(1, inputs // SAMPLE)
    theirs = [one.principal for one in people]
    loud = [one.principal for one in people if max(one.steps, one.own) >= FEW]
    chosen = f"(sequence % {every} = 0 AND coalesce(delta, 1) > 0)"
    text = (
        f"SELECT {names}, drawn, mine, total, place FROM (SELECT {names}, {chosen} AS drawn, "
        f"principal IN ({marks(theirs)}) AS mine, "
        "count(*) OVER (PARTITION BY principal) AS total, row_number() OVER (PARTITION BY "
        f'principal ORDER BY CASE WHEN {STEP} THEN 0 ELSE 1 END, "at", writer, sequence) AS place '
        f"FROM events WHERE {window.where} AND kind = 'inference' "
        f"AND ({chosen} OR principal IN ({marks(theirs)}))) WHERE drawn OR "
        f"place <= {OF_QUIET} OR (place <= {OF_ONE} AND principal IN ({marks(loud)})) "
        'ORDER BY "at", writer, sequence'
    )
    found = ask(query, text, [*theirs, *window.values, *theirs, *loud])
    columns = (*_COLUMNS, "drawn", "mine", "total", "place")
    rows: list[Row] = [dict(zip(columns, one, strict=True)) for one in found]
    most = dict.fromkeys(loud, OF_ONE)
    mine = [r for r in rows if r["mine"] and r["place"] <= most.get(r["principal"], OF_QUIET)]
    return mine, [row for row in rows if row["drawn"]]


def pointed(query: EventQuery, ids: Sequence[str]) -> list[tuple[int, str, str]]:
    """Return (at, principal, model) of events by their ids."""
    if not ids:
        return []
    some = list(ids[:SHOWN])
    text = f'SELECT "at", principal, model FROM events WHERE id IN ({marks(some)})'
    return [(int(at), str(who), str(m)) for at, who, m in ask(query, text, some)]


def marks(values: Sequence[Any]) -> str:
    """Return a question mark for each value; NULL where there is none, which nothing equals."""
    return ", ".join("?" * len(values)) or "NULL"


def _moments(rows: Sequence[tuple[Any, ...]], at: int) -> tuple[float, float]:
    """Return mean and deviation from counts, sums and sums of squares."""
    n = sum(int(one[at] or 0) for one in rows)
    total = sum(float(one[at + 1] or 0) for one in rows)
    squares = sum(float(one[at + 2] or 0) for one in rows)
    mean = total / max(1, n)
    return mean, math.sqrt(max(0.0, squares / max(1, n) - mean * mean))


def ask(query: EventQuery, text: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """Return the rows of an answer."""
    return query.sql(text, values)[1]
