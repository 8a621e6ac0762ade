"""The declared columns of a table as arrays, and which rows break them.

Used by `casemate.attack.domain`. A cell is bound by type, range, allowed values, mutability and
direction; columns are bound to one another by one-hot groups, `at_most` and `sum_of`.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from casemate.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy.typing as npt

    from casemate.records.column import Column
    from casemate.targets.capabilities import Array

    Doubles = npt.NDArray[np.float64]
    Mask = npt.NDArray[np.bool_]
    Index = npt.NDArray[np.intp]


class Sum(NamedTuple):
    """Column `total` is the sum of columns `parts`."""

    total: int
    parts: tuple[int, ...]


class Rules(NamedTuple):
    """Constraints as arrays over columns (d,) and lists of column numbers."""

    columns: tuple[Column, ...]
    low: Doubles
    high: Doubles
    whole: Mask
    """Columns of whole numbers."""
    frozen: Mask
    up: Mask
    down: Mask
    values: dict[int, Doubles]
    """The allowed values, ascending, of columns that have few."""
    groups: tuple[Index, ...]
    limits: tuple[tuple[int, int], ...]
    """Pairs (a, b): a is at most b."""
    sums: tuple[Sum, ...]
    tied: tuple[Index, ...]
    """Sets of columns that limits and sums connect, with the groups they reach into."""


def compile_rules(columns: Sequence[Column], lower: float | Array, upper: float | Array) -> Rules:
    """Check the columns against one another and turn them into arrays.

    Raises:
        UsageError: Two columns of one name, a reference to none, or no value left to take.
    """
    place = {column.name: j for j, column in enumerate(columns)}
    if len(place) < len(columns):
        raise UsageError("two columns have the same name")
    d = len(columns)
    low = np.broadcast_to(np.asarray(lower, np.float64), (d,)).copy()
    high = np.broadcast_to(np.asarray(upper, np.float64), (d,)).copy()
    whole = np.zeros(d, bool)
    values: dict[int, Doubles] = {}
    groups: dict[str, list[int]] = {}
    limits: list[tuple[int, int]] = []
    sums: list[Sum] = []
    for j, column in enumerate(columns):
        binary = column.type == "boolean" or column.group is not None
        low[j] = max(low[j], _or(column.low, -np.inf), 0.0 if binary else -np.inf)
        high[j] = min(high[j], _or(column.high, np.inf), 1.0 if binary else np.inf)
        if binary or column.type == "integer" or (column.type == "category" and not column.values):
            whole[j], low[j], high[j] = True, np.ceil(low[j]), np.floor(high[j])
        if column.values:
            allowed = np.unique(np.asarray(column.values, np.float64))
            allowed = allowed[(allowed >= low[j]) & (allowed <= high[j])]
            values[j] = allowed[allowed == np.rint(allowed)] if whole[j] else allowed
        if low[j] > high[j] or (j in values and not values[j].size):
            raise UsageError(
                f"column '{column.name}' allows no value at all",
                hint="look at its low, high and values, and at the bounds of the model",
            )
        if column.group is not None:
            groups.setdefault(column.group, []).append(j)
        if column.at_most is not None:
            limits.append((j, _find(column.at_most, place, column.name)))
        if column.sum_of:
            parts = tuple(_find(name, place, column.name) for name in column.sum_of)
            sums.append(Sum(j, parts))
    return Rules(
        columns=tuple(columns),
        low=low,
        high=high,
        whole=whole,
        frozen=np.array([not column.mutable for column in columns], bool),
        up=np.array([column.direction == "up" for column in columns], bool),
        down=np.array([column.direction == "down" for column in columns], bool),
        values=values,
        groups=tuple(np.array(group) for group in groups.values()),
        limits=tuple(limits),
        sums=tuple(_parts_first(sums)),
        tied=_connect([*limits, *((s.total, *s.parts) for s in sums)], groups.values()),
    )


def cell_faults(rules: Rules, x: Array, origin: Array) -> Mask:
    """Say for each cell (n, d) whether it breaks a constraint of its own column.

    Bounds and values are compared as numbers of x's own dtype: the model sees no others. A missing
    value (NaN) is legal for as long as it stays missing.
    """
    bad = ~((x >= rules.low.astype(x.dtype)) & (x <= rules.high.astype(x.dtype)))
    bad[:, rules.whole] |= x[:, rules.whole] != np.rint(x[:, rules.whole])
    for j, allowed in rules.values.items():
        bad[:, j] |= ~np.isin(x[:, j], allowed.astype(x.dtype))
    bad |= rules.frozen & (x != origin)
    bad |= rules.up & (x < origin)
    bad |= rules.down & (x > origin)
    return np.where(np.isnan(origin), ~np.isnan(x), bad)


def relation_faults(
    rules: Rules, x: Array, among: Index | None = None
) -> Iterable[tuple[str, Mask]]:
    """Yield each relation (that touches columns `among`) as text, with the rows that break it."""
    inside = set(range(len(rules.columns)) if among is None else among.tolist())
    names = [column.name for column in rules.columns]
    for a, b in rules.limits:
        if a in inside:
            yield f"{names[a]} is at most {names[b]}", x[:, a] > x[:, b]
    for total, parts in rules.sums:
        if total in inside:
            text = f"{names[total]} is the sum of {' and '.join(names[p] for p in parts)}"
            yield text, np.abs(missing_from(x, total, parts)) > rounding(x, total, parts)
    for group in rules.groups:
        if group[0] in inside:
            hot = x[:, group] == 1
            good = (hot.sum(axis=1) == 1) & (hot | (x[:, group] == 0)).all(axis=1)
            yield f"exactly one of {rules.columns[group[0]].group} is 1", ~good


def missing_from(x: Array, total: int, parts: Sequence[int]) -> Doubles:
    """Return what the sum of the parts lacks of the total, per row (n,)."""
    return np.asarray(x[:, total] - x[:, list(parts)].sum(axis=1, dtype=np.float64), np.float64)


def rounding(x: Array, total: int, parts: Sequence[int]) -> Doubles:
    """Return how far a sum of numbers in x's dtype may be off, per row (n,)."""
    size = np.abs(x[:, [total, *parts]]).sum(axis=1, dtype=np.float64)
    return np.asarray(size * float(np.finfo(x.dtype).eps) * (len(parts) + 1))


