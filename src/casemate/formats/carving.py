"""Pickles that do not begin where their file begins.

Something reads them after a seek, or after cutting them out. In bytes that no reader can account
for, every place where a pickle could begin is tried; only what would import and call counts, since
opcodes are single bytes and chance makes short programs of anything.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from casemate.errors import LimitExceeded
from casemate.formats.pickle import trace
from casemate.formats.pickle_trace import Limits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from casemate.formats.budget import Budget
    from casemate.formats.pickle_trace import PickleTrace
    from casemate.formats.source import Source

_STARTS = tuple(
    re.compile(pattern)
    for pattern in (
        rb"\x80[\x02-\x05](?=[(}\])NIJKMLFGSTUVBCXci\x82-\x84\x88-\x8f\x95\x96])",
        rb"c[A-Za-z_][\w.]{0,200}\r?\n[A-Za-z_][\w.]{0,200}\r?\n",
        rb"\([ci][A-Za-z_][\w.]{0,200}\r?\n[A-Za-z_][\w.]{0,200}\r?\n",
        rb"\x8c[\x01-\x7f][A-Za-z_][\w.]{0,126}\x94?\x8c[\x01-\x7f][A-Za-z_][\w.]{0,126}\x94?\x93",
    )
)
"""A protocol and an opcode that needs no stack; GLOBAL or INST with two names; STACK_GLOBAL with
two short strings right before it. Apart, since each then begins with a byte that can be skipped to.
"""
_NAME = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")
OVERLAP = 512
TRIES = 20_000
LIMITS = Limits(stack=100_000, marks=10_000, memo=100_000, symbols=10_000, uses=10_000)


def plausible(traced: PickleTrace) -> bool:
    """Say whether a program found by chance or by search does what a pickle does.

    It imports by names that can be imported and uses what it imported, or it imports and ends.
    """
    names = traced.names
    if not names or not _NAME.fullmatch(names[0][0]) or not _NAME.fullmatch(names[0][1]):
        return False
    return traced.complete or any(use.kind != "import" for use in traced.uses)


def carve(source: Source, budget: Budget, start: int = 1) -> Iterator[PickleTrace]:
    """Yield the programs that begin at `start` or later, none inside another.

    Raises:
        LimitExceeded: More beginnings than can be tried.
    """
    tries = 0
    at = start
    while at < source.size:
        budget.spend_time()
        window = source.read(at, (1 << 20) + OVERLAP)
        skip = at
        for begin in sorted(m.start() for start in _STARTS for m in start.finditer(window)):
            place = at + begin
            if place < skip or begin >= 1 << 20:
                continue
            tries += 1
            budget.spend_time()
            traced = trace(source, place, LIMITS)
            if plausible(traced):
                yield traced
                skip = max(traced.end, place + 1)
            if tries >= TRIES:
                raise LimitExceeded(
                    f"the search for pickles stopped after {TRIES:,} possible beginnings",
                    offset=place,
                )
        at = max(at + (1 << 20), skip)
