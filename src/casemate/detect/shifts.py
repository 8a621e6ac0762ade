"""How far inputs differ from what is usual: of one principal, or of everybody.

Margins, norms and distances are counted in tenths of the usual ones, labels as they are.
`evidence` is exact for independent inputs (a mixture over all other distributions, Krichevsky and
Trofimov 1981); `index` says how large a shift is, whatever the number of inputs.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from casemate.detect.models import Place

Counts = dict[int, int]


def tally(places: Iterable[Place]) -> tuple[Counts, Counts, Counts, Counts]:
    """Count margins, norms, labels and distances; what is not known is left out."""
    counted: tuple[Counts, Counts, Counts, Counts] = ({}, {}, {}, {})
    for place in places:
        for counts, value in zip(counted, place, strict=True):
            if value >= 0:
                counts[value] = counts.get(value, 0) + 1
    return counted


def evidence(seen: Mapping[int, int], usual: Mapping[int, float]) -> float:
    """Return the log e-value, in nats, against `seen` being drawn from `usual`.

    Args:
        seen: Counts by value.
        usual: Probabilities by value; a value it lacks counts as rare.
    """
    n = sum(seen.values())
    if not n:
        return 0.0
    values = len(usual.keys() | seen.keys())
    total = math.lgamma(values / 2) - math.lgamma(n + values / 2)
    for value, count in seen.items():
        total += math.lgamma(count + 0.5) - _HALF
        total -= count * math.log(max(usual.get(value, 0.0), _RARE))
    return total


def index(seen: Mapping[int, int], usual: Mapping[int, float]) -> float:
    """Return the population stability index: 0 for no shift, above 0.25 it is called large."""
    n = sum(seen.values())
    if not n:
        return 0.0
    total = 0.0
    for value in usual.keys() | seen.keys():
        now = max((seen.get(value, 0) + 0.5) / (n + 1), _RARE)
        then = max(usual.get(value, 0.0), _RARE)
        total += (now - then) * math.log(now / then)
    return total


def shares(counts: Mapping[int, int]) -> dict[int, float]:
    """Return counts as probabilities, each value a little likelier than it was seen."""
    n, values = sum(counts.values()), len(counts)
    return {value: (count + 0.5) / (n + 0.5 * values) for value, count in counts.items()}


def kinds(counts: Mapping[int, int]) -> float:
    """Return how many equally frequent values would be as mixed: the exponential of the entropy."""
    n = sum(counts.values())
    if not n:
        return 0.0
    return math.exp(-sum(c / n * math.log(c / n) for c in counts.values() if c))


TENTHS: dict[int, float] = dict.fromkeys(range(10), 0.1)
_HALF = math.lgamma(0.5)
_RARE = 1e-3
