"""Reads an `mlruns` folder, where MLflow keeps runs as files, without MLflow; it may be hostile.

Source: MLflow 3.17, `file_store.py` of `mlflow/store/tracking` and `mlflow/store/model_registry`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from casemate.errors import FormatError
from casemate.formats.yaml import plain
from casemate.formats.yaml import read as read_yaml
from casemate.lineage.mlflow_told import Input, Model, Run, Told, Version, number, rows_of, text

if TYPE_CHECKING:
    from collections.abc import Iterator

SIZE = 1 << 20
"""Bytes of one of its files."""
_STATUS = {1: "RUNNING", 2: "SCHEDULED", 3: "FINISHED", 4: "FAILED", 5: "KILLED"}
"""RunStatus of MLflow's service.proto; other stores write the word."""
_FIELDS = 500
"""Parameters or tags of one run."""


def is_store(folder: Path) -> bool:
    """Say whether a folder is one where MLflow keeps runs."""
    return (
        any((one / "meta.yaml").is_file() for one in _folders(folder, 1000))
        or (folder / "models").is_dir()
    )


def ask(folder: Path, most: int) -> Told:
    """Return what the folder tells, up to `most` runs, models and versions each."""
    told = Told([], [], [], [], [])
    for experiment in _folders(folder, most):
        if experiment.name in ("models", ".trash") or not (experiment / "meta.yaml").is_file():
            continue
        sets = {
            one.name: _meta(one, told)
            for one in _folders(experiment / "datasets", most)
        }  # fmt: skip
        for one in _folders(experiment, most):
            if (one / "meta.yaml").is_file() and one.name not in ("datasets", "models", "traces"):
                told.runs.append(_run(one, experiment.name, sets, told))
        for one in _folders(experiment / "models", most):
            said = _meta(one, told)
            told.models.append(
                Model(
                    one.name,
                    text(said.get("name")),
                    text(said.get("source_run_id")),
                    number(said.get("creation_timestamp")),
                    f"mlflow-artifacts:/{experiment.name}/models/{one.name}/artifacts",
                )
            )
    for registered in _folders(folder / "models", most):
        _registered(registered, told, most)
    for what, found in (("runs", told.runs), ("models", told.models), ("versions", told.versions)):
        if len(found) > most:
            del found[most:]
            told.notes.append(f"only the first {most:,} {what} were read")
    return told


def _run(folder: Path, experiment: str, sets: dict[str, dict[str, Any]], told: Told) -> Run:
    said = _meta(folder, told)
    inputs, models = [], []
    for one in _folders(folder / "inputs", 10_000):
        given = _meta(one, told)
        source = text(given.get("source_id"))
        if given.get("source_type") == "DATASET" and source in sets:
            dataset, tags = sets[source], given.get("tags")
            context = tags.get("mlflow.data.context") if isinstance(tags, dict) else ""
            inputs.append(
                Input(
                    text(dataset.get("name")),
                    text(dataset.get("digest")),
                    text(dataset.get("source")),
                    text(context),
                    rows_of(text(dataset.get("profile"))),
                )
            )
        elif given.get("source_type") == "RUN_INPUT":
            models.append(text(given.get("destination_id")))
    status = said.get("status")
    return Run(
        folder.name,
        text(said.get("run_name")),
        _STATUS.get(status, "") if isinstance(status, int) else text(status),
        text(said.get("lifecycle_stage")),
        number(said.get("start_time")),
        f"mlflow-artifacts:/{experiment}/{folder.name}/artifacts",
        _values(folder / "params"),
        _values(folder / "tags"),
        inputs,
        models,
    )


def _registered(folder: Path, told: Told, most: int) -> None:
    for one in _folders(folder, most):
        if not one.name.startswith("version-"):
            continue
        said = _meta(one, told)
        told.versions.append(
            Version(
                folder.name,
                one.name.removeprefix("version-"),
                text(said.get("source")),
                text(said.get("run_id")),
                number(said.get("creation_timestamp")),
                text(said.get("current_stage")),
                _values(one / "tags"),
            )
        )
    told.aliases.extend(
        (folder.name, alias, version.strip())
        for alias, version in _values(folder / "aliases").items()
    )


def _meta(folder: Path, told: Told) -> dict[str, Any]:
    path = folder / "meta.yaml"
    try:
        found = plain(read_yaml(_content(path)))
    except (OSError, FormatError) as error:
        told.notes.append(f"{folder.name}/meta.yaml cannot be read: {error}"[:200])
        return {}
    return found if isinstance(found, dict) else {}


def _values(folder: Path) -> dict[str, str]:
    """Return what files hold, by their paths below a folder: a name may have slashes in it."""
    found: dict[str, str] = {}
    waiting = [folder]
    while waiting and len(found) < _FIELDS:
        try:
            inside = sorted(os.scandir(waiting.pop()), key=lambda entry: entry.name)
        except OSError:
            continue
        for entry in inside:
            path = Path(entry.path)
            if entry.is_dir(follow_symlinks=False):
                waiting.append(path)
            elif entry.is_file(follow_symlinks=False):
                try:
                    found[path.relative_to(folder).as_posix()] = _content(path)
                except (OSError, FormatError):
                    continue
    return found


def _content(path: Path) -> str:
    if not path.is_file() or path.is_symlink():
        raise FormatError("no plain file")
    with path.open("rb") as file:
        raw = file.read(SIZE + 1)
    if len(raw) > SIZE:
        raise FormatError(f"longer than {SIZE:,} bytes")
    return raw.decode("utf-8", "replace")


def _folders(folder: Path, most: int) -> Iterator[Path]:
    try:
        inside = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        return
    yield from [
        Path(entry.path) for entry in inside if entry.is_dir(follow_symlinks=False)
    ][: most + 1]  # fmt: skip
