"""Files of a log to batches of pairs: the reading half of an import, fit for its own process."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from casemate.catalog import loader
from casemate.catalog.entries import LogFormat
from casemate.guard.logs import files
from casemate.guard.logs.pairs import Pairs
from casemate.guard.logs.reading import Lines
from casemate.guard.logs.tally import Count, Tally

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from casemate.guard.logs.pairs import Pair
    from casemate.guard.logs.paths import Place

BATCH = 256
BATCH_BYTES = 4 * 1024 * 1024


class File(NamedTuple):
    """One file of the log, and how much of it is known already."""

    path: Path
    name: str
    """What it is called in places."""
    number: int = 0
    """Lines known already."""
    end: int = 0
    """Bytes known already, decompressed."""
    modified: int = 0
    """When it was last written, in microseconds since the epoch; stands in for a missing time."""


class Batch(NamedTuple):
    """Some pairs, and how far the reading has come."""

    pairs: Sequence[Pair]
    taken: int
    """Bytes of the files read since the last batch."""


class End(NamedTuple):
    """What is known once all is read."""

    counts: Sequence[Count]
    reached: Sequence[tuple[int, int]]
    """For each file the last whole line and the bytes up to its end; (0, 0) for tables."""
    records: int
    """Records read."""
    share: float
    """Smallest share of the traffic that a record says the log holds."""


def stream(log: Sequence[File], kind: str, fields: Mapping[str, Place]) -> Iterator[Batch | End]:
    """Yield the pairs of a log in batches, in order of time as far as may be; an End at the end.

    Args:
        log: Its files.
        kind: Id of the format in the catalog's `logs`.
        fields: The user's mapping.

    Raises:
        UsageError: There is no such format.
    """
    tally = Tally()
    reader = Lines(loader.load(loader.entry("logs", kind, LogFormat)), fields, tally)
    pairs = Pairs(tally, start=log[0].modified if log else 0)
    held: list[Pair] = []
    size = taken = records = 0
    share = 1.0
    reached: list[tuple[int, int]] = []

    def read(count: int) -> None:
        nonlocal taken
        taken += count

    for file in log:
        last = (file.number, file.end)
        rows = files.records(
            file.path, file.name, tally, number=file.number, end=file.end, read=read
        )
        for row in rows:
            records += 1
            logged = reader.read(row, file.name)
            if logged is not None or not row.open:
                # The newline of an open line is still to come and counts when it does.
                last = (row.number - row.open, row.end)
            if logged is None:
                continue
            share = min(share, logged.share)
            for pair in pairs.feed(logged, f"{file.name}:{row.number}", row.body):
                held.append(pair)
                size += weight(pair)
            if len(held) >= BATCH or size >= BATCH_BYTES or taken >= 16 * BATCH_BYTES:
                yield Batch(held, taken)
                held, size, taken = [], 0, 0
        reached.append(last if last[1] else (0, 0))
    for pair in pairs.rest():
        held.append(pair)
        size += weight(pair)
        if len(held) >= BATCH or size >= BATCH_BYTES:
            yield Batch(held, taken)
            held, size, taken = [], 0, 0
    yield Batch(held, taken)
    yield End(tally.counts, reached, records, share)


def weight(pair: Pair) -> int:
    """Return the bytes of a pair's bodies."""
    call, reply = pair.logged.call, pair.logged.reply
    return (len(call.body) if call else 0) + (len(reply.body) if reply else 0)
