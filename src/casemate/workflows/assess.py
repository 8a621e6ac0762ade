"""Assess: scan, threats, attack and gate in one job, planned to fit the time.

    from casemate.workflows.assess import assess
    result = assess("torch:model.py:load", data="digits.npz", minutes=2)
    print(result.verdict.answer, result.bundle.trials)

Runs what the configuration names; scans the model's files before anything opens them.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from casemate.errors import BudgetSpent, CasemateError, TargetError, UsageError
from casemate.export.coverage import exit_of
from casemate.gate.waivers import trusted
from casemate.records.severity import Severity
from casemate.records.verdict import Verdict
from casemate.scan import scan
from casemate.threats import threats
from casemate.workflows import config, gating
from casemate.workflows.job import Job, open_workspace, today

if TYPE_CHECKING:
    from collections.abc import Callable

    from casemate.export.report import Bundle
    from casemate.records.finding import Finding
    from casemate.records.trial import Trial
    from casemate.workflows.config import Loaded
    from casemate.workflows.opening import Opened
    from casemate.workflows.planning import Step

    Progress = Callable[[str, int, int], None]

_USED = 0.8
"""Share of the time left that is planned for; costs are estimates and the report takes a while."""

_INTERRUPTED = "interrupted: run the same command again to go on, finished attacks are kept"


class Assessment(NamedTuple):
    """What an assessment leaves."""

    bundle: Bundle
    """Every record of the run, ready for `casemate.export.report.write`."""
    verdict: Verdict
    exit_code: int


def assess(
    target: str | None = None,
    *,
    data: str | None = None,
    label: str | None = None,
    minutes: float = 5.0,
    device: str = "auto",
    against: str | None = None,
    configuration: Path | None = None,
    store: Path | None = None,
    fresh: bool = False,
    progress: Progress | None = None,
) -> Assessment:
    """Assess a model and keep everything as a run in the workspace.

    Args:
        target: Target URI; the configuration's when None.
        data: Data URI; the configuration's when None.
        label: Label column of a table; the configuration's when None.
        minutes: Time for the whole job; attacks are planned to fit it.
        device: `auto`, `cpu` or `cuda`.
        against: Baseline file or run to compare with.
        configuration: Path of casemate.toml; the nearest one when None.
        store: Workspace folder; `.casemate` beside the configuration when None.
        fresh: Measure everything again, whatever earlier runs kept.
        progress: Called with (what, done, total).

    Raises:
        UsageError: There is no model or no data to assess, or the configuration is wrong.
    """
    loaded = config.read(configuration)
    uri = target or loaded.config.model.target
    if uri is None:
        raise UsageError(
            "there is no model to assess", hint="casemate init finds one, or name it: assess TARGET"
        )
    begun = time.monotonic()
    deadline = begun + minutes * 60
    with open_workspace(store, loaded) as workspace:
        baseline = gating.baseline_for(against, loaded, workspace)
        arguments = {"data": data or loaded.config.model.data, "label": label}
        job = Job(
            "assess", loaded, workspace,
            arguments=arguments, seed=loaded.config.attack.seed,
            budget=f"{minutes:g}m", target=uri,
        )  # fmt: skip
        with job:
            _scan(job, loaded, uri, progress)
            trials: list[Trial] = []
            danger = _danger(job)
            if danger is None:
                trials = _attack(
                    job, loaded, uri, data, label,
                    device=device, deadline=deadline, fresh=fresh, progress=progress,
                )  # fmt: skip
            else:
                job.interrupted = True
                job.note(
                    f"the model was not attacked: {danger.rule} in {danger.target.uri}, and "
                    "attacking would open it; remove it, or accept it in a [[waiver]]"
                )
            _threats(job, loaded, uri, data, trials)
            verdict = gating.decide(job.bundle(), loaded, baseline, interrupted=job.interrupted)
        bundle = job.bundle()
        bundle = bundle._replace(verdicts=(verdict, *bundle.verdicts))
        return Assessment(bundle, verdict, exit_of(bundle).code)


def _scan(job: Job, loaded: Loaded, uri: str, progress: Progress | None) -> None:
    paths = [loaded.root / path for path in loaded.config.scan.paths]
    model_file = _file_of(uri, loaded.root)
    if model_file and model_file not in paths:
        paths.append(model_file)
    there = [path for path in paths if path.exists()]
    for path in paths:
        if not path.exists():
            job.note(f"not scanned: {path.name} does not exist")
    if not there:
        job.note("no artifact was scanned: the target is not a file and [scan] paths is empty")
        return
    told = _stage(progress, "scan")
    report = scan(there, root=loaded.root, trusted=trusted(loaded.waivers, today()), progress=told)
    job.add(*report.verdicts, *report.findings)


def _danger(job: Job) -> Finding | None:
    """Return what the scan found that forbids opening anything: code that opening would run."""
    bundle = job.bundle()
    worst = [f for f in bundle.findings if f.severity is Severity.CRITICAL]
    return next((f for f in worst if f.fingerprint not in bundle.waived), None)


def _attack(
    job: Job,
    loaded: Loaded,
    uri: str,
    data: str | None,
    label: str | None,
    *,
    device: str,
    deadline: float,
    fresh: bool,
    progress: Progress | None,
) -> list[Trial]:
    from casemate.workflows import attacking, planning
    from casemate.workflows.opening import open_both

    trials: list[Trial] = []
    try:
        with open_both(loaded, target=uri, data=data, label=label, device=device) as opened:
            attacking.describe_inputs(job, opened)
            plan = planning.plan(opened.model, opened.data, loaded.config)
            correction: dict[str, float] = {}
            for attack, reason in plan.left_out:
                job.note(f"{attack} was not tried: {reason}")
            if not plan.steps:
                job.note("nothing was attacked: no attack of the catalog fits this target")
            for position, step in enumerate(plan.steps):
                seconds = deadline - time.monotonic()
                if seconds <= 0:
                    job.note(f"{step.attack.id} was not tried: the time was used up")
                    continue
                part = planning.share(
                    plan.steps[position:], seconds * _USED, correction.get(step.costs, 1.0)
                )
                if not fresh:
                    # As many as last time, so that what was measured then can be taken.
                    part = part._replace(
                        inputs=attacking.sized(job, opened, loaded, step, part.inputs)
                    )
                told = _stage(progress, f"attack {position + 1}/{len(plan.steps)}")
                trial = _step(
                    job, opened, loaded, step,
                    inputs=part.inputs, until=time.monotonic() + part.seconds / _USED,
                    fresh=fresh, progress=told,
                )  # fmt: skip
                if trial is not None:
                    trials.append(trial)
                    _doubt(job, trial, opened.model.classes)
                    thought = step.per_input * max(1, trial.inputs)
                    real = trial.cost.wall_s / thought
                    correction[step.costs] = min(max(real, 0.1), 20.0)
                    if trial.state == "interrupted":
                        job.interrupted = True
                        job.note(_INTERRUPTED)
                        for later in plan.steps[position + 1 :]:
                            job.note(f"{later.attack.id} was not tried: interrupted")
                        break
    except KeyboardInterrupt:
        job.interrupted = True
        job.note(_INTERRUPTED)
    except (UsageError, TargetError) as error:
        if not job.records:
            raise  # nothing is lost by stopping here
        job.note(f"the model was not attacked: {error}")
        job.interrupted = True
    return trials


def _step(
    job: Job,
    opened: Opened,
    loaded: Loaded,
    step: Step,
    *,
    inputs: int,
    until: float,
    fresh: bool,
    progress: Progress | None,
) -> Trial | None:
    from casemate.workflows.attacking import take_step

    try:
        return take_step(
            job, opened, loaded, step.attack.id,
            params=step.params, budget=step.budget, seed=loaded.config.attack.seed,
            inputs=inputs, device=opened.device, progress=progress,
            deadline=until, fresh=fresh,
        )  # fmt: skip
    except BudgetSpent as error:
        job.note(f"{step.attack.id} was not finished: {error}")
    except UsageError as error:
        job.note(f"{step.attack.id} was not tried: {error}")
    except Exception as error:  # noqa: BLE001  the run loop of an assessment
        # One attack that fails must not take the others with it; the report lists it.
        what = (
            str(error) if isinstance(error, CasemateError) else f"{type(error).__name__}: {error}"
        )
        job.note(f"{step.attack.id} failed: {what}")
        job.interrupted = True
    return None


def _doubt(job: Job, trial: Trial, classes: int) -> None:
    """Note a model that does worse than guessing: the labels are probably in another order."""
    clean = trial.clean
    if trial.family == "evasion" and clean.high is not None and clean.high < 1 / classes:
        job.note(
            f"before any attack the model is right on {clean.value:.1%} of the inputs, less than "
            "guessing gives: check that the data's classes are in the model's order"
        )


def _threats(job: Job, loaded: Loaded, uri: str, data: str | None, trials: list[Trial]) -> None:
    from casemate.workflows.modelling import modality, system_of

    system = system_of(loaded, uri, data)
    scanned = [record for record in job.records if isinstance(record, Verdict)]
    job.add(system, *threats(system, trials, scanned, modality=modality(loaded)))


def _file_of(uri: str, root: Path) -> Path | None:
    """Return the file a target URI names, None for endpoints, modules and missing files."""
    from casemate.targets.uri import parse

    if uri.startswith(("http", "grpc")):
        return None
    path = root / Path(parse(uri, root).place).expanduser()
    return path if path.exists() else None


def _stage(progress: Progress | None, name: str) -> Progress | None:
    if progress is None:
        return None
    return lambda what, done, total: progress(f"{name}: {what}", done, total)
