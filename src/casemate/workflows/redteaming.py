"""Red-team a live endpoint, through its guard, and ask the telemetry what it saw.

Each catalog attack that needs no more than answers runs as a caller of its own while simulated
users go on asking; then the log and the detections are searched for it. The same attack against
an endpoint that enforces its policy says what the mitigations buy, and whom they hurt.

Source: Kumar et al. 2020 (arXiv 2002.05646), "execute the list of harmful attacks and check that
the telemetry can be traced back".
"""

from __future__ import annotations

import os
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from casemate.attack.findings import findings_of
from casemate.attack.run import run
from casemate.catalog import loader
from casemate.catalog.entries import Attack, Detector
from casemate.errors import TargetError, UsageError
from casemate.export.coverage import exit_of
from casemate.guard.marks import HEADER, make_mark
from casemate.records.detection import Detection
from casemate.records.trial import Seen
from casemate.store.keys import key_folder
from casemate.workflows.allowance import Allowance
from casemate.workflows.attacking import describe_inputs
from casemate.workflows.job import Job
from casemate.workflows.neighbours import Neighbours
from casemate.workflows.opening import open_both
from casemate.workflows.planning import settings_of
from casemate.workflows.scope import refuse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from casemate.export.report import Bundle
    from casemate.records.event import Event
    from casemate.records.trial import Trial
    from casemate.store.telemetry.sink import EventQuery
    from casemate.store.workspace import Workspace
    from casemate.workflows.config import Loaded
    from casemate.workflows.opening import Opened
    from casemate.workflows.scope import Scope, Signed

    Progress = Callable[[str, int, int], None]

_LONGEST = 300.0
"""Seconds one attack may take; some train copies of the model, which has no end of its own."""
_SETTLE = 1.0
"""Seconds until the last events of an attack are on record."""
_PATIENCE = 20.0
"""Seconds the near-line rules are given to say something after an attack has ended."""


class Exercise(NamedTuple):
    """What an exercise leaves."""

    bundle: Bundle
    trials: tuple[Trial, ...]
    exit_code: int
    """0: every attack that did harm was on record and detected; 1: one was not; 3: cannot tell."""


class Plan(NamedTuple):
    """What is asked of an exercise."""

    target: str
    attacks: tuple[str, ...]
    budget: int
    """Inputs that all attacks together may send to each endpoint."""
    inputs: int = 5
    """Inputs each evasion attack tries to change."""
    after: str | None = None
    """The same model behind a guard that enforces."""
    data: str | None = None
    label: str | None = None
    principal: str | None = None
    """Header that names the caller, where the endpoint believes one."""
    users: int = 5
    """Simulated users who go on asking meanwhile; 0 for none."""
    seed: int = 0
    watched: Path | None = None
    """Workspace that holds the guard's detections, where it is not the exercise's own."""
    account: str | None = None
    """Caller that the attacks go as; None for one of their own each."""


def black_box() -> tuple[str, ...]:
    """Return the ids of the catalog's attacks that need a live endpoint's answers alone."""
    return tuple(
        ident
        for ident, one in loader.entries("attacks", Attack).items()
        if set(one.needs) <= {"scores", "labels"}
    )


def fitting(loaded: Loaded, data: str | None, label: str | None) -> tuple[str, ...]:
    """Return the black-box attacks that suit the data and that casemate.toml does not leave out."""
    from casemate.targets.data import open_data

    rows = data or loaded.config.model.data
    if rows is None:
        raise UsageError("there is no data to attack with", hint="--data FILE")
    found = open_data(
        rows,
        label=label or loaded.config.model.label,
        columns=loaded.config.column,
        bounds=loaded.config.model.bounds,
        root=loaded.root,
    )
    kinds = {"any", "tabular" if found.columns else "image"}
    known = loader.entries("attacks", Attack)
    return tuple(
        ident
        for ident in black_box()
        if kinds & set(known[ident].modality)
        and ident not in loaded.config.attack.skip
        and known[ident].status != "sandbox"
    )


def principal_header(loaded: Loaded, given: str | None) -> str | None:
    """Return the header by which the guard tells callers apart, None where it has none.

    Raises:
        UsageError: `given` is not `header:NAME`.
    """
    if given is None:
        return loaded.config.guard.principal.header
    kind, _, name = given.partition(":")
    if kind != "header" or not name:
        raise UsageError(
            f"--principal {given} is not header:NAME", hint="--principal header:X-User"
        )
    return name.lower()


