"""Hunt as a job: the watch over events of the past, or over events as they come.

The same rules as near line, without pages and orders: it looks, says, and puts it on record.
"""

from __future__ import annotations

import itertools
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from casemate.errors import FormatError, MissingExtra, UsageError
from casemate.records.duration import seconds
from casemate.records.severity import Severity
from casemate.workflows.job import Job

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from casemate.detect.watch import Watch
    from casemate.records.detection import Detection
    from casemate.store.telemetry.sink import EventQuery
    from casemate.store.workspace import Workspace
    from casemate.workflows.config import Loaded

    Progress = Callable[[str, int, int], None]

SLICE = 4096
BEAT = 1.0
"""Seconds between two looks for new events."""
_MOST_FIRSTS = 100
"""Detections whose beginning is looked up."""
_WORST = (Severity.CRITICAL, Severity.IMPORTANT, Severity.MODERATE, Severity.LOW)


class First(NamedTuple):
    """The first event a detection rests on."""

    id: str
    at: int
    source: str | None
    """Where it stands in a log, for imported events."""
    known: First | None = None
    """The first event of the same principal and model, which may have looked like anybody's."""


class Hunted(NamedTuple):
    """What a hunt leaves."""

    run: str
    word: str
    """`attack`, `drift`, `no attack` or `cannot tell`."""
    reasons: tuple[str, ...]
    detections: tuple[Detection, ...]
    firsts: Mapping[str, First]
    """By id of detection."""
    events: int
    gaps: int
    lost: int
    """Requests that are missing from the record, as far as it knows."""
    exit_code: int


def hunt(
    loaded: Loaded,
    workspace: Workspace,
    *,
    place: str | Path | None = None,
    since: int | None = None,
    model: str | None = None,
    bar: Severity = Severity.MODERATE,
    progress: Progress | None = None,
) -> Hunted:
    """Look at events of the past.

    Args:
        loaded: The configuration.
        workspace: Where the run and its detections are kept.
        place: The telemetry; by default the guard's.
        since: Microseconds since the epoch, None for all of it.
        model: Name of one model, None for all.
        bar: Detections at or above this severity give exit code 1.
        progress: Called with (what, done, total).

    Raises:
        StoreError: There is no telemetry, or it cannot be read.
        MissingExtra: `casemate[guard]` is not installed.
    """
    query, watch = _open(loaded, workspace, place)
    from casemate.store.telemetry.sink import Filter

    total = _count(query, since, model)
    arguments: dict[str, str | int | float | bool | None] = {"since": since, "model": model}
    with Job("detect", loaded, workspace, arguments=arguments) as job:
        found: list[Detection] = []
        done = last = 0
        events = query.scan(Filter(since=since, model=model))
        while batch := list(itertools.islice(events, SLICE)):
            found += watch.feed(batch)
            done += len(batch)
            last = batch[-1].at
            if progress is not None:
                progress("detect: events", done, max(total, done))
        found += (*watch.finish(), *watch.tick(last))
        job.add(*found)
        concluded = _concluded(job.run.id, query, watch, found, done, bar)
        for reason in concluded.reasons:
            job.note(reason)
    return concluded


def live(
    loaded: Loaded,
    workspace: Workspace,
    *,
    say: Callable[[Detection], None],
    place: str | Path | None = None,
    since: int | None = None,
    model: str | None = None,
    bar: Severity = Severity.MODERATE,
    beats: Iterator[object] | None = None,
) -> Hunted:
    """Look at events as they come, until interrupted; says each detection at once.

    Args:
        loaded: The configuration.
        workspace: Where the run and its detections are kept.
        say: Called with each detection.
        place: As for `hunt`.
        since: Where to begin, in microseconds since the epoch; None for now.
        model: As for `hunt`.
        bar: As for `hunt`.
        beats: One look per element, for tests; None for one a second without end.
    """
    query, watch = _open(loaded, workspace, place)
    begin = time.time_ns() // 1000 if since is None else since
    read = _positions(query, begin)
    found: list[Detection] = []
    done = 0
    with Job("detect", loaded, workspace, arguments={"live": True, "model": model}) as job:
        try:
            for _ in beats if beats is not None else _clock():
                fresh = sorted(query.tail(read), key=lambda e: (e.at, e.writer, e.sequence))
                for event in fresh:
                    read[event.writer] = max(event.sequence, read.get(event.writer, -1))
                wanted = [one for one in fresh if model is None or one.model in (model, "")]
                now = time.time_ns() // 1000 if since is None else (fresh[-1].at if fresh else 0)
                new = (*watch.feed(wanted), *watch.tick(now))
                done += len(wanted)
                job.add(*new)
                found += new
                for one in new:
                    say(one)
        except KeyboardInterrupt:
            job.interrupted = True
        return _concluded(job.run.id, query, watch, found, done, bar)


