"""Which inputs of a large request are looked at one by one: some of them, nobody knows which."""

from __future__ import annotations

import hashlib
import random
from typing import TYPE_CHECKING

from msgspec.structs import replace

from casemate.records.event import Measures

if TYPE_CHECKING:
    from collections.abc import Sequence

    from casemate.guard.keys import Keys
    from casemate.records.exchange import Exchange

MOST = 256
"""Inputs of one request that are measured and have an event each. An input costs about 0.3 ms, and
everybody else waits meanwhile: more of them would let one small body stop the guard."""


class Sample:
    """Chooses inputs over the whole request; without the key it cannot be foreseen which."""

    def __init__(self, keys: Keys) -> None:
        self._key = keys.derive("sample")

    def of(self, rows: int, request: str) -> Sequence[int]:
        """Return the places of the chosen inputs, in order: all, or one of each of MOST parts."""
        if rows <= MOST:
            return range(rows)
        seed = hashlib.blake2b(request.encode(), key=self._key, digest_size=16).digest()
        draw = random.Random(seed)  # noqa: S311 - seeded with a secret, and no secret itself
        ends = [part * rows // MOST for part in range(MOST + 1)]
        return [draw.randrange(ends[part], ends[part + 1]) for part in range(MOST)]


def places(rows: int) -> int:
    """Return how many events a request of so many inputs has: the rest of a large one share one."""
    return rows if rows <= MOST else MOST + 1


def part(exchange: Exchange, chosen: Sequence[int]) -> Exchange:
    """Return an exchange with the chosen inputs, and their answers, alone."""
    if len(chosen) == exchange.rows:
        return exchange
    rows = list(chosen)
    x, scores, labels = (
        None if one is None else one[rows] for one in (exchange.x, exchange.scores, exchange.labels)
    )
    texts, names = exchange.texts, exchange.label_names
    return replace(
        exchange,
        rows=len(rows),
        x=x,
        texts=tuple(texts[row] for row in rows) if texts else (),
        scores=scores,
        labels=labels,
        label_names=tuple(names[row] for row in rows) if names else (),
    )


def spread(measured: Sequence[Measures], chosen: Sequence[int], rows: int) -> Sequence[Measures]:
    """Return one Measures per input, of which only the chosen were measured."""
    if len(chosen) == rows:
        return measured
    full = [Measures()] * rows
    for row, one in zip(chosen, measured, strict=True):
        full[row] = one
    return full
