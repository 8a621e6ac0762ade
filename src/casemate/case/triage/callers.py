"""Which principals are worth a look: a few figures of each, of those the most unlike the others."""

# ruff: noqa: S608 - the texts are ours; what came from outside is a parameter

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from casemate.case.triage.questions import FEW, MEASURES, STEP, Usual, Window, ask, marks

if TYPE_CHECKING:
    from collections.abc import Iterable

    from casemate.store.telemetry.sink import EventQuery

EACH = 16
"""Principals kept of each kind of suspicion."""
WHOLE = 20_000_000
"""Inputs up to which each is counted for its principal."""


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


def callers(
    query: EventQuery, window: Window, known: dict[str, Usual], named: Iterable[str]
) -> tuple[list[Caller], int]:
    """Return the principals worth a look, and what the busiest twentieth of all ask for."""
    inputs = sum(one.inputs for one in known.values())
    per, given = _per_principal(window, known, max(1, inputs // WHOLE))
    ranks = (
        (f"steps >= {FEW}", "steps DESC"),
        ("own >= 12 AND 3 * own >= asked", "own DESC"),
        ("flips >= 4", "flips DESC"),
        ("broken >= 5", "broken DESC"),
        ("unread >= 20", "unread DESC"),
        ("asked >= 40 AND abs(z_norm) > 0.6", "abs(z_norm) * sqrt(asked) DESC"),
        ("asked >= 40 AND abs(z_margin) > 0.5", "abs(z_margin) * sqrt(asked) DESC"),
        ("asked >= 12 AND z_delta > 0.6", "z_delta * sqrt(asked) DESC"),
        ("asked >= 40 AND v_norm < 0.15", "asked DESC"),
        ("asked >= 12 AND z_delta < -0.6", "z_delta * sqrt(asked)"),
        ("asked >= 50", "asked DESC"),
    )
    parts = [
        f"SELECT * FROM (SELECT * FROM who WHERE {test} ORDER BY {order} LIMIT {EACH})"
        for test, order in ranks
    ]
    names = list(named)
    if names:
        parts.append(f"SELECT * FROM who WHERE principal IN ({marks(names)})")
    everybody = (
        "SELECT '', 0, 0, 0, 0, min(CASE WHEN place <= 1 + people / 20 THEN asked "
        "ELSE NULL END), 0, 0, 0, 0, 0, 0, 0 FROM ordered"
    )
    text = (
        f"WITH who AS ({per}), ordered AS (SELECT asked, row_number() OVER (ORDER BY asked DESC) "
        "AS place, count(*) OVER () AS people FROM who WHERE asked > 0) "
        f"SELECT DISTINCT * FROM ({' UNION ALL '.join([*parts, everybody])})"
    )
    found, busy = [], 0
    for one in ask(query, text, [*given, *names]):
        broad = [float(value or 0) for value in one[1:5]]
        whole = [int(value or 0) for value in one[5:13]]
        if one[0]:
            found.append(Caller(str(one[0]), *whole, *broad))
        else:
            busy = whole[0]
    return found, busy


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
    found = ask(query, text, [*window.values, *window.values])
    return [(str(m), int(c), str(who), int(n)) for m, c, who, n in found]


def _per_principal(window: Window, known: dict[str, Usual], every: int) -> tuple[str, list[Any]]:
    """Return a query for each principal's figures, in deviations of the model's usual inputs.

    Of very many events what looks like nothing by itself is only counted now and then.
    """
    nothing = Usual("", 0, (0.0, 0.0), (0.0, 0.0), (0.0, 0.0))
    most = sorted(known.values(), key=lambda one: -one.inputs)[:50] or [nothing]
    lines = [
        "SELECT ? AS m, " + ", ".join(
            f"CAST({value!r} AS DOUBLE) AS {name}{i}"
            for name in MEASURES
            for i, value in enumerate(getattr(one, name))
        )
        for one in most
    ]  # fmt: skip
    z = ", ".join(
        f"({name} - {name}0) / nullif({name}1, 0) AS z{i}" for i, name in enumerate(MEASURES)
    )
    counts = (
        "avg(CASE WHEN counted THEN z0 ELSE NULL END) AS z_norm",
        "avg(CASE WHEN counted THEN z1 ELSE NULL END) AS z_margin",
        "avg(CASE WHEN counted THEN z2 ELSE NULL END) AS z_delta",
        "var_pop(CASE WHEN counted THEN z0 ELSE NULL END) AS v_norm",
        f"sum(CASE WHEN counted AND kind = 'inference' THEN {every} ELSE 0 END) AS asked",
        "sum(CASE WHEN step THEN 1 ELSE 0 END) AS steps",
        "sum(CASE WHEN near_same AND delta > 0 AND z2 < -0.3 THEN 1 ELSE 0 END) AS own",
        "sum(CASE WHEN step AND flipped THEN 1 ELSE 0 END) AS flips",
        "sum(CASE WHEN broken > 0 THEN 1 ELSE 0 END) AS broken",
        "sum(CASE WHEN kind = 'bypassed' THEN 1 ELSE 0 END) AS unread",
        'min("at") AS began',
        'max("at") AS ended',
    )
    telling = (
        f" AND (sequence % {every} = 0 OR {STEP} OR near_same AND delta > 0 OR broken > 0 "
        "OR kind = 'bypassed')"
    ) * (every > 1)
    text = (
        f"SELECT principal, {', '.join(counts)} FROM (SELECT principal, kind, near_same, delta, "
        f'flipped, broken, "at", sequence % {every} = 0 AS counted, {STEP} AS step, {z} '
        f"FROM events LEFT JOIN ({' UNION ALL '.join(lines)}) AS usual "
        f"ON model = m WHERE {window.where} AND kind IN ('inference', 'bypassed') "
        f"AND principal <> ''{telling}) GROUP BY principal"
    )
    return text, [*(one.model for one in most), *window.values]
