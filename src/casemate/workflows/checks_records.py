"""Checks of a playbook that look at what other runs left: scans, trials, gates, hunts, lineage."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from casemate.case.playbook import Result
from casemate.catalog import loader
from casemate.catalog.entries import Detector
from casemate.errors import CasemateError, MissingExtra
from casemate.records.detection import Detection
from casemate.records.finding import Finding
from casemate.records.severity import Severity
from casemate.records.trial import Trial
from casemate.records.verdict import Verdict
from casemate.workflows import checks_events, custody

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import msgspec

    from casemate.records.run import Run
    from casemate.workflows.checks import Scene

    R = TypeVar("R", bound=msgspec.Struct)

_SHOWN = 3
_HOUR = 3_600_000_000
_LESS = 0.05
"""Attacks repeated on few inputs differ by chance; success must fall by more than this."""


def scan_clean(scene: Scene, arguments: Mapping[str, str]) -> Result:  # noqa: ARG001
    """Did the latest scan since the case was opened end, with nothing at or above important?"""
    run = _latest(scene, "scan")
    if run is None:
        return Result("waiting", "no scan since the case was opened: casemate scan .")
    if run.state != "complete":
        return Result("failed", f"the scan {run.id} did not end: {run.state}")
    files = _verdicts(scene, run)
    bad = [
        f"{one.rule} in {one.target.uri}"
        for one in scene.workspace.records(run.id, Finding)
        if one.severity.at_least(Severity.IMPORTANT)
    ]
    unread = [one.target.uri for one in files if one.answer == "cannot-tell"]
    words = f"{len(files)} files scanned at {run.started:%Y-%m-%d %H:%M} UTC"
    if bad:
        return Result("failed", f"{words}; {len(bad)} findings: {_some(bad)}")
    if unread or not files:
        return Result(
            "failed", f"{words}; not read to the end: {_some(unread) or 'no file at all'}"
        )
    return Result("done", f"{words}, nothing at or above important")


def scan_found(scene: Scene, arguments: Mapping[str, str]) -> Result:  # noqa: ARG001
    """What did the scan say the file does?"""
    sources = {one for one in scene.incident.sources if one.startswith("fp-")}
    found: dict[str, Finding] = {}
    for run in scene.workspace.runs("scan"):
        for one in scene.workspace.records(run.id, Finding):
            fresh = run.started >= scene.incident.opened
            if one.fingerprint in sources or (fresh and not sources):
                found[one.fingerprint] = one
    if not found and _latest(scene, "scan") is None:
        return Result("waiting", "no scan names it: casemate scan FILE")
    told = [f"{one.rule} ({one.severity.value}): {one.message}" for one in found.values()]
    return Result("done", f"{len(told)} findings: {_some(told)}" if told else "nothing was found")


def attacked_since(scene: Scene, arguments: Mapping[str, str]) -> Result:
    """Was the model attacked since the case was opened, so that there is a figure?"""
    trials = [one for one, run in _trials(scene, arguments) if _since(scene, run)]
    if not trials:
        return Result("waiting", "no such trial since the case was opened: casemate assess")
    return Result("done", _some([_told(scene, one) for one in trials], 5))


def attack_fails(scene: Scene, arguments: Mapping[str, str]) -> Result:
    """Does every attack that was repeated since the case was opened succeed less than before?

    The first trial of each attack, before or after the opening, is held against the latest one.
    """
    first: dict[str, tuple[Trial, Run]] = {}
    last: dict[str, tuple[Trial, Run]] = {}
    for trial, run in _trials(scene, arguments):
        first.setdefault(trial.attack, (trial, run))
        last[trial.attack] = (trial, run)
    again = [
        (first[name][0], trial)
        for name, (trial, run) in last.items()
        if _since(scene, run) and first[name][0].id != trial.id
    ]
    if not again:
        return Result(
            "waiting", "no attack was repeated since the case was opened: casemate assess, twice"
        )
    worse = []
    told = []
    for before, after in again:
        was, now = _success(scene, before), _success(scene, after)
        told.append(f"{after.attack}: {_share(was)} before, {_share(now)} now")
        if was is None or now is None or (now > 0 and was - now <= _LESS):
            worse.append(after.attack)
    words = _some(told, 8)
    return Result("failed" if worse else "done", words)


def gate_passes(scene: Scene, arguments: Mapping[str, str]) -> Result:  # noqa: ARG001
    """Did the latest gate since the case was opened say yes?"""
    for run in reversed(scene.workspace.runs("gate")):
        if not _since(scene, run):
            break
        for one in reversed(scene.workspace.records(run.id, Verdict)):
            if one.question == "meets-the-bar":
                reasons = _some(list(one.reasons)) or "no reason given"
                return Result(
                    "done" if one.answer == "yes" else "failed", f"{one.answer}: {reasons}"
                )
    return Result("waiting", "no gate since the case was opened: casemate gate")


def stays_quiet(scene: Scene, arguments: Mapping[str, str]) -> Result:
    """Was there no detection of an attack on the model for so many hours in which somebody looked?

    The hours end with the last event on record, or when a guard last said that it stands. A hunt
    adds nothing: it sees what is on record.
    """
    hours = float(arguments.get("hours", "24"))
    since = [one.at for one in scene.did("contained", "undone")]
    if not since:
        return Result("waiting", "nothing has been contained or undone yet")
    start = max(since)
    models = scene.incident.triage.models if scene.incident.triage is not None else ()
    begun = custody.micros(start)
    loud = [
        one
        for run in scene.workspace.runs()
        for one in scene.workspace.records(run.id, Detection)
        if one.began > begun
        and one.marked is None
        and one.conclusion in ("attack", "probe")
        and (not models or one.model in models)
    ]
    if loud:
        told = [f"{_title(one.rule)} by {', '.join(one.principals[:2])}" for one in loud]
        return Result("failed", f"{len(loud)} detections since {start:%H:%M} UTC: {_some(told)}")
    until = _looked_until(scene, begun, models)
    if until is None:
        return Result("waiting", f"nothing has looked since {start:%Y-%m-%d %H:%M} UTC")
    passed = (until - begun) / _HOUR
    words = f"quiet for {passed:.1f} of {hours:g} hours"
    return Result("done" if passed >= hours else "waiting", words)


def lineage_recorded(scene: Scene, arguments: Mapping[str, str]) -> Result:  # noqa: ARG001
    """Was a training run recorded since the case was opened?"""
    from casemate.store.lineage import LineageBook

    begun = custody.micros(scene.incident.opened)
    runs = [
        one
        for one in LineageBook(scene.workspace).nodes(kinds=("run",))
        if one.at is not None and one.at >= begun
    ]
    if not runs:
        return Result(
            "waiting", "no training since the case was opened: casemate lineage record -- ..."
        )
    return Result("done", f"{len(runs)} recorded: {_some([one.name for one in runs])}")


def not_affected(scene: Scene, arguments: Mapping[str, str]) -> Result:  # noqa: ARG001
    """Is nothing that is installed, configured or recorded affected by a known weakness?"""
    from casemate.workflows import affected

    found = affected.affected(scene.loaded, scene.workspace)
    told = {
        status: [
            f"{one.product.name}: {one.vulnerability}"
            for one in found.applies
            if one.product.status == status
        ]
        for status in ("affected", "under-investigation")
    }
    words = f"looked at {_some(list(found.looked_at))}"
    if told["affected"]:
        return Result("failed", f"affected: {_some(told['affected'])}; {words}")
    unsure = [*told["under-investigation"], *found.open]
    if unsure:
        return Result("waiting", f"cannot be told yet: {_some(unsure)}; {words}")
    return Result("done", f"nothing is affected; {words}")


def record_whole(scene: Scene, arguments: Mapping[str, str]) -> Result:  # noqa: ARG001
    """Is the log of the events whole?"""
    from casemate.workflows import collecting, verifying

    place = scene.incident.telemetry or collecting.telemetry_of(scene.workspace, scene.loaded)
    if "://" in place:
        return Result("waiting", f"{place} keeps no log that could be verified")
    from pathlib import Path

    witness = scene.loaded.config.guard.witness
    try:
        found = verifying.verify_telemetry(
            Path(place), witness=scene.loaded.root / witness if witness else None
        )
    except MissingExtra:
        raise
    except CasemateError as error:
        return Result("waiting", str(error))
    faults = [f"{one.kind}: {one.what}" for one in found.faults]
    words = f"{found.answer}: {found.events} sealed events, {found.unsealed} not sealed yet"
    words += f"; {_some(faults)}" if faults else ""
    return Result("failed" if found.answer == "changed" else "done", words)


def _looked_until(scene: Scene, begun: int, models: Sequence[str]) -> int | None:
    """Return until when somebody looked since a time, in microseconds since the epoch."""
    from casemate.store.guards import GuardBook

    now = custody.micros(scene.now)
    seen = [one.seen for one in GuardBook(scene.workspace).all()]
    seen += [custody.micros(one.ended or one.started) for one in scene.workspace.runs("guard")]
    last = checks_events.last_event(scene, begun, models)
    seen += [] if last is None else [last]
    return max((min(one, now) for one in seen if one > begun), default=None)


def _latest(scene: Scene, verb: str) -> Run | None:
    runs = [one for one in scene.workspace.runs(verb) if _since(scene, one)]
    return runs[-1] if runs else None


def _since(scene: Scene, run: Run) -> bool:
    return run.started >= scene.incident.opened


def _verdicts(scene: Scene, run: Run) -> list[Verdict]:
    return [
        one
        for one in scene.workspace.records(run.id, Verdict)
        if one.question == "artifact-is-clean"
    ]


def _trials(scene: Scene, arguments: Mapping[str, str]) -> list[tuple[Trial, Run]]:
    families = arguments.get("families", "evasion").split(",")
    runs = sorted(scene.workspace.runs(), key=lambda one: one.started)
    return [
        (one, run)
        for run in runs
        for one in scene.workspace.records(run.id, Trial)
        if one.family in families and one.state in ("complete", "budget-spent")
    ]


def _success(scene: Scene, trial: Trial) -> float | None:
    from casemate.workflows.redteaming import success_of

    return success_of(trial, scene.loaded.config.attack.eps)


def _told(scene: Scene, trial: Trial) -> str:
    return f"{trial.attack}: {_share(_success(scene, trial))}, {trial.cost.queries} queries"


def _share(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.0%}"


def _title(rule: str) -> str:
    return loader.entry("detections", rule, Detector).title


def _some(words: list[str], most: int = _SHOWN) -> str:
    more = f" and {len(words) - most} more" if len(words) > most else ""
    return ", ".join(words[:most]) + more
