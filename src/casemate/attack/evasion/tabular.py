"""Column search: fool a model of tables by changing as few columns as possible, legally."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from casemate.attack.evasion.column_search import Lore, Table, search
from casemate.attack.measure import margins

if TYPE_CHECKING:
    import numpy.typing as npt

    from casemate.attack.evasion.column_search import Question, Search
    from casemate.attack.questions import Labels, Scores
    from casemate.targets.capabilities import Array, Ints

    Rows = npt.NDArray[np.int64]
    Doubles = npt.NDArray[np.float64]

POOL = 1024
"""Rows of the batch in which neighbours of other classes are looked for."""


class Job(NamedTuple):
    """The search of one row, and what it wants to know next."""

    row: int
    search: Search
    wants: Question


def tabular(
    oracle: Labels,
    x: Array,
    y: Ints,
    *,
    rng: np.random.Generator,
    steps: int,
    neighbours: int,
) -> None:
    """Move columns to values seen in rows of other classes; keep, then drop, then shorten moves.

    Score-based where the target gives scores, decision-based where it does not. With scores a
    greedy search over single moves, in the order in which they helped other rows, after Yang et al.
    2020, "Greedy attack and Gumbel attack: generating adversarial examples for discrete data"
    (arXiv 1805.12316); from labels the way back from a row of another class, after Schott et al.
    2019 (pointwise attack, arXiv 1805.09190), by halves. Departing from both, every question is a
    row that the declared columns allow. The distance is the number of cells changed (l0); among
    equals the smaller change counts, in shares of each column's range.

    Args:
        oracle: The door to the model.
        x: Rows (n, d).
        y: True classes (n,).
        rng: Source of orders and restarts.
        steps: Most questions per row.
        neighbours: Rows of other classes whose values are tried.
    """
    flat = x.reshape(len(x), -1)
    table = Table.of(oracle.domain, flat)
    lore = Lore.fresh(flat.shape[1])
    sound = oracle.domain.holds(x, x)
    if not sound.all():
        oracle.notes.extend(oracle.domain.violations(x))
        oracle.notes.append(
            f"{int((~sound).sum())} rows break their own constraints and were not attacked"
        )
    scores = "scores" in oracle.gives
    jobs: list[Job] = []
    spare = oracle.left(np.arange(len(x)))
    room = np.full(len(x), steps) if spare is None else np.minimum(spare, steps)
    near = _nearest(flat, y, table, neighbours, rng)
    for row in np.flatnonzero(sound).tolist():
        found = search(
            flat[row], flat[near[row]], table, lore, rng, scores=scores, room=int(room[row])
        )
        if (first := next(found, None)) is not None:
            jobs.append(Job(row, found, first))
    asked = np.zeros(len(x), np.int64)
    while jobs:
        rows = np.array([job.row for job in jobs])
        left = steps - asked[rows]
        allowed = oracle.left(rows)
        left = left if allowed is None else np.minimum(left, allowed)
        jobs = [
            job._replace(wants=job.wants[: max(0, room)])
            for job, room in zip(jobs, left.tolist(), strict=True)
            if room > 0
        ]
        if not jobs:
            return
        rows = np.repeat([job.row for job in jobs], [len(job.wants) for job in jobs])
        points = np.concatenate([job.wants for job in jobs]).reshape(-1, *x.shape[1:])
        sent = oracle.domain.project(points, x[rows])
        margin = _margin(oracle, sent, rows, y, scores=scores)
        np.add.at(asked, rows, 1)
        jobs = _advance(jobs, sent.reshape(len(sent), -1), margin)


def _advance(jobs: list[Job], sent: Array, margin: Doubles) -> list[Job]:
    """Hand each search its answers and collect what it asks next; drop those that are finished."""
    going: list[Job] = []
    first = 0
    for job in jobs:
        part = slice(first, first + len(job.wants))
        first = part.stop
        try:
            wants = job.search.send((sent[part], margin[part]))
        except StopIteration:
            continue
        going.append(job._replace(wants=wants))
    return going


def _margin(oracle: Labels | Scores, x: Array, rows: Rows, y: Ints, *, scores: bool) -> Doubles:
    """Return margins (n,), negative where the model is fooled; from labels 1 and -1."""
    if not scores:
        return np.where(oracle.labels(x, rows) == y[rows], 1.0, -1.0)
    given = np.asarray(oracle.scores(x, rows), np.float64)  # type: ignore[union-attr]
    if oracle.kind == "probabilities":  # type: ignore[union-attr]
        given = np.log(np.maximum(given, 1e-9))
    return margins(given, y[rows])


def _nearest(x: Array, y: Ints, table: Table, count: int, rng: np.random.Generator) -> list[Rows]:
    """Return for each row the nearest rows of other classes, in shares of each column's range."""
    n = len(x)
    pool = np.arange(n) if n <= POOL else np.sort(rng.permutation(n)[:POOL])
    scaled = np.nan_to_num(x / table.span)
    out: list[Rows] = []
    for i in range(n):
        others = pool[y[pool] != y[i]]
        away = np.abs(scaled[others] - scaled[i])[:, ~table.frozen].sum(axis=1)
        out.append(others[np.argsort(away, kind="stable")[:count]])
    return out
