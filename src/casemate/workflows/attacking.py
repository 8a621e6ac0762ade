"""Attack as a job: one catalog attack on one target, or one step of an assessment.

Runs what the configuration names: a model's own code, through `targets`. Trials whose inputs are
unchanged are taken from the workspace by digest.
"""

from __future__ import annotations

import hashlib
import platform
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

import casemate
from casemate.attack.findings import findings_of
from casemate.attack.run import run
from casemate.catalog import loader
from casemate.catalog.entries import Attack
from casemate.errors import BudgetSpent, StoreError, UsageError
from casemate.records.codec import decode, encode
from casemate.records.trial import Trial
from casemate.targets import digest
from casemate.targets.uri import parse, parse_code
from casemate.workflows.job import Job
from casemate.workflows.opening import Opened, open_both

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from casemate.export.report import Bundle
    from casemate.store.workspace import Workspace
    from casemate.workflows.config import Loaded
    from casemate.workflows.planning import Step

    Progress = Callable[[str, int, int], None]


_ASKED = 16
"""Inputs whose answers tell one state of a model from another."""


class Attacked(NamedTuple):
    """What an attack job leaves."""

    bundle: Bundle
    trial: Trial
    exit_code: int


def attack_once(
    loaded: Loaded,
    attack: str,
    *,
    target: str | None = None,
    data: str | None = None,
    label: str | None = None,
    params: Mapping[str, Any] | None = None,
    budget: int | None = None,
    inputs: int | None = None,
    seed: int | None = None,
    device: str = "auto",
    workspace: Workspace | None = None,
    progress: Progress | None = None,
    fresh: bool = False,
) -> Attacked:
    """Run one attack and keep its trial and findings as a run.

    Args:
        loaded: The configuration; what is given here beats it.
        attack: Catalog id.
        target: Target URI.
        data: Data URI.
        label: Label column of a table.
        params: Parameters of the attack that differ from its defaults.
        budget: Evaluations allowed to each input.
        inputs: Attack at most this many.
        seed: Of everything random.
        device: `auto`, `cpu` or `cuda`.
        workspace: Where to keep the run; None keeps it in memory.
        progress: Called with (what, done, total).
        fresh: Do not take an earlier trial with the same inputs.
    """
    loader.params(loader.entry("attacks", attack, Attack), params or {})  # usage errors come first
    seed = loaded.config.attack.seed if seed is None else seed
    with open_both(loaded, target=target, data=data, label=label, device=device) as opened:
        job = Job(
            "attack",
            loaded,
            workspace,
            arguments={"attack": attack, "data": opened.data.target.uri, "label": opened.label},
            seed=seed,
            target=opened.model.target.uri,
        )
        with job:
            describe_inputs(job, opened)
            trial = take_step(
                job, opened, loaded, attack,
                params=params or {}, budget=budget, seed=seed,
                inputs=inputs or loaded.config.attack.inputs,
                device=opened.device, progress=progress, fresh=fresh,
            )  # fmt: skip
            job.interrupted = trial.state == "interrupted"
    code = 3 if trial.state in ("interrupted", "failed") else 0
    return Attacked(job.bundle(), trial, code)


def take_step(
    job: Job,
    opened: Opened,
    loaded: Loaded,
    attack: str,
    *,
    params: Mapping[str, Any],
    budget: int | None,
    seed: int,
    inputs: int | None,
    device: str,
    progress: Progress | None = None,
    deadline: float | None = None,
    fresh: bool = False,
) -> Trial:
    """Run one attack, or take the trial an earlier run kept for the very same inputs."""
    entry = loader.entry("attacks", attack, Attack)
    params = loader.params(entry, params)
    key = _key(opened, loaded, attack, params, budget, seed, inputs)
    trial = None if fresh else _kept(job, key)
    if trial is not None:
        job.note(f"{attack} was taken from an earlier run: nothing it depends on has changed")
    else:
        family: dict[str, Any] = {}
        if "training" in entry.needs and loaded.config.model.train:
            family["train"] = str(loaded.config.model.train)
            family["root"] = loaded.root
        trial = run(
            opened.model, opened.data, attack,
            params=params, budget=budget, seed=seed, limit=inputs, device=device,
            progress=progress, keep=job.keep, deadline=deadline, **family,
        )  # fmt: skip
        # What ran out of time is not what the same attack finds when it is given more.
        late = deadline is not None and time.monotonic() >= deadline
        if key and trial.state in ("complete", "budget-spent") and not late:
            job.cache(key, encode(trial))
    if deadline is not None and not trial.cost.forward and any(o.clean for o in trial.outcomes):
        raise BudgetSpent("there was no time for a single evaluation")
    job.add(trial, *findings_of(trial, entry))
    return trial


