"""What a case is opened from: a detection, a finding, a trial or an event, by its id."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeVar

from casemate.errors import UsageError
from casemate.records.detection import Detection
from casemate.records.finding import Finding
from casemate.records.trial import Trial

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from casemate.records.event import Event
    from casemate.records.run import Run
    from casemate.store.telemetry.sink import EventQuery
    from casemate.store.workspace import Workspace

T = TypeVar("T")
_SHORTEST = 4


class Sources(NamedTuple):
    """What was named, as records."""

    ids: tuple[str, ...]
    detections: tuple[Detection, ...] = ()
    findings: tuple[Finding, ...] = ()
    trials: tuple[Trial, ...] = ()
    events: tuple[str, ...] = ()
    """Ids, `<writer>:<sequence>`."""


def find(workspace: Workspace, wanted: Sequence[str]) -> Sources:
    """Return the records that ids name, each whole or by its beginning.

    `latest` is the newest detection. A campaign (`cam-...`) stands for all its detections.

    Raises:
        UsageError: One names nothing, or more than one thing.
    """
    runs = workspace.runs()
    detections: dict[str, Detection] = {}
    findings: dict[str, Finding] = {}
    trials: dict[str, Trial] = {}
    events: list[str] = []
    for name in wanted:
        if _is_event(name):
            events.append(name)
        elif name.startswith("fp-"):
            one = _only(name, _findings(workspace, runs, name), lambda it: it.fingerprint)
            findings[one.fingerprint] = one
        elif name.startswith("trial-"):
            trial = _only(name, _trials(workspace, runs, name), lambda it: it.id)
            trials[trial.id] = trial
        else:
            for seen in _detections(workspace, runs, name):
                detections[seen.id] = seen
    ids = (*detections, *findings, *trials, *events)
    return Sources(
        ids,
        tuple(detections.values()),
        tuple(findings.values()),
        tuple(trials.values()),
        tuple(events),
    )


def all_detections(workspace: Workspace) -> list[Detection]:
    """Return every detection on record, in the order they were made."""
    found = {
        one.id: one for run in workspace.runs() for one in workspace.records(run.id, Detection)
    }
    return sorted(found.values(), key=lambda one: one.made)


def events_named(query: EventQuery, ids: Sequence[str]) -> list[Event]:
    """Return the events `<writer>:<sequence>` that the telemetry holds, in order of time."""
    from casemate.store.telemetry.sink import Filter

    wanted = []
    for one in ids:
        writer, _, sequence = one.rpartition(":")
        wanted.append((writer, int(sequence)))
    return list(query.scan(Filter(ids=tuple(wanted)))) if wanted else []


def refuse_unknown(query: EventQuery, ids: Sequence[str]) -> None:
    """Raise when an event is not in the telemetry.

    Raises:
        UsageError: With its id.
    """
    known = {f"{one.writer}:{one.sequence}" for one in events_named(query, ids)}
    for name in ids:
        if name not in known:
            raise UsageError(
                f"event {name} is not in the telemetry",
                hint="--telemetry FOLDER names where it is",
            )


def _is_event(name: str) -> bool:
    writer, _, sequence = name.rpartition(":")
    return writer.startswith("w-") and sequence.isdecimal()


def _detections(workspace: Workspace, runs: Iterable[Run], name: str) -> list[Detection]:
    everything = all_detections(workspace)
    if name == "latest":
        found = [one for one in everything if one.marked is None][-1:] or everything[-1:]
        found = [one for one in everything if _same(one, found[0])] if found else []
    elif name.startswith("cam-"):
        found = [one for one in everything if (one.campaign or "").startswith(name)]
    elif name.startswith("run-"):
        ids = {run.id for run in runs if run.id.startswith(name)}
        found = [one for one in everything if one.marked in ids]
        for run in ids:
            found += [one for one in workspace.records(run, Detection) if one not in found]
    elif name.startswith("det-") or len(name) >= _SHORTEST:
        start = name if name.startswith("det-") else f"det-{name}"
        found = [_only(name, [one for one in everything if one.id.startswith(start)], _id)]
    else:
        found = []
    if not found:
        known = ", ".join(one.id for one in everything[-3:])
        raise UsageError(
            f"nothing on record is called '{name}'",
            hint=f"the latest detections: {known}"
            if known
            else "casemate detect looks for attacks",
        )
    return found


def _same(one: Detection, other: Detection) -> bool:
    return one.id == other.id or (one.campaign is not None and one.campaign == other.campaign)


def _findings(workspace: Workspace, runs: Iterable[Run], name: str) -> list[Finding]:
    found = {}
    for run in runs:
        for one in workspace.records(run.id, Finding):
            if one.fingerprint.startswith(name):
                found[one.fingerprint] = one  # the latest run has the last word
    return list(found.values())


def _trials(workspace: Workspace, runs: Iterable[Run], name: str) -> list[Trial]:
    return [
        one for run in runs for one in workspace.records(run.id, Trial) if one.id.startswith(name)
    ]


def _id(one: Detection) -> str:
    return one.id


def _only(name: str, found: list[T], key: Callable[[T], str]) -> T:
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(
            f"{len(found)} things on record begin with '{name}'",
            hint=f"give more of the id: {key(found[0])} or {key(found[1])}",
        )
    raise UsageError(f"nothing on record is called '{name}'", hint="casemate detect, casemate scan")
