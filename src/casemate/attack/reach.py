"""Move a batch of rows to the nearest ones that declared columns allow.

Used by `casemate.attack.domain`. Cells first, then one-hot groups, then sums and limits: what a
move upset is put right, and what cannot be put right is taken back towards the origin.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from casemate.attack.columns import broken, cell_faults, holds, missing_from, rounding

if TYPE_CHECKING:
    from casemate.attack.columns import Index, Rules
    from casemate.targets.capabilities import Array

SHARES = (1.0, 0.5, 0.25, 0.125)
"""Shares of a move that are tried, largest first, where the whole of it breaks a relation."""
ROUNDS = 4
"""Rounds of pushing values along sums and limits before a share is given up."""


def project(rules: Rules, x: Array, origin: Array) -> Array:
    """Return rows (n, d) near `x` that obey every constraint and can be reached from `origin`.

    A row whose origin breaks a constraint itself comes back as the origin.
    """
    low, high = reach(rules, origin)
    aim = np.where(np.isnan(x), origin, x)
    out = _cells(rules, aim, origin, low, high)
    for among in rules.tied:
        _settle(rules, out, aim, origin, low, high, among)
    sound = holds(rules, origin, origin) & holds(rules, out, origin)
    return np.asarray(np.where(sound[:, None], out, origin), dtype=x.dtype)


def reach(rules: Rules, origin: Array) -> tuple[Array, Array]:
    """Return the smallest and the largest value (n, d) of each cell, in origin's dtype."""
    low, high = inward(rules.low, origin.dtype, 1), inward(rules.high, origin.dtype, -1)
    for j in rules.values:
        low[j], high[j] = rules.low[j], rules.high[j]
    fixed = rules.frozen | np.isnan(origin)
    lowest = np.where(rules.up, np.fmax(low, origin), low)
    highest = np.where(rules.down, np.fmin(high, origin), high)
    return np.where(fixed, origin, lowest), np.where(fixed, origin, highest)


def inward(bound: float | Array, dtype: np.dtype[np.floating], side: int) -> Array:
    """Return a lower (side 1) or upper (side -1) bound in `dtype`, rounded into the box."""
    exact = np.asarray(bound, np.float64)
    near = exact.astype(dtype)
    back = near.astype(np.float64)
    outside = back < exact if side > 0 else back > exact
    return np.where(outside, np.nextafter(near, np.asarray(side * np.inf, dtype)), near)


def place(rules: Rules, j: int, value: Array, low: Array, high: Array) -> Array:
    """Return the values (n,) that column `j` allows nearest to `value` from `low` to `high`."""
    if j not in rules.values:
        inside = np.clip(value, low, high)
        return np.asarray(np.rint(inside) if rules.whole[j] else inside)
    allowed = rules.values[j].astype(value.dtype)
    first = np.searchsorted(allowed, low, "left")
    last = np.searchsorted(allowed, high, "right") - 1
    above = np.searchsorted(allowed, value).clip(0, allowed.size - 1)
    below = (above - 1).clip(0)
    nearest = np.where(value - allowed[below] <= allowed[above] - value, below, above)
    pick = np.clip(nearest, first, last).clip(0, allowed.size - 1)
    return np.where(first <= last, allowed[pick], low)


def _cells(rules: Rules, aim: Array, origin: Array, low: Array, high: Array) -> Array:
    """Bring every cell and every one-hot group into its own reach."""
    out = np.asarray(np.clip(aim, low, high))
    out[:, rules.whole] = np.rint(out[:, rules.whole])
    for j in rules.values:
        out[:, j] = place(rules, j, aim[:, j], low[:, j], high[:, j])
    # A datum on a bound may have been rounded an ulp beyond it when it was read; it may stay.
    out = np.where((aim == origin) & ~cell_faults(rules, origin, origin), origin, out)
    for group in rules.groups:
        out[:, group] = _one_hot(aim[:, group], low[:, group], high[:, group], origin[:, group])
    return out


def _one_hot(aim: Array, low: Array, high: Array, origin: Array) -> Array:
    """Set the reachable member with the largest aim to 1, the others to 0; ties stay at home."""
    kept = low > 0
    reachable = (high >= 1) & (kept.sum(axis=1, keepdims=True) - kept == 0)
    score = np.where(reachable, aim, -np.inf)
    at_home = (origin == 1) & (score == score.max(axis=1, keepdims=True))
    pick = np.where(at_home.any(axis=1), at_home.argmax(axis=1), score.argmax(axis=1))
    hot = np.zeros_like(origin)
    hot[np.arange(len(hot)), pick] = 1
    return np.where(reachable.any(axis=1)[:, None], hot, origin)


def _settle(
    rules: Rules, out: Array, aim: Array, origin: Array, low: Array, high: Array, among: Index
) -> None:
    """Make the tied columns `among` of `out` obey their relations, in place."""
    rows = np.flatnonzero(broken(rules, out, among))
    for share in SHARES:
        if not rows.size:
            return
        start, least, most = origin[rows], low[rows], high[rows]
        part = start + (np.clip(aim[rows], least, most) - start) * np.asarray(share, out.dtype)
        tried = _cells(rules, np.where(np.isnan(start), start, part), start, least, most)
        _balance(rules, tried, start, least, most, among)
        out[np.ix_(rows, among)] = tried[:, among]
        rows = rows[broken(rules, tried, among)]
    out[np.ix_(rows, among)] = origin[np.ix_(rows, among)]


def _balance(rules: Rules, x: Array, origin: Array, low: Array, high: Array, among: Index) -> None:
    """Push values along sums and limits until they hold or a few rounds have passed, in place."""
    inside = set(among.tolist())

    def put(j: int, value: Array) -> None:
        x[:, j] = place(rules, j, value.astype(x.dtype), low[:, j], high[:, j])

    for _ in range(ROUNDS):
        for total, parts in rules.sums:
            if total not in inside:
                continue
            # The total follows its parts, unless it is the total alone that was moved.
            follows = (x[:, list(parts)] != origin[:, list(parts)]).any(axis=1)
            put(total, x[:, total] - np.where(follows, missing_from(x, total, parts), 0))
            for undo in (True, False):  # first take back what moved, then move what is free
                for part in parts:
                    lacks = missing_from(x, total, parts)
                    lacks[np.abs(lacks) <= rounding(x, total, parts)] = 0
                    value = x[:, part] + lacks
                    if undo:
                        ends = np.stack([x[:, part], origin[:, part]])
                        value = np.clip(value, ends.min(axis=0), ends.max(axis=0))
                    put(part, np.where(lacks == 0, x[:, part], value))
            put(total, x[:, total] - missing_from(x, total, parts))
        for a, b in rules.limits:
            if a in inside:
                rose = x[:, a] > origin[:, a]
                put(a, np.where(rose, np.minimum(x[:, a], x[:, b]), x[:, a]))
                put(b, np.maximum(x[:, a], x[:, b]))
                put(a, np.minimum(x[:, a], x[:, b]))
        if not broken(rules, x, among).any():
            return
