"""What the page of a case shows besides the case: next steps, its plot, its papers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from casemate.records.incident import Action, Incident
    from casemate.workflows.traffic import Timeline, Traffic

_HOUR = 3600 * 1_000_000


class Next(msgspec.Struct, frozen=True, kw_only=True):
    """A next step as a page shows it."""

    words: str
    place: str
    """Part of the case's page where it is done; empty for none."""
    command: str
    """The same on the command line; empty where there is none."""


_WORDS = {
    "contain": "Contain it: see first what that would do.",
    "radius": "Find out who and what it reaches.",
    "playbook": "Go on with the playbook.",
    "collect": "Copy the evidence that was only frozen.",
    "bundle": "Pack the evidence, so that others can verify it.",
    "close": "Close the case when nothing is left to do.",
    "add": "Keep track of the weakness, so that it is fixed.",
}
_PLACES = {"collect": "evidence", "add": "exposure"}


def step_of(text: str) -> Next:
    """Return a next step of the command line as a page shows it."""
    words = text.split()
    if words[:1] != ["casemate"] or len(words) < 3:
        return Next(words=text, place="clocks" if " UTC at the latest" in text else "", command="")
    command, _, remark = text.partition(": ")
    verb = words[2]
    said = _WORDS.get(verb, remark.capitalize() or command)
    if verb == "playbook" and remark:
        said = f"Go on with the playbook {remark}."
    return Next(words=said, place=_PLACES.get(verb, verb), command=command)


def kinds() -> tuple[tuple[str, str], ...]:
    """Return the types an incident may be handled as: id and title."""
    from casemate.catalog.entries import ThreatKind
    from casemate.catalog.loader import entries

    return tuple((ident, one.title) for ident, one in entries("threats", ThreatKind).items())


def papers(folder: Path) -> tuple[str, ...]:
    """Return the names of the papers of a case that have been written, as Markdown."""
    try:
        return tuple(sorted(one.name for one in (folder / "papers").glob("*.md")))
    except OSError:
        return ()


def traffic_of(incident: Incident, default: Traffic) -> Traffic:
    """Return the events of a case, which may lie elsewhere than the workspace's."""
    if incident.telemetry is None:
        return default
    from casemate.workflows.traffic import opened

    return opened(incident.telemetry)


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """A moment that a plot names."""

    at: int
    words: str


_MARKED = {
    "opened": "case opened", "contained": "contained", "undone": "undone", "closed": "closed",
}  # fmt: skip


def marks_of(incident: Incident, actions: Sequence[Action]) -> tuple[Mark, ...]:
    """Return the moments a case's plot names: when it was noticed, contained, closed."""
    found = [Mark(at=_at(incident.aware), words="noticed")]
    found += [
        Mark(at=_at(one.at), words=_MARKED[one.kind])
        for one in actions
        if one.kind in _MARKED and one.outcome == "done"
    ]
    return tuple(found)


def span_of(incident: Incident) -> tuple[int, int]:
    """Return the stretch of time a case's plots show, in microseconds since the epoch."""
    triage = incident.triage
    opened = int(incident.aware.timestamp() * 1_000_000)
    began = (triage.began if triage is not None else None) or opened - _HOUR
    ended = (triage.ended if triage is not None else None) or opened
    margin = max((ended - began) // 5, 5 * 60 * 1_000_000)
    last = max(ended, min(opened, ended + 6 * _HOUR)) if incident.state != "closed" else ended
    return began - margin, last + margin


def timeline_of(incident: Incident, traffic: Traffic) -> Timeline:
    """Return what came around a case, its suspects counted by themselves."""
    since, until = span_of(incident)
    triage = incident.triage
    names = tuple(one.principal for one in triage.suspects[:20]) if triage is not None else ()
    models = triage.models if triage is not None else ()
    model = models[0] if len(models) == 1 else None
    return traffic.timeline(since, until, principals=names, model=model)


def _at(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000_000)
