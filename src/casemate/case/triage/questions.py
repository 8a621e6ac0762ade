"""What triage asks the store: aggregates over everything first, then the events of a few.

Standard SQL that DuckDB and ClickHouse both take. Each question reads few columns and groups by
few keys, so that a hundred million events take seconds and little memory.
"""

# ruff: noqa: S608 - the texts are ours; what came from outside is a parameter

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from casemate.store.telemetry.sink import EventQuery

MINUTE, HOUR, DAY = 60_000_000, 3_600_000_000, 86_400_000_000
BUCKETS = 1000
"""Most points of a timeline."""
EACH = 32
"""Principals kept of each kind of suspicion."""
OF_ONE = 3000
"""Most events read of one principal."""
SAMPLE = 6000
"""Events of everybody that stand for what is usual."""
SHOWN = 1000
"""Most events looked up by their ids."""
LINKED = 0.5
"""`near` from which on the guard takes an input for a near-duplicate (records/event.py)."""
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
    began: int
    ended: int
    compared: int
    """Inputs that were compared with earlier ones."""
    answered: int
    """Inputs whose label is on record."""
    scored: int
    marked: int
    """Events of red-team runs, which are left out."""
    writers: int


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


class Caller(NamedTuple):
    """One principal in figures."""

    principal: str
    asked: int
    steps: int
    own: int
    """Inputs whose nearest earlier one is its own, and nearer than is usual."""
    flips: int
    broken: int
    unread: int
    began: int
    ended: int
    norm: float
    """Mean distance from the usual norm, in deviations of the model's inputs."""
    margin: float
    delta: float
    spread: float
    """Variance of that distance of the norm; usual is 1."""


Row = dict[str, Any]
_COLUMNS = (
    "writer", "sequence", "at", "principal", "model", "version", "near", "near_to", "cluster",
    "size", "delta", "near_same", "turn", "label", "margin", "confidence", "flipped", "norm",
    "broken", "broken_by", "row", "rows", "purpose", "bits",
)  # fmt: skip


def extent(query: EventQuery, window: Window) -> Extent:
    """Count what is on record in a window."""
    text = (
        "SELECT count(*), sum(CASE WHEN kind = 'inference' THEN 1 ELSE 0 END), "
        'min("at"), max("at"), '
        "sum(CASE WHEN kind = 'inference' AND near IS NOT NULL THEN 1 ELSE 0 END), "
        "sum(CASE WHEN label IS NOT NULL THEN 1 ELSE 0 END), "
        "sum(CASE WHEN margin IS NOT NULL THEN 1 ELSE 0 END), count(DISTINCT writer) "
        f"FROM events WHERE {window.where}"
    )
    events, inputs, began, ended, compared, answered, scored, writers = _ask(
        query, text, window.values
    )[0]
    text = f"SELECT count(*) FROM events WHERE {window.left_out}"
    marked = _ask(query, text, window.exercises)[0][0]
    return Extent(
        int(events), int(inputs or 0), int(began or 0), int(ended or 0), int(compared or 0),
        int(answered or 0), int(scored or 0), int(marked), int(writers),
    )  # fmt: skip


def usual(query: EventQuery, window: Window) -> dict[str, Usual]:
    """Return what inputs of each model are like, near-duplicates left out."""
    text = (
        "SELECT model, count(*), avg(norm), stddev_pop(norm), avg(margin), stddev_pop(margin), "
        "avg(delta), stddev_pop(delta) "
        f"FROM events WHERE {window.where} AND kind = 'inference' AND NOT coalesce({STEP}, false) "
        "GROUP BY model ORDER BY count(*) DESC LIMIT 1000"
    )
    return {
        str(one[0]): Usual(str(one[0]), int(one[1]), _pair(one, 2), _pair(one, 4), _pair(one, 6))
        for one in _ask(query, text, window.values)
    }


