"""Reading a large log in a process of its own, so that judging it has a core to itself."""

from __future__ import annotations

import multiprocessing
import queue
from typing import TYPE_CHECKING, Any, NamedTuple

from casemate.errors import CasemateError, StoreError
from casemate.guard.logs.replay import Replay
from casemate.guard.logs.stream import End, stream
from casemate.guard.logs.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from casemate.guard.keys import Keys
    from casemate.guard.logs.paths import Place
    from casemate.guard.logs.replay import Made
    from casemate.guard.logs.stream import File
    from casemate.guard.logs.tally import Count
    from casemate.guard.policy import GuardTable

LARGE = 32 * 1024 * 1024
"""Bytes from which a second process is worth its start."""
_AHEAD = 8


class Work(NamedTuple):
    """What the reading needs to know."""

    log: Sequence[File]
    kind: str
    fields: Mapping[str, Place]
    table: GuardTable
    keys: Keys
    writer: str
    root: Path
    secrets: Mapping[str, str]
    written: frozenset[str]
    """Places in the log whose events are on record already."""
    size: int
    """Bytes of the files."""


class Some(NamedTuple):
    """Events to be judged, and how many bytes of the files they took."""

    made: Sequence[Made]
    taken: int


class Whole(NamedTuple):
    """What is known once all is read."""

    counts: Sequence[Count]
    reached: Sequence[tuple[int, int]]
    records: int
    share: float
    unknown: int
    unread: int


def read_ahead(work: Work) -> Iterator[Some | Whole]:
    """Yield the events of a log, a Whole at the end; large ones are read by another process.

    Raises:
        UsageError: An unknown format, or a policy that cannot be.
        StoreError: The other process came to an end before the log did.
    """
    if work.size < LARGE:
        yield from _read(work)
        return
    context = multiprocessing.get_context("spawn")
    found: Any = context.Queue(_AHEAD)
    process = context.Process(target=_send, args=(found, work), daemon=True)
    process.start()
    try:
        while True:
            batch = _next(found, process)
            if isinstance(batch, CasemateError):
                raise batch
            yield batch
            if isinstance(batch, Whole):
                return
    finally:
        process.kill()
        process.join()
        found.close()


def _read(work: Work) -> Iterator[Some | Whole]:
    tally = Tally()
    replay = Replay(work.table, work.keys, work.writer, tally, root=work.root, secrets=work.secrets)
    for batch in stream(work.log, work.kind, work.fields):
        if isinstance(batch, End):
            yield Whole(
                (*batch.counts, *tally.counts), batch.reached, batch.records, batch.share,
                replay.unknown, replay.unread,
            )  # fmt: skip
            return
        pairs = [one for one in batch.pairs if one.source not in work.written]
        yield Some([replay.feed(one) for one in pairs], batch.taken)


def _send(found: Any, work: Work) -> None:
    try:
        for batch in _read(work):
            found.put(batch)
    except CasemateError as error:
        found.put(error)
    except KeyboardInterrupt:  # the parent hears it too, and says so
        pass


def _next(found: Any, process: Any) -> Any:
    while True:
        try:
            return found.get(timeout=1.0)
        except queue.Empty:
            if not process.is_alive() and found.empty():
                raise StoreError("the process that reads the log has ended early") from None