def marker(scope: Scope, root: Path) -> Callable[[str], str] | None:
    """Return what makes marks the guard believes; None where its key is not on this machine."""
    from casemate.guard import keys

    file = key_folder(os.environ) / "guard.key"
    if keys.VARIABLE not in os.environ and not file.exists():
        return None
    found = keys.read(os.environ, file, workspace=root)
    expires = int(scope.not_after.timestamp() * 1e6)
    return lambda run: make_mark(found, run, expires)


def telemetry_of(loaded: Loaded, workspace: Workspace, given: str | None) -> EventQuery | None:
    """Return the guard's events: the place given or configured, or the workspace's own."""
    from casemate.store.telemetry.opening import open_query

    place = given or loaded.config.guard.telemetry
    if given is not None and "://" not in given and not Path(given).is_dir():
        raise UsageError(f"there is no telemetry in {given}", hint="casemate guard makes it")
    if place is None:
        own = workspace.folder / "telemetry"
        return open_query(str(own)) if own.is_dir() else None
    return open_query(place)


def watched_of(telemetry: str | None) -> Path | None:
    """Return the workspace that a telemetry folder lies in, None where it lies in none."""
    if telemetry is None or "://" in telemetry:
        return None
    folder = Path(telemetry).parent
    return folder if (folder / "workspace.db").exists() else None


def telemetry_at(place: str | None) -> EventQuery | None:
    """Return the events at a place, None where none is named."""
    from casemate.store.telemetry.opening import open_query

    return None if place is None else open_query(place)


def exercise(
    loaded: Loaded,
    plan: Plan,
    signed: Signed,
    *,
    mark: Callable[[str], str] | None = None,
    telemetry: EventQuery | None = None,
    telemetry_after: EventQuery | None = None,
    workspace: Workspace,
    progress: Progress | None = None,
) -> Exercise:
    """Attack a live endpoint within its scope and say what was seen of it.

    Args:
        loaded: The configuration.
        plan: What to do.
        signed: The scope, its signature checked.
        mark: Turns a run's id into the value of the `casemate-redteam` header; None: the guard's
            key is not here, so that the guard will not believe the mark.
        telemetry: Where the events of the guard can be asked for; None: nothing is known of them.
        telemetry_after: Those of the enforcing guard, where it keeps its own; it should, or it has
            seen each attack once already when its turn comes.
        workspace: Where the guard's detections and this run are kept.
        progress: Told (what, done, total).

    Raises:
        UsageError: Something the scope does not allow; before anything is sent.
        TargetError: The endpoint does not answer at all.
    """
    for attack in plan.attacks:
        needs = loader.entry("attacks", attack, Attack).needs
        if not set(needs) <= {"scores", "labels"}:
            raise UsageError(
                f"{attack} needs {' and '.join(needs)}, which no endpoint gives",
                hint=f"these need answers alone: {', '.join(black_box())}",
            )
    allowance = Allowance(signed, workspace)
    watched = workspace
    if plan.watched is not None and plan.watched.resolve() != workspace.folder.resolve():
        watched = type(workspace).open(plan.watched, create=False)
    for uri in (plan.target, plan.after):
        for attack in plan.attacks if uri else ():
            refuse(signed.scope, str(uri), attack, datetime.now(UTC), allowance.spent)
    job = Job(
        "redteam",
        loaded,
        workspace,
        arguments={
            "scope": signed.scope.name,
            "scope_digest": signed.digest,
            "approver": signed.scope.approver,
            "after": plan.after,
        },
        seed=plan.seed,
        budget=str(plan.budget),
        target=plan.target,
    )
    with job:
        value = mark(job.run.id) if mark else job.run.id
        trials = tuple(
            _attacks(
                job,
                loaded,
                plan,
                signed,
                allowance,
                watched,
                {HEADER: value},
                telemetry,
                telemetry_after,
                progress,
            )
        )
        allowance.close()
        if any(one.state == "interrupted" for one in trials):
            job.interrupted = True
        _advise(job, plan, marked=mark is not None, telemetry=telemetry is not None)
    bundle = job.bundle()
    return Exercise(bundle, trials, exit_of(bundle).code)