def timeline(query: EventQuery, window: Window) -> list[Point]:
    """Return what became of requests, by model and time, oldest first."""
    step = max(MINUTE, -(-(window.until - window.since) // BUCKETS) // MINUTE * MINUTE)
    text = (
        f'SELECT model, "at" - "at" % {step} AS t, '
        "sum(CASE WHEN kind = 'inference' THEN 1 ELSE 0 END), "
        "sum(CASE WHEN kind = 'failed' OR status >= 500 THEN 1 ELSE 0 END), "
        "sum(CASE WHEN kind = 'bypassed' THEN 1 ELSE 0 END), "
        "sum(CASE WHEN kind = 'gap' THEN CASE WHEN lost > 0 THEN lost ELSE 1 END ELSE 0 END), "
        "avg(CASE WHEN took > 0 THEN took ELSE NULL END) "
        f"FROM events WHERE {window.where} GROUP BY model, t ORDER BY t LIMIT 200000"
    )
    return [
        Point(str(m), int(t), int(n), int(failed), int(unread), int(lost), float(took or 0))
        for m, t, n, failed, unread, lost, took in _ask(query, text, window.values)
    ]


def callers(
    query: EventQuery, window: Window, known: dict[str, Usual], named: Iterable[str]
) -> tuple[list[Caller], int, int]:
    """Return the principals worth a look, how many there are, and what the busiest 5 % ask for."""
    per, given = _per_principal(window, known)
    counted = (
        f"WITH who AS ({per}), ordered AS (SELECT asked, row_number() OVER (ORDER BY asked DESC) "
        "AS place, count(*) OVER () AS people FROM who WHERE asked > 0) "
        "SELECT max(people), min(CASE WHEN place <= 1 + people / 20 THEN asked ELSE NULL END) "
        "FROM ordered"
    )
    people, busy = _ask(query, counted, given)[0]
    people, busy = int(people or 0), int(busy or 0)
    ranks = (
        ("steps >= 8", "steps DESC"),
        ("own >= 12 AND 3 * own >= asked", "own DESC"),
        ("flips >= 4", "flips DESC"),
        ("broken >= 5", "broken DESC"),
        ("unread >= 20", "unread DESC"),
        ("asked >= 40 AND abs(z_norm) > 0.6", "abs(z_norm) * sqrt(asked) DESC"),
        ("asked >= 40 AND abs(z_margin) > 0.5", "abs(z_margin) * sqrt(asked) DESC"),
        ("asked >= 40 AND z_delta > 0.6", "z_delta * sqrt(asked) DESC"),
        ("asked >= 40 AND v_norm < 0.15", "asked DESC"),
        ("asked >= 12 AND z_delta < -0.6", "z_delta * sqrt(asked)"),
        (f"asked >= {max(50, busy)}", "asked DESC"),
    )
    parts = [
        f"SELECT * FROM (SELECT * FROM who WHERE {test} ORDER BY {order} LIMIT {EACH})"
        for test, order in ranks
    ]
    names = list(named)
    if names:
        marks = ", ".join("?" * len(names))
        parts.append(f"SELECT * FROM who WHERE principal IN ({marks})")
    text = f"WITH who AS ({per}) SELECT DISTINCT * FROM ({' UNION ALL '.join(parts)})"
    found = []
    for one in _ask(query, text, [*given, *names]):
        broad = [float(value or 0) for value in one[1:5]]
        whole = [int(value or 0) for value in one[5:13]]
        found.append(Caller(str(one[0]), *whole, *broad))
    return found, people, busy


def shared(query: EventQuery, window: Window) -> list[tuple[str, int, str, int]]:
    """Return (model, cluster, principal, steps) of near-duplicates that several people sent."""
    clusters = (
        f"SELECT model AS m, cluster AS c FROM events WHERE {window.where} AND {STEP} "
        "AND kind = 'inference' GROUP BY model, cluster "
        "HAVING count(*) >= 8 AND count(DISTINCT principal) >= 2 "
        f"ORDER BY count(*) DESC LIMIT {EACH}"
    )
    text = (
        f"SELECT model, cluster, principal, count(*) AS n FROM events WHERE {window.where} "
        f"AND {STEP} AND kind = 'inference' "
        f"AND (model, cluster) IN (SELECT m, c FROM ({clusters})) "
        "GROUP BY model, cluster, principal ORDER BY n DESC LIMIT 2000"
    )
    found = _ask(query, text, [*window.values, *window.values])
    return [(str(m), int(c), str(who), int(n)) for m, c, who, n in found]


def events_of(query: EventQuery, window: Window, people: Sequence[Caller]) -> list[Row]:
    """Return the events of principals in order of time; of busy ones their densest part."""
    if not people:
        return []
    parts, values = [], list(window.values)
    for one in people:
        began, ended = one.began, one.ended
        parts.append('(principal = ? AND "at" >= ? AND "at" <= ?)')
        values += [one.principal, began, ended]
    names = ", ".join(f'"{name}"' for name in _COLUMNS)
    text = (
        f"SELECT {names} FROM (SELECT {names}, row_number() OVER "
        '(PARTITION BY principal ORDER BY "at", writer, sequence) AS place '
        f"FROM events WHERE {window.where} AND kind = 'inference' AND ({' OR '.join(parts)})) "
        f'WHERE place <= {OF_ONE} ORDER BY "at", writer, sequence'
    )
    return [dict(zip(_COLUMNS, one, strict=True)) for one in _ask(query, text, values)]


def sample(query: EventQuery, window: Window, inputs: int) -> list[Row]:
    """Return events spread over the window, without repeats."""
    every = max(1, inputs // SAMPLE)
    names = ", ".join(f'"{name}"' for name in _COLUMNS)
    text = (
        f"SELECT {names} FROM events WHERE {window.where} AND kind = 'inference' "
        f"AND sequence % {every} = 0 AND coalesce(delta, 1) > 0 "
        f'ORDER BY "at" LIMIT {4 * SAMPLE}'
    )
    found = _ask(query, text, window.values)
    return [dict(zip(_COLUMNS, one, strict=True)) for one in found]


def pointed(query: EventQuery, ids: Sequence[str]) -> list[tuple[int, str, str]]:
    """Return (at, principal, model) of events by their ids."""
    if not ids:
        return []
    marks = ", ".join("?" * len(ids[:SHOWN]))
    text = f'SELECT "at", principal, model FROM events WHERE id IN ({marks})'
    return [(int(at), str(who), str(m)) for at, who, m in _ask(query, text, list(ids[:SHOWN]))]


def _per_principal(window: Window, known: dict[str, Usual]) -> tuple[str, list[Any]]:
    """Return a query for each principal's figures, in deviations of the model's usual inputs."""
    most = sorted(known.values(), key=lambda one: -one.inputs)[:50]
    z = {name: _in_deviations(name, most) for name in ("norm", "margin", "delta")}
    norm, margin, delta = (text for text, _ in z.values())
    counts = (
        f"avg({norm}) AS z_norm",
        f"avg({margin}) AS z_margin",
        f"avg({delta}) AS z_delta",
        f"var_pop({norm}) AS v_norm",
        "sum(CASE WHEN kind = 'inference' THEN 1 ELSE 0 END) AS asked",
        f"sum(CASE WHEN {STEP} THEN 1 ELSE 0 END) AS steps",
        f"sum(CASE WHEN near_same AND delta > 0 AND {delta} < -0.3 THEN 1 ELSE 0 END) AS own",
        f"sum(CASE WHEN {STEP} AND flipped THEN 1 ELSE 0 END) AS flips",
        "sum(CASE WHEN broken > 0 THEN 1 ELSE 0 END) AS broken",
        "sum(CASE WHEN kind = 'bypassed' THEN 1 ELSE 0 END) AS unread",
        'min("at") AS began',
        'max("at") AS ended',
    )
    text = (
        f"SELECT principal, {', '.join(counts)} FROM events WHERE {window.where} "
        "AND kind IN ('inference', 'bypassed') AND principal <> '' GROUP BY principal"
    )
    given = [*z["norm"][1], *z["margin"][1], *z["delta"][1], *z["norm"][1], *z["delta"][1]]
    return text, [*given, *window.values]


def _in_deviations(name: str, known: Sequence[Usual]) -> tuple[str, list[str]]:
    """Return the SQL of a measure's distance from its model's usual, in deviations."""
    pairs = [(one.model, getattr(one, name)) for one in known]
    useful = [(model, mean, sd) for model, (mean, sd) in pairs if sd > 0]
    cases = "".join(f" WHEN ? THEN ({name} - {mean!r}) / {sd!r}" for _, mean, sd in useful)
    text = f"(CASE model{cases} ELSE NULL END)" if cases else "CAST(NULL AS FLOAT)"
    return text, [model for model, _, _ in useful]


def _pair(one: Sequence[Any], at: int) -> tuple[float, float]:
    return float(one[at] or 0.0), float(one[at + 1] or 0.0)


def _ask(query: EventQuery, text: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    return query.sql(text, values)[1]