def sized(job: Job, opened: Opened, loaded: Loaded, step: Step, wanted: int) -> int:
    """Return how many inputs an earlier assessment of the same time gave this step, or `wanted`.

    Speed differs from run to run; a size that followed it would make every repetition measure
    everything again.
    """
    entry = step.attack
    params = loader.params(entry, step.params)
    key = _key(opened, loaded, entry.id, params, step.budget, loaded.config.attack.seed, None)
    if key is None:
        return wanted
    name = f"size:{job.run.budget}:{key}"
    before = job.cached(name)
    if before is not None:
        return int(before)
    job.cache(name, str(wanted).encode())
    return wanted


def describe_inputs(job: Job, opened: Opened) -> None:
    """Put on record what the figures depend on: columns, class names, framework versions."""
    import importlib.metadata

    job.add(*opened.data.columns)
    if opened.data.classes:
        job.classes(tuple(opened.data.classes))
    scheme = opened.model.target.uri.partition(":")[0]
    packages = {
        "torch": ("torch",), "torchscript": ("torch",), "torch-export": ("torch",),
        "onnx": ("onnxruntime", "onnx2torch"), "sklearn": ("scikit-learn",),
        "keras": ("keras", "torch"), "xgboost": ("xgboost",), "lightgbm": ("lightgbm",),
    }.get(scheme, ())  # fmt: skip
    for package in ("numpy", *packages):
        try:
            job.version(**{package: importlib.metadata.version(package)})
        except importlib.metadata.PackageNotFoundError:
            continue


def parse_settings(given: list[str]) -> dict[str, str]:
    """Turn `name=value` words into a mapping.

    Raises:
        UsageError: A word without `=`.
    """
    settings = {}
    for word in given:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise UsageError(f"--set {word} is not name=value", hint="--set eps=0.1")
        settings[name] = value
    return settings


def _kept(job: Job, key: str | None) -> Trial | None:
    body = job.cached(key) if key else None
    if body is None:
        return None
    try:
        trial = decode(body)
        if not isinstance(trial, Trial):
            return None
        if trial.adversarial:
            job.blob(trial.adversarial)
    except StoreError:
        return None  # kept by another version, or its payload is gone: measure again
    return trial


def _key(
    opened: Opened,
    loaded: Loaded,
    attack: str,
    params: Mapping[str, Any],
    budget: int | None,
    seed: int,
    inputs: int | None,
) -> str | None:
    """Return the digest of all a trial depends on; None where the target has no digest."""
    model, data = opened.model.target, opened.data.target
    if model.digest is None or data.digest is None:
        return None
    parts = (
        casemate.__version__, loader.digest(), platform.machine(), model, data, attack,
        dict(params), budget, seed, inputs, opened.label, opened.data.columns,
        loaded.config.model, _answers(opened, loaded), _training(loaded),
    )  # fmt: skip
    body = msgspec.json.encode(parts, order="deterministic")
    return f"trial:{hashlib.sha256(body).hexdigest()}"


def _answers(opened: Opened, loaded: Loaded) -> str | None:
    """Return a digest of a few answers of a model that is code: it may load what no digest saw."""
    if parse(opened.model.target.uri, loaded.root).factory is None:
        return None
    import numpy as np

    model: Any = opened.model
    rows = np.linspace(0, len(opened.data.x) - 1, _ASKED).astype(int)
    x = opened.data.x[rows]
    given = model.scores(x) if "scores" in model.gives else model.labels(x)
    return digest.of_arrays([np.round(np.asarray(given), 5)])


def _training(loaded: Loaded) -> str | None:
    """Return the digest of the file with the training function, None where there is none."""
    train = loaded.config.model.train
    place = parse_code(train, loaded.root) if train else None
    if place is None or not place.place.endswith(".py"):
        return None
    return digest.of_path(place.path(loaded.root))