def broken(rules: Rules, x: Array, among: Index | None = None) -> Mask:
    """Say for each row (n,) whether it breaks a relation (that touches columns `among`)."""
    bad = np.zeros(len(x), bool)
    for _, rows in relation_faults(rules, x, among):
        bad |= rows
    return bad


def holds(rules: Rules, x: Array, origin: Array) -> Mask:
    """Say for each row (n,) whether it obeys every constraint."""
    return ~(cell_faults(rules, x, origin).any(axis=1) | broken(rules, x))


def violations(rules: Rules, x: Array) -> tuple[str, ...]:
    """Describe each constraint that the data itself breaks, with the number of rows."""
    cells = cell_faults(rules, x, x).sum(axis=0).tolist()
    told = [
        f"column '{column.name}' is not {_describe(rules, j)} in {count} rows"
        for j, (column, count) in enumerate(zip(rules.columns, cells, strict=True))
        if count
    ]
    for text, rows in relation_faults(rules, x):
        if rows.any():
            told.append(f"'{text}' is untrue in {int(rows.sum())} rows")
    return tuple(told)


def _describe(rules: Rules, j: int) -> str:
    if j in rules.values:
        return f"one of its {rules.values[j].size} allowed values"
    kind = "a whole number" if rules.whole[j] else "a number"
    return f"{kind} from {rules.low[j]:g} to {rules.high[j]:g}"


def _or(value: float | None, otherwise: float) -> float:
    return otherwise if value is None else value


def _find(name: str, place: dict[str, int], of: str) -> int:
    if name in place:
        return place[name]
    near = difflib.get_close_matches(name, place, 1)
    hint = f"did you mean '{near[0]}'?" if near else ""
    raise UsageError(f"column '{of}' refers to '{name}', which is no column", hint=hint)


def _parts_first(sums: list[Sum]) -> list[Sum]:
    """Order sums so that one that is a part of another comes before it."""
    ordered: list[Sum] = []
    left = list(sums)
    while left:
        totals = {s.total for s in left}
        ready = [s for s in left if not totals & (set(s.parts) - {s.total})] or left
        ordered += ready
        left = [s for s in left if s not in ready]
    return ordered


def _connect(
    relations: list[tuple[int, ...]], groups: Iterable[Sequence[int]]
) -> tuple[Index, ...]:
    """Return the sets of columns that relations connect, each with the groups it reaches into."""
    sets = [set(relation) for relation in relations]
    for group in groups:
        if any(set(group) & one for one in sets):
            sets.append(set(group))
    merged: list[set[int]] = []
    for one in sets:
        touching = [other for other in merged if other & one]
        merged = [other for other in merged if not other & one]
        merged.append(one.union(*touching))
    return tuple(np.array(sorted(one)) for one in merged)