def begin_of(text: str, now: int) -> int:
    """Return the time that `48h` or `2026-11-02T06:00Z` means, in microseconds since the epoch.

    Raises:
        UsageError: Neither a duration nor a time.
    """
    from casemate.guard.logs.clock import moment as read

    try:
        return now - int(seconds(text) * 1_000_000)
    except UsageError:
        pass
    try:
        return read(text)
    except FormatError as error:
        raise UsageError(
            f"'{text}' is neither a duration nor a time", hint="48h, 7d or 2026-11-02T06:00Z"
        ) from error


def moment(at: int) -> str:
    """Return a time in words, UTC, without what is below a second."""
    return datetime.fromtimestamp(at / 1e6, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def as_json(found: Hunted) -> dict[str, Any]:
    """Return what a hunt leaves, for JSON."""
    detections = [
        {
            **msgspec.to_builtins(one),
            "first": _beginning(found.firsts.get(one.id)),
        }
        for one in found.detections
    ]
    return {
        "run": found.run,
        "verdict": found.word,
        "reasons": found.reasons,
        "events": found.events,
        "gaps": found.gaps,
        "lost": found.lost,
        "exit_code": found.exit_code,
        "detections": detections,
    }


def _beginning(first: First | None) -> dict[str, Any] | None:
    if first is None:
        return None
    return {**first._asdict(), "known": _beginning(first.known)}


def _open(
    loaded: Loaded, workspace: Workspace, place: str | Path | None
) -> tuple[EventQuery, Watch]:
    try:
        from casemate.detect.watch import Watch
        from casemate.store.telemetry.opening import open_query
    except ModuleNotFoundError as error:
        raise MissingExtra("guard", for_="a hunt") from error
    where = place or loaded.config.guard.telemetry or workspace.folder / "telemetry"
    return open_query(where), Watch()


def _clock() -> Iterator[None]:
    while True:
        yield
        time.sleep(BEAT)


def _count(query: EventQuery, since: int | None, model: str | None) -> int:
    text = 'SELECT count(*) FROM events WHERE "at" >= ? AND coalesce(model = ?, true)'
    return int(query.sql(text, (since or 0, model))[1][0][0])


def _positions(query: EventQuery, begin: int) -> dict[str, int]:
    text = 'SELECT writer, max("sequence") FROM events WHERE "at" < ? GROUP BY writer'
    return {str(writer): int(last) for writer, last in query.sql(text, (begin,))[1]}


def _concluded(
    run: str,
    query: EventQuery,
    watch: Watch,
    found: list[Detection],
    events: int,
    bar: Severity,
) -> Hunted:
    concluded = watch.conclude()
    record = watch.record
    grave = _WORST[: _WORST.index(bar) + 1]
    own = [one for one in found if one.marked is None]
    raised = any(one.severity in grave and one.conclusion != "loss" for one in own)
    incomplete = record.gaps > 0 or concluded.word == "cannot tell"
    return Hunted(
        run=run,
        word=concluded.word,
        reasons=concluded.reasons,
        detections=tuple(found),
        firsts=_firsts(query, found),
        events=events,
        gaps=record.gaps,
        lost=record.lost,
        exit_code=1 if raised else 3 if incomplete else 0,
    )


def _firsts(query: EventQuery, found: list[Detection]) -> dict[str, First]:
    """Return where each detection begins, and where its principal does."""
    made: dict[str, First] = {}
    for one in found[:_MOST_FIRSTS]:
        began = _first(query, "id = ?", one.events[:1]) if one.events else None
        if began is None:
            continue
        known = None
        if one.principals:
            known = _first(query, "principal = ? AND model = ?", (one.principals[0], one.model))
        made[one.id] = began._replace(known=known)
    return made


def _first(query: EventQuery, where: str, values: Sequence[str]) -> First | None:
    text = (
        f'SELECT id, "at", source FROM events WHERE {where} '  # noqa: S608 - conditions of ours
        'ORDER BY "at", writer, "sequence" LIMIT 1'
    )
    rows = query.sql(text, values)[1]
    return First(str(rows[0][0]), int(rows[0][1]), rows[0][2]) if rows else None
