"""Import as a job: logs of other software in, events on record, what is missing said.

The same guard and the same judges as before live traffic, fed from files: nothing in a log is ever
executed, and no rule acts on it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

from casemate.errors import MissingExtra, UsageError
from casemate.records.event import Event
from casemate.store.keys import key_folder
from casemate.workflows.imported import Memory
from casemate.workflows.job import Job

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from casemate.detect.inline.judge import InlineJudge
    from casemate.guard.keys import Keys
    from casemate.guard.logs.paths import Place
    from casemate.guard.logs.stream import File
    from casemate.guard.logs.tally import Count, Tally
    from casemate.guard.policy import GuardTable
    from casemate.store.telemetry.sink import EventSink
    from casemate.store.workspace import Workspace
    from casemate.workflows.config import Loaded
    from casemate.workflows.read_ahead import Whole, Work

    Progress = Callable[[str, int, int], None]

FLUSH = 8192
"""Events between two waits for the disk."""
_MOST_NAMES = 1_000_000
_ON_RECORD = ("a request that cannot be read", "an answer without its request")
"""What is on record as an event of its own, and needs no gap."""


class Imported(NamedTuple):
    """What an import leaves."""

    run: str
    """Id of its run."""
    writer: str
    files: int
    known: int
    """Files, or parts of them, that were in the telemetry already."""
    records: int
    events: int
    unread: int
    """Requests on record whose input could not be read."""
    unknown: int
    """Events nobody can be named for."""
    principals: int
    models: tuple[str, ...]
    began: int | None
    ended: int | None
    counts: tuple[Count, ...]
    """What is amiss, by reason."""
    exit_code: int
    """0, or 3 where traffic is missing or could not be read."""


def import_logs(
    paths: Sequence[Path],
    kind: str,
    loaded: Loaded,
    workspace: Workspace,
    *,
    fields: Mapping[str, Place] | None = None,
    policy: GuardTable | None = None,
    progress: Progress | None = None,
) -> Imported:
    """Make events of logs.

    Args:
        paths: Files and folders.
        kind: Id of the format in the catalog's `logs`.
        loaded: The configuration.
        workspace: Remembers what was imported; its telemetry takes the events.
        fields: The user's mapping.
        policy: `[guard]` as the command line changed it; by default the configuration's.
        progress: Called with (what, done, total).

    Raises:
        UsageError: A path that is not there, an unknown format, a policy that cannot be.
        MissingExtra: `casemate[guard]` is not installed.
        StoreError: The events cannot be written.
    """
    try:
        from casemate.guard import keys
        from casemate.guard.logs import files
        from casemate.guard.logs.tally import Tally
        from casemate.store.telemetry.opening import new_writer, open_query, open_sink
        from casemate.workflows.read_ahead import Work
    except ModuleNotFoundError as error:
        raise MissingExtra("guard", for_="an import") from error

    table = policy or loaded.config.guard
    place = table.telemetry or str(workspace.folder / "telemetry")
    found = files.find(paths)
    if not found:
        raise UsageError("there is no log to import")
    memory = Memory(workspace, place, open_query(place))
    left = _left(found, memory)
    log, known = left.log, left.known
    written = memory.sources(left.writers)
    tally = Tally()
    arguments: dict[str, str | int | float | bool | None] = {
        "paths": " ".join(map(str, paths)),
        "as": kind,
        "map": " ".join(sorted(fields or {})),
    }
    with Job("import", loaded, workspace, arguments=arguments) as job:
        if not log:
            job.note(
                "all of it had been imported before; to read it with another --as or --map, "
                "import it into a store of its own (--store)"
            )
            return Imported(
                job.run.id, "", len(found), known, 0, 0, 0, 0, 0, (), None, None, (),
                0 if left.complete else 3,
            )  # fmt: skip
        writer = new_writer()
        held = keys.read(
            os.environ, key_folder(os.environ) / "guard.key", workspace=workspace.folder
        )
        judge = _judge(table, loaded, held)
        size = sum(file.path.stat().st_size for file in log)
        work = Work(
            log, kind, fields or {}, table, held, writer, loaded.root, dict(os.environ),
            frozenset(written), size,
        )  # fmt: skip
        sink = open_sink(place, writer)
        try:
            for file in log:
                memory.begin(file, writer)
            kept = _Keeping(sink)
            end = _replay(work, judge, tally, kept, _drawn(progress, size))
            counts = (*end.counts, *tally.counts)
            kept.miss(counts, end.share)
            kept.flush()
        finally:
            sink.close()
        complete = not any(count.lost for count in counts) and end.share >= 1
        for file, reached in zip(log, end.reached, strict=True):
            memory.finish(file, writer, reached, complete=complete)
        _seal(place, loaded, job)
        for count in counts:
            job.note(f"{count.reason}: {count.times}, first at {count.first}")
        complete = complete and left.complete and (kept.events > 0 or known > 0)
        return Imported(
            run=job.run.id,
            writer=writer,
            files=len(found),
            known=known,
            records=end.records,
            events=kept.events,
            unread=end.unread,
            unknown=end.unknown,
            principals=len(kept.principals),
            models=tuple(sorted(kept.models)),
            began=kept.began,
            ended=kept.ended,
            counts=counts,
            exit_code=0 if complete else 3,
        )


class _Keeping:
    """Appends events, waits for the disk now and then, and counts what goes by."""

    def __init__(self, sink: EventSink) -> None:
        self._sink = sink
        self._since = 0
        self.events = self._next = 0
        self.principals: set[str] = set()
        self.models: set[str] = set()
        self.began: int | None = None
        self.ended: int | None = None

    def __call__(self, events: Sequence[Event]) -> None:
        """Keep events."""
        if not events:
            return
        self._sink.append(events)
        for event in events:
            self.events += 1
            if len(self.principals) < _MOST_NAMES:
                self.principals.add(event.principal)
                self.models.add(event.model)
            if self.began is None or event.at < self.began:
                self.began = event.at
            if self.ended is None or event.at > self.ended:
                self.ended = event.at
        self._next = events[-1].sequence + 1
        self._since += len(events)
        if self._since >= FLUSH:
            self.flush()

    def miss(self, counts: Sequence[Count], share: float) -> None:
        """Put on record what is missing, as gaps over the time of the log."""
        if self.began is None or self.ended is None:
            return
        missing = [
            (count.times, f"{count.reason}: {_places(count)}")
            for count in counts
            if count.lost and not count.reason.startswith(_ON_RECORD)
        ]
        if 0 < share < 1:
            lost = round(self.events / share) - self.events
            missing.append((lost, f"the log says it holds {share:.1%} of the traffic"))
        gaps = [
            Event(
                writer=self._sink.writer, sequence=self._next + i, at=self.began, kind="gap",
                request=str(self._next + i), until=self.ended, lost=lost, note=why,
            )
            for i, (lost, why) in enumerate(missing)
        ]  # fmt: skip
        if gaps:
            self._sink.append(gaps)

    def flush(self) -> None:
        """Wait until everything is durable."""
        self._sink.flush()
        self._since = 0


class _Left(NamedTuple):
    """What is left to import."""

    log: list[File]
    known: int
    """Files that were imported before, wholly or in part."""
    writers: list[str]
    """Writers of events of these files that must not be made again."""
    complete: bool
    """Whether all that was imported before could be read."""


def _left(found: Sequence[Path], memory: Memory) -> _Left:
    from casemate.guard.logs.stream import File

    log: list[File] = []
    writers: list[str] = []
    known = 0
    complete = True
    for path in found:
        part = memory.known(path)
        file = File(path, path.as_posix(), modified=path.stat().st_mtime_ns // 1000)
        if part is not None:
            known += 1
            complete = complete and part.complete
            if not memory.grown(path, part):
                continue
            if part.lines:
                file = file._replace(number=part.lines, end=part.size)
            else:
                writers.append(part.writer)
        writers += memory.unfinished(path)
        log.append(file)
    return _Left(log, known, writers, complete)


def _judge(table: GuardTable, loaded: Loaded, held: Keys) -> InlineJudge:
    from casemate.detect.inline.contract import read_contract
    from casemate.detect.inline.judge import InlineJudge

    contract = None if table.contract is None else read_contract(loaded.root / table.contract)
    return InlineJudge(held.derive("fingerprints"), contract=contract)


def _replay(
    work: Work,
    judge: InlineJudge,
    tally: Tally,
    kept: _Keeping,
    draw: Callable[[int], None],
) -> Whole:
    from casemate.guard.logs.replay import judged
    from casemate.workflows.read_ahead import Whole, read_ahead

    for batch in read_ahead(work):
        if isinstance(batch, Whole):
            return batch
        kept([event for made in batch.made for event in judged(judge, made, tally)])
        draw(batch.taken)
    raise AssertionError("a log without an end")


def _places(count: Count) -> str:
    return count.first if count.times == 1 else f"{count.first} to {count.last}"


def _seal(place: str, loaded: Loaded, job: Job) -> None:
    from pathlib import Path

    from casemate.errors import CasemateError
    from casemate.store.telemetry.keys import key_path, signing_key
    from casemate.store.telemetry.seal import seal

    folder = Path(place)
    if not folder.is_dir():
        return
    named = loaded.config.guard.witness
    try:
        seal(
            folder,
            signing_key(key_path(os.environ), folder),
            witness=loaded.root / named if named else None,
        )
    except CasemateError as error:
        job.note(f"the events are kept but not sealed: {error}")


def _drawn(progress: Progress | None, size: int) -> Callable[[int], None]:
    done = 0

    def draw(taken: int) -> None:
        nonlocal done
        done += taken
        if progress is not None:
            progress("import: kB", done // 1000, max(size // 1000, 1))

    return draw


def as_json(found: Imported) -> dict[str, Any]:
    """Return what an import leaves, for JSON."""
    return {**found._asdict(), "counts": [count._asdict() for count in found.counts]}
