"""Sequential tests: evidence that grows query by query, with a stated rate of false alarms.

Everything is the logarithm of an e-value: a running likelihood ratio whose mean under "nothing is
wrong" is at most 1. A process that is never restarted passes `bar` in at most one stream of `bar`
(Ville's inequality); one that restarts at 0 does so at most once in `bar` looks on average (Shin,
Ramdas and Rinaldo 2023, "E-detectors", arXiv 2203.03532). So a budget of false pages is a bar.
"""

from __future__ import annotations

import math
from typing import NamedTuple

WEEK = 7 * 86_400 * 1_000_000
"""In microseconds."""


class Bet(NamedTuple):
    """What one yes or no adds to the evidence, in nats."""

    yes: float
    no: float


def bet(harmless: float, attack: float) -> Bet:
    """Return what an observation is worth that harmless clients show at most so often.

    Args:
        harmless: Probability of a yes that no harmless client exceeds, in (0, 1).
        attack: Probability of a yes in an attack, above `harmless`.
    """
    return Bet(math.log(attack / harmless), math.log((1 - attack) / (1 - harmless)))


def bar(looks: int, span: int, budget: float, tests: int, floor: float) -> float:
    """Return the evidence, in nats, that one test needs so that all keep to the budget.

    Args:
        looks: Inputs or streams tested on this model so far.
        span: Microseconds in which they came; less than a week counts as one.
        budget: False pages allowed in a week.
        tests: Tests that share it.
        floor: Fewest looks a week to reckon with, so that a young model is not jumpy.
    """
    weekly = looks / max(1.0, span / WEEK)
    return math.log(max(floor, weekly) * max(1, tests) / budget)


def upper(events: int, n: int) -> float:
    """Return the exact 95 % upper bound (one-sided, Clopper-Pearson) of a rate seen events/n."""
    if n <= 0:
        return 1.0
    low, high = events / n, 1.0
    for _ in range(60):
        p = (low + high) / 2
        low, high = (p, high) if _at_most(events, n, p) > 0.05 else (low, p)
    return high


def _at_most(k: int, n: int, p: float) -> float:
    """Return P(X <= k) of a binomial."""
    if p >= 1:
        return float(k >= n)
    if p <= 0:
        return 1.0
    term = n * math.log1p(-p)
    total = math.exp(term)
    for i in range(k):
        term += math.log((n - i) / (i + 1)) + math.log(p) - math.log1p(-p)
        total += math.exp(term)
    return min(1.0, total)
