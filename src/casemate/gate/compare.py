"""Whether a share fell further than chance explains: exact tests and score intervals.

Used by the judge on "still right under attack" per input, before and now. A regression is claimed
by an exact test, since a handful of changed inputs is the common case and the usual normal
approximation then cries wolf.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

Z = 1.6448536269514722
"""Standard normal quantile of a one-sided 95 % interval."""


class Change(NamedTuple):
    """How a share moved between two measurements."""

    before: float
    now: float
    least: float
    """Lower end of the one-sided 95 % interval of the fall, `before - now`."""
    p: float
    """One-sided exact p-value of a fall this large when nothing changed."""
    n: int
    """Inputs of the smaller side."""
    paired: bool

    @property
    def drop(self) -> float:
        """The fall; negative when the share rose."""
        return self.before - self.now


def paired(before: Sequence[bool], now: Sequence[bool]) -> Change:
    """Compare two measurements of the same inputs, in the same order, at least one of them.

    The p-value is McNemar's exact test: of the inputs that changed, were more lost than chance
    gives. The interval is method 10 of Newcombe (1998), Statistics in Medicine 17, 2635-2650.
    """
    n = len(before)
    both = sum(b and a for b, a in zip(before, now, strict=True))
    lost = sum(before) - both
    gained = sum(now) - both
    neither = n - both - lost - gained
    p_before, p_now = (both + lost) / n, (both + gained) / n
    low, _ = wilson(both + lost, n)
    _, high = wilson(both + gained, n)
    phi = _correlation(both, lost, gained, neither)
    below, above = p_before - low, high - p_now
    spread = math.sqrt(max(below**2 - 2 * phi * below * above + above**2, 0.0))
    return Change(
        before=p_before,
        now=p_now,
        least=p_before - p_now - spread,
        p=_binomial_tail(lost, lost + gained),
        n=n,
        paired=True,
    )


def unpaired(before: int, n_before: int, now: int, n_now: int) -> Change:
    """Compare two measurements of different inputs: `before` of `n_before` with `now` of `n_now`.

    The p-value is Fisher's exact test. The interval is method 10 of Newcombe (1998), Statistics
    in Medicine 17, 873-890.
    """
    p_before, p_now = before / n_before, now / n_now
    low, _ = wilson(before, n_before)
    _, high = wilson(now, n_now)
    return Change(
        before=p_before,
        now=p_now,
        least=p_before - p_now - math.hypot(p_before - low, high - p_now),
        p=_hypergeometric_tail(before, n_before, now, n_now),
        n=min(n_before, n_now),
        paired=False,
    )


def wilson(held: int, n: int, z: float = Z) -> tuple[float, float]:
    """Return the score interval of a share (Wilson 1927)."""
    share = held / n
    centre = share + z * z / (2 * n)
    spread = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    return max((centre - spread) / scale, 0.0), min((centre + spread) / scale, 1.0)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for having looked several times (Holm 1979), in the given order."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    adjusted = [0.0] * len(p_values)
    running = 0.0
    for rank, position in enumerate(order):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[position]))
        adjusted[position] = running
    return adjusted


def _correlation(both: int, lost: int, gained: int, neither: int) -> float:
    product = (both + lost) * (gained + neither) * (both + gained) * (lost + neither)
    if product == 0:
        return 0.0
    cross = both * neither - lost * gained
    n = both + lost + gained + neither
    corrected = max(cross - n / 2, 0.0) if cross > 0 else float(cross)
    return corrected / math.sqrt(product)


def _binomial_tail(k: int, n: int) -> float:
    """Chance of `k` or more heads in `n` fair throws."""
    terms = (math.exp(_log_choose(n, i) - n * math.log(2)) for i in range(k, n + 1))
    return min(1.0, math.fsum(terms))


def _hypergeometric_tail(before: int, n_before: int, now: int, n_now: int) -> float:
    """Chance that, of all that held, as few as `now` or fewer fall on the later side."""
    held = before + now
    total = n_before + n_now
    first = max(0, held - n_before)
    whole = _log_choose(total, held)
    terms = (
        math.exp(_log_choose(n_now, i) + _log_choose(n_before, held - i) - whole)
        for i in range(first, now + 1)
    )
    return min(1.0, math.fsum(terms))


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
