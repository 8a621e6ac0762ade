"""The search for one row of a table: which columns to move, and where to.

A search is a generator: it yields the rows it would like to ask about and is sent back the legal
rows that were asked in their place, with their margins. So the search of a row reads from top to
bottom while the rows of a batch are asked together.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from casemate.attack.reach import reach

if TYPE_CHECKING:
    from collections.abc import Generator

    import numpy.typing as npt

    from casemate.attack.domain import Domain
    from casemate.targets.capabilities import Array

    Doubles = npt.NDArray[np.float64]
    Mask = npt.NDArray[np.bool_]
    Index = npt.NDArray[np.intp]
    Question = Array
    """Rows (k, d) about which to ask."""
    Answer = tuple[Array, Doubles]
    """The legal rows that were asked, as many as the budget allowed, and their margins."""
    Search = Generator[Question, Answer, None]

CHUNK = 16
"""Moves asked about together, before looking whether one was enough."""
WIDTH = 6
"""Best moves that are tried again on top of what has been moved."""
CLIMBS = 5
"""Questions per column from which on climbing beats walking back."""
PROBES = 0.4
"""Share of the questions spent on single moves."""
MIXTURES = 32
"""Mixtures of values of other rows that are tried where none of these fools the model."""
TOP = 7
"""Single moves of which pairs and triples are tried at the end."""
PATIENCE = 3
"""Further ways back from other rows that end at no fewer cells, before giving up."""
SHORTENINGS = 5
"""Bisections of each move."""


class Table(NamedTuple):
    """What all rows have in common."""

    domain: Domain
    span: Doubles
    """Range of each column (d,), to compare moves of different columns."""
    frozen: Mask
    unit: tuple[Index, ...]
    """For each column the columns that move with it: its one-hot group, or itself."""

    @classmethod
    def of(cls, domain: Domain, x: Array) -> Table:
        """Learn ranges from the declared columns, the box, or the rows, whichever is finite."""
        d = x.shape[1]
        unit = [np.array([j]) for j in range(d)]
        if domain.columns:
            rules = domain.rules
            low, high, frozen = rules.low, rules.high, rules.frozen
            for group in rules.groups:
                for j in group:
                    unit[j] = group
        else:
            low, high = (
                np.broadcast_to(np.asarray(end, np.float64), x.shape[1:]).reshape(d)
                for end in (domain.lower, domain.upper)
            )
            frozen = np.zeros(d, bool)
        with np.errstate(invalid="ignore"):
            span = high - low
        seen = np.nanmax(x, axis=0) - np.nanmin(x, axis=0) if len(x) else np.ones(d)
        span = np.where(np.isfinite(span), span, seen.astype(np.float64))
        return cls(domain, np.where(span > 0, span, 1.0), frozen, tuple(unit))


class Lore(NamedTuple):
    """What earlier rows taught: how far a move to each column's (near, low, high) aim helped."""

    gain: Doubles
    tries: Doubles
    needed: Doubles
    """How often a column could not be done without, when it was tried."""

    @classmethod
    def fresh(cls, d: int) -> Lore:
        """Nothing known of d columns."""
        return cls(np.zeros((3, d)), np.zeros((3, d)), np.zeros(d))

    def expected(self, kind: Index, column: Index) -> Doubles:
        """Return the mean gain of moves, with the benefit of the doubt for untried ones."""
        mean = self.gain / np.maximum(self.tries, 1)
        return np.asarray((mean + 0.5 * mean.max() / (1 + self.tries))[kind, column])


class Best:
    """The best row so far: fewest cells changed, then the shortest way in shares of ranges."""

    def __init__(self, origin: Array, span: Doubles) -> None:
        self.origin, self.span = origin, span
        self.row: Array | None = None
        self.size = (np.inf, np.inf)
        self.last: Array | None = None
        """The row that fooled last with as few cells, which the oracle keeps; None: not known."""

    def sizes(self, rows: Array) -> list[tuple[float, float]]:
        """Return the number of cells changed and the length of the way, per row."""
        moved = np.nan_to_num(np.abs(rows - self.origin))
        cells, way = (moved > 0).sum(axis=1), (moved / self.span).sum(axis=1)
        return list(zip(cells.tolist(), way.tolist(), strict=True))

    def look(self, rows: Array, margin: Doubles) -> bool:
        """Take in what was answered; say whether it brought a new best row."""
        news = False
        cells: list[float] = []
        for row, size, value in zip(rows, self.sizes(rows), margin.tolist(), strict=True):
            if value < 0 and size[0] <= self.size[0]:
                cells.append(size[0])
                self.last = row
                if size < self.size:
                    self.row, self.size, news = row, size, True
        if cells.count(self.size[0]) > 1:
            self.last = None
        return news

    def changed(self) -> Index:
        """Return the columns changed in the best row."""
        if self.row is None:
            return np.zeros(0, np.intp)
        same = (self.row == self.origin) | np.isnan(self.origin)
        return np.flatnonzero(~same)