def _attacks(
    job: Job,
    loaded: Loaded,
    plan: Plan,
    signed: Signed,
    allowance: Allowance,
    watched: Workspace,
    mark: Mapping[str, str],
    telemetry: EventQuery | None,
    telemetry_after: EventQuery | None,
    progress: Progress | None,
) -> Iterator[Trial]:
    users = Neighbours(loaded, plan.target, plan.users, plan.principal, mark, allowance)
    users_after = Neighbours(loaded, plan.after, plan.users, plan.principal, mark, allowance)
    radii = loaded.config.attack.eps
    share = max(1, min(plan.budget, allowance.left) // max(1, len(plan.attacks)))
    for number, attack in enumerate(plan.attacks):
        if progress:
            progress(attack, number, len(plan.attacks))
        who = plan.account or f"redteam-{job.run.id[-6:]}-{attack}"
        again = plan.account or f"{who}-after"
        known = who if plan.principal else None  # without a header all callers are one
        begun = time.time_ns() // 1000
        try:
            refuse(signed.scope, plan.target, attack, datetime.now(UTC), allowance.spent)
        except UsageError as error:
            job.note(f"{attack} and what follows were not tried: {error}")
            job.interrupted = True
            return
        with users.asking(plan.data, plan.label):
            trial = _one(
                job, loaded, plan, plan.target, attack, who, mark, share, allowance,
                describe=not number,
            )  # fmt: skip
        if trial is None:
            continue
        events, found = _look(job, watched, telemetry, known, begun, trial)
        after = None
        if plan.after is not None and allowance.left:
            users_after.truth = users.truth
            with users_after.asking(plan.data, plan.label):
                after = _one(job, loaded, plan, plan.after, attack, again, mark, share, allowance)
        answered: tuple[str, ...] = ()
        enforced = telemetry_after or telemetry
        if plan.after is not None and enforced is not None:
            time.sleep(_SETTLE)
            answered = _answers(_events(enforced, job.run.id, known and again, begun))
        seen = Seen(
            sent=trial.cost.queries,
            logged=None if telemetry is None else len(events),
            detected_by=tuple(dict.fromkeys(one.rule for one in found)),
            pages=any(_pages(one) for one in found),
            first_query=min((one.first_query for one in found if one.first_query), default=None),
            paging_query=min(
                (one.first_query for one in found if one.first_query and _pages(one)), default=None
            ),
            first_seconds=_seconds(events, found),
            success=success_of(trial, radii),
            success_after=None
            if plan.after is None
            else (success_of(after, radii) if after else 0.0),
            answered_by=answered,
            benign=users.sent + users_after.sent,
            benign_harmed=users_after.harmed if plan.after is not None else None,
            benign_accused=_accused(watched, begun, users.names | users_after.names),
        )
        users.sent = users_after.sent = users_after.harmed = 0
        kept = msgspec.structs.replace(trial, seen=seen)
        job.add(kept, *findings_of(kept, loader.entry("attacks", attack, Attack)))
        yield kept


def _one(
    job: Job,
    loaded: Loaded,
    plan: Plan,
    uri: str,
    attack: str,
    who: str,
    mark: Mapping[str, str],
    share: int,
    allowance: Allowance,
    *,
    describe: bool = False,
) -> Trial | None:
    entry = loader.entry("attacks", attack, Attack)
    copies = entry.family == "extraction"
    with ExitStack() as stack:

        def opened_as(name: str, where: str) -> Opened:
            headers = {**mark, **({plan.principal: name} if plan.principal else {})}
            door = open_endpoint(loaded, where, plan, headers, allowance)
            return stack.enter_context(door)

        try:
            opened = opened_as(who, uri)
            if describe:
                describe_inputs(job, opened)
            family: dict[str, Any] = {}
            if uri == plan.after and not copies:
                # What an enforcing guard refuses or changes says nothing of the model behind it.
                family["unguarded"] = opened_as(f"{who}-check", plan.target).model
            return run(
                opened.model, opened.data, attack,
                params=settings_of(entry, loaded.config)[0],
                budget=share if copies else max(1, share // plan.inputs),
                seed=plan.seed, keep=job.keep, limit=None if copies else plan.inputs,
                deadline=time.monotonic() + _LONGEST, **family,
            )  # fmt: skip
        except TargetError as error:
            job.note(f"{attack} against {uri} got no further: {error}")
        except UsageError as error:
            job.note(f"{attack} does not fit this model: {error}")
    return None


def open_endpoint(
    loaded: Loaded, uri: str, plan: Plan, headers: Mapping[str, str], allowance: Allowance
) -> AbstractContextManager[Opened]:
    """Open an endpoint as one caller: own headers, one input a request, on the scope's account."""
    remote = loaded.config.endpoint
    table = msgspec.structs.replace(remote, batch=1, retries=min(1, remote.retries))
    config = msgspec.structs.replace(loaded.config, endpoint=table)
    return open_both(
        msgspec.structs.replace(loaded, config=config),
        target=uri,
        data=plan.data,
        label=plan.label,
        device="cpu",
        headers=headers,
        permit=allowance.permit,
    )


def success_of(trial: Trial, radii: Mapping[str, float]) -> float | None:
    """Return the attacker's success: inputs fooled of those that were right, or fidelity.

    A search for the smallest change fools every input in the end; it succeeds where the change is
    within the radius that casemate.toml gives for its norm, if it gives one.
    """
    if trial.family == "evasion":
        within = radii.get(trial.norm or "") if trial.eps is None else None
        right = [one for one in trial.outcomes if one.clean]
        fooled = [
            one
            for one in right
            if one.success
            and (within is None or (one.distance is not None and one.distance <= within))
        ]
        return len(fooled) / len(right) if right else None
    return next((one.value for one in trial.measures if one.name == "fidelity"), None)


def detections(workspace: Workspace, since: int) -> list[Detection]:
    """Return what guards and hunts have concluded since a moment (microseconds), in order."""
    found = [
        one
        for verb in ("guard", "detect")
        for kept in workspace.runs(verb)
        for one in workspace.records(kept.id, Detection)
        if one.made >= since
    ]
    return sorted(found, key=lambda one: one.made)


def _look(
    job: Job,
    workspace: Workspace,
    telemetry: EventQuery | None,
    who: str | None,
    begun: int,
    trial: Trial,
) -> tuple[list[Event], list[Detection]]:
    """Wait until the log has the attack and the rules have spoken, or patience ends."""
    end = time.monotonic() + _PATIENCE
    while True:
        events = _events(telemetry, job.run.id, who, begun)
        mine = {one.principal for one in events}
        found = [one for one in detections(workspace, begun) if mine & set(one.principals)]
        whole = telemetry is None or len(events) >= trial.cost.queries
        if (whole and found) or time.monotonic() > end:
            return events, found
        time.sleep(0.25)


def _events(telemetry: EventQuery | None, mark: str, who: str | None, begun: int) -> list[Event]:
    from casemate.store.telemetry.sink import Filter

    if telemetry is None:
        return []
    return [
        one
        for one in telemetry.scan(Filter(since=begun))
        if (one.marked == mark if who is None else one.principal == who)
    ]


def _answers(events: Sequence[Event]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one.decision for one in events if one.enforced))


def _seconds(events: Sequence[Event], found: Sequence[Detection]) -> float | None:
    if not events or not found:
        return None
    return max(0.0, (found[0].made - min(one.at for one in events)) / 1e6)


def _pages(found: Detection) -> bool:
    return loader.entry("detections", found.rule, Detector).pages


def _accused(watched: Workspace, begun: int, names: frozenset[str]) -> int:
    found = detections(watched, begun)
    return len({name for one in found if _pages(one) for name in one.principals} & names)


def _advise(job: Job, plan: Plan, *, marked: bool, telemetry: bool) -> None:
    job.note(
        f"leave this traffic out of feedback training: events whose marked is {job.run.id}, in SQL "
        f"over the telemetry: WHERE marked IS DISTINCT FROM '{job.run.id}'"
    )
    if not marked:
        job.note("the guard's key is not here, so the guard took this traffic for a real attack")
    if not telemetry:
        job.note("there is no telemetry to look in: whether the attacks are on record is not known")
    if plan.principal is None:
        job.note("no principal header is configured: attacks and users share one address")