def search(
    origin: Array,
    others: Array,
    table: Table,
    lore: Lore,
    rng: np.random.Generator,
    *,
    scores: bool,
    room: int,
) -> Search:
    """Look for the row with the fewest changed cells that fools the model.

    Args:
        origin: The row (d,).
        others: Rows of other classes (k, d), nearest first.
        table: What all rows have in common.
        lore: Shared between rows, and added to.
        rng: Source of orders.
        scores: Whether margins say more than their sign.
        room: Questions allowed.
    """
    best = Best(origin, table.span)
    yield from _seed(others, table, best, rng)
    moves: list[tuple[int, float]] = []
    climbed = False
    if scores and room >= CLIMBS * int((~table.frozen).sum()):
        moves, climbed = yield from _climb(origin, others, table, lore, best, int(room * PROBES))
    if not climbed:
        yield from _walk_back(best, table, lore, rng)
    yield from _trim(best, table, lore)
    yield from _combine(best, moves, table, lore)
    idle = 0
    while idle < PATIENCE and best.size[0] > 2 and len(others):
        # Another way back, from another row, may end at fewer cells.
        again = Best(origin, table.span)
        start = others[rng.integers(len(others))][None]
        sent, margin = yield start
        again.look(sent, margin)
        yield from _walk_back(again, table, lore, rng, best.size[0])
        yield from _trim(again, table, lore, best.size[0])
        idle += 1
        if again.row is not None and again.size < best.size:
            best, idle = again, 0
        elif again.size[0] == best.size[0]:
            best.last = again.last
    if best.row is not None and best.last is not best.row:
        yield best.row[None]


def _seed(others: Array, table: Table, best: Best, rng: np.random.Generator) -> Search:
    """Find any row at all that fools the model: one of another class, or a mixture of several."""
    for first in range(0, len(others), 4):
        sent, margin = yield others[first : first + 4]
        if best.look(sent, margin):
            return
    if len(others):  # as far as one can go the way the other classes lie
        low, high = _ends(best.origin, table)
        sent, margin = yield np.where(others.mean(axis=0) > best.origin, high, low)[None]
        if best.look(sent, margin):
            return
    _, column, value = _moves(best.origin, others, table)
    for _ in range(MIXTURES if len(column) else 0):
        row = best.origin.copy()
        order = rng.permutation(len(column))
        row[column[order]] = value[order]
        sent, margin = yield row[None]
        if best.look(sent, margin):
            return


def _climb(
    origin: Array, others: Array, table: Table, lore: Lore, best: Best, probes: int
) -> Generator[Question, Answer, tuple[list[tuple[int, float]], bool]]:
    """Try single moves, then pile the best ones up; return the moves, and whether that fooled."""
    kind, column, value = _moves(origin, others, table)
    if not len(column):
        return [], False
    order = np.argsort(-lore.expected(kind, column), kind="stable")[: max(probes, CHUNK)]
    _, start = yield origin[None]
    reached: dict[tuple[int, float], float] = {}
    for first in range(0, len(order), CHUNK):
        pick = order[first : first + CHUNK]
        rows = np.repeat(origin[None], len(pick), axis=0)
        rows[np.arange(len(pick)), column[pick]] = value[pick]
        sent, margin = yield rows
        pick = pick[: len(margin)]
        np.add.at(lore.gain, (kind[pick], column[pick]), np.maximum(start[0] - margin, 0))
        np.add.at(lore.tries, (kind[pick], column[pick]), 1)
        for j, v, m in zip(column[pick], value[pick], margin.tolist(), strict=True):
            reached[int(j), float(v)] = m
        best.look(sent, margin)
        if (margin < 0).any():
            break
    ranked = sorted(reached, key=reached.__getitem__)
    if reached[ranked[0]] < 0:
        return ranked, True
    fooled = yield from _pile_up(origin, ranked, reached[ranked[0]], table, best)
    return ranked, fooled


def _moves(origin: Array, others: Array, table: Table) -> tuple[Index, Index, Array]:
    """Return kind (near, low, high), column and value of every single move worth trying."""
    low, high = _ends(origin, table)
    aims = np.concatenate([others, [low, high]]).astype(origin.dtype)
    kind = np.array([0] * len(others) + [1, 2])
    seen: set[tuple[int, float]] = set()
    out: list[tuple[int, int, float]] = []
    for a, aim in enumerate(aims):
        for j in np.flatnonzero((aim != origin) & ~table.frozen & ~np.isnan(origin)).tolist():
            grouped = len(table.unit[j]) > 1
            key = (j, float(aim[j]))
            if key in seen or np.isnan(aim[j]) or (grouped and aim[j] < 0.5):
                continue  # a member of a one-hot group leaves when another one enters
            seen.add(key)
            out.append((int(kind[a]), j, 2.0 if grouped else float(aim[j])))
    kinds, columns, values = zip(*out, strict=True) if out else ((), (), ())
    return np.array(kinds, np.intp), np.array(columns, np.intp), np.array(values, origin.dtype)


def _ends(origin: Array, table: Table) -> tuple[Array, Array]:
    """Return the smallest and the largest value each column can take from `origin`."""
    d = len(origin)
    if table.domain.columns:
        low, high = (end[0] for end in reach(table.domain.rules, origin[None]))
    else:
        low, high = (
            np.broadcast_to(np.asarray(end, origin.dtype), (1, *_shape(table, d))).reshape(d)
            for end in (table.domain.lower, table.domain.upper)
        )
    # Where there is no end of the range, go one range out.
    low = np.where(np.isfinite(low), low, origin - table.span)
    high = np.where(np.isfinite(high), high, origin + table.span)
    return low.astype(origin.dtype), high.astype(origin.dtype)


def _shape(table: Table, d: int) -> tuple[int, ...]:
    lower = np.asarray(table.domain.lower)
    return lower.shape if lower.size == d else (d,)


def _pile_up(
    origin: Array, ranked: list[tuple[int, float]], margin: float, table: Table, best: Best
) -> Generator[Question, Answer, bool]:
    """Add the move that helps most on top of those made; say whether that fooled the model."""
    current = _apply(origin, ranked[:1])
    while True:
        used = {int(k) for j in np.flatnonzero(current != origin) for k in table.unit[j]}
        free = [move for move in ranked if move[0] not in used]
        one = [[move] for move in free[:WIDTH]]
        several = [free[: 2**k] for k in range(1, 5)]  # where no one move helps, more may
        for moves in (one, several):
            if not free:
                return False
            sent, value = yield np.stack([_apply(current, some) for some in moves])
            best.look(sent, value)
            i = int(value.argmin())
            if value[i] < 0:
                return True
            if value[i] < margin:
                break
        else:
            return False
        current, margin = sent[i], float(value[i])


def _apply(row: Array, moves: list[tuple[int, float]]) -> Array:
    out = row.copy()
    for j, value in moves:
        out[j] = value
    return out


def _walk_back(
    best: Best, table: Table, lore: Lore, rng: np.random.Generator, below: float = np.inf
) -> Search:
    """Take back halves, quarters ... of what differs, while the model stays fooled.

    Args:
        best: Holds the row to start from, if any.
        table: What all rows have in common.
        lore: Columns seldom needed are taken back first.
        rng: Breaks ties.
        below: Give up when more cells than this are each needed.
    """
    size = len(best.changed()) // 2
    while size >= 1:
        left = sorted(best.changed(), key=lambda j: (lore.needed[j], rng.random()))
        kept = 0
        for first in range(0, len(left), size):
            part = left[first : first + size]
            sent, margin = yield _take_back(best, table, [part])
            if not best.look(sent, margin):
                kept += 1
                lore.needed[part] += 1 / len(part)
            if kept >= below:
                return
        size //= 2


def _take_back(best: Best, table: Table, parts: list[list[int]]) -> Array:
    """Return the best row with the columns of each part (and their groups) back at the origin."""
    rows = np.repeat(best.origin[None] if best.row is None else best.row[None], len(parts), axis=0)
    for row, part in zip(rows, parts, strict=True):
        for j in part:
            row[table.unit[j]] = best.origin[table.unit[j]]
    return rows


def _trim(best: Best, table: Table, lore: Lore, below: float = np.inf) -> Search:
    """Take single columns back while the model stays fooled, then shorten what is left."""
    while 1 < len(best.changed()) < below + 3:
        changed = best.changed()
        sent, margin = yield _take_back(best, table, [[int(j)] for j in changed])
        lore.needed[changed[: len(margin)][margin >= 0]] += 1
        if not best.look(sent, margin):
            break
    if len(best.changed()) > below:
        return
    for j in best.changed():
        if best.row is None or len(table.unit[j]) > 1:
            continue
        bad, good = best.origin[j], best.row[j]
        for _ in range(SHORTENINGS):
            row = best.row.copy()
            row[j] = bad + (good - bad) / 2
            if row[j] in (bad, good):
                break
            sent, margin = yield row[None]
            if margin[0] < 0 and best.look(sent, margin):
                good = sent[0][j]
            else:
                bad = row[j]


def _combine(best: Best, moves: list[tuple[int, float]], table: Table, lore: Lore) -> Search:
    """Try whether fewer of the best single moves would have been enough."""
    firsts: dict[int, tuple[int, float]] = {}
    for move in moves:
        firsts.setdefault(int(table.unit[move[0]][0]), move)
    top = list(firsts.values())[:TOP]
    for count in (2, 3):
        if best.row is None or best.size[0] <= count or len(top) < count:
            return
        some = itertools.combinations(top, count)
        rows = np.stack([_apply(best.origin, list(moves)) for moves in some])
        for first in range(0, len(rows), CHUNK):
            sent, margin = yield rows[first : first + CHUNK]
            if best.look(sent, margin):
                yield from _trim(best, table, lore)
                break
