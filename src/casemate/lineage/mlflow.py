"""MLflow -> lineage: a tracking server over REST, its SQLite database, or a folder `mlruns`.

Nothing of MLflow is imported and nothing it holds is run: models are hashed, never loaded.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from casemate.errors import MissingExtra, UsageError
from casemate.lineage.hashing import Hasher, Seen
from casemate.lineage.mlflow_told import (
    DESCRIBING,
    Maker,
    Told,
    add_alias,
    add_file,
    add_input,
    add_model,
    add_run,
    add_version,
    local_path,
    resolve,
    source_uri,
)
from casemate.lineage.telling import plain_uri

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from casemate.lineage.found import Lineage
    from casemate.targets.service import Service

MOST = 200_000
"""Runs, models and versions read of one server, each."""
REWRITTEN = 0.7
"""Confidence that a dataset came from a file that was written after the run read it."""


def read(
    place: str,
    *,
    name: str = "",
    artifacts: str | os.PathLike[str] | None = None,
    data: str | os.PathLike[str] | None = None,
    hashed: bool = True,
    most: int = MOST,
    environ: Mapping[str, str] | None = None,
) -> Lineage:
    """Return the lineage of a tracking server.

    Args:
        place: `http(s)://...`, the path of an `mlflow.db`, or an `mlruns` folder.
        name: Tells servers apart whose registered models may bear the same names.
        artifacts: Folder the server keeps artifacts in; without it they are fetched over REST, or,
            of a database, not seen.
        data: Folder below which data files of this machine may be read for their digests.
        hashed: Whether to read the bytes of artifacts and data at all.
        most: Runs, models and versions read, each.
        environ: Where credentials are found.

    Raises:
        TargetError: The server cannot be asked.
        FormatError: The file is no database of MLflow's.
        UsageError: There is no such place.
        MissingExtra: httpx is not installed.
    """
    hasher = Hasher([Path(folder) for folder in (artifacts, data) if folder is not None])
    if place.startswith(("http://", "https://")):
        try:
            from casemate.lineage import mlflow_rest
            from casemate.targets.service import Service
        except ModuleNotFoundError as error:
            raise MissingExtra("http", for_="asking a tracking server") from error
        with Service(place, os.environ if environ is None else environ) as service:
            told = mlflow_rest.ask(service, most)
            local = _local_files(hasher, artifacts) if artifacts is not None else None
            files = local or _served_files(service, hashed=hashed)
            return _made(told, f"mlflow {place}", name, files, hasher if hashed else None)
    from casemate.lineage import mlflow_folder, mlflow_sqlite

    path = Path(place.removeprefix("sqlite:///").removeprefix("file://"))
    if path.is_dir() and not mlflow_folder.is_store(path) and (path / "mlruns").is_dir():
        path /= "mlruns"
    if path.is_file():
        told = mlflow_sqlite.ask(path, most)
    elif path.is_dir() and mlflow_folder.is_store(path):
        told = mlflow_folder.ask(path, most)
    else:
        raise UsageError(
            f"there is no MLflow server, database or folder at {place}",
            hint="http://host:port of a tracking server, the path of its mlflow.db, or mlruns",
        )
    beside = path.parent if path.is_file() else path
    files = _local_files(hasher, artifacts if artifacts is not None else beside)
    return _made(told, f"mlflow {path.name}", name, files, hasher if hashed else None)


def _made(
    told: Told,
    by: str,
    name: str,
    files: Callable[[str], tuple[list[Seen], str]],
    hasher: Hasher | None,
) -> Lineage:
    maker = Maker(by, name)
    maker.notes += told.notes
    unseen: dict[str, int] = {}
    tested = 0

    def look(uri: str) -> list[Seen]:
        found, why = files(uri)
        if why:
            unseen[why] = unseen.get(why, 0) + 1
        return found

    for run in sorted(told.runs, key=lambda run: (run.started or 0, run.id)):
        ident = add_run(maker, run)
        for seen in look(run.artifacts) if run.artifacts else []:
            if seen.path.rpartition("/")[2] in DESCRIBING:
                continue
            part = add_file(maker, f"runs/{run.id}/{seen.path}", seen, at=run.started)
            maker.edge(ident, part, "made", at=run.started)
            folder = seen.path.rpartition("/")[0]
            if folder and _is_source(told, run.id, folder):
                model = maker.node(maker.ident(f"runs/{run.id}/{folder}"), "model", folder)
                maker.edge(part, model, "part-of", at=run.started)
        for given in run.inputs:
            dataset = add_input(maker, run, given)
            if dataset is None:
                tested += 1
            else:
                _from_source(maker, dataset, source_uri(given.source), run.started, hasher)
    _inherit(maker, told)
    names = {run.id: run.name for run in told.runs}
    for logged in told.models:
        found = look(logged.artifacts) if logged.artifacts else []
        add_model(maker, logged, names.get(logged.run, ""), found)
    for version in told.versions:
        add_version(maker, version)
    for registered, alias, number in told.aliases:
        add_alias(maker, registered, alias, number)
    for why, times in unseen.items():
        maker.notes.append(why if times == 1 else f"{why} (and {times - 1} more)")
    if tested:
        maker.notes.append(f"{tested} datasets were only tested on: nothing learned from them")
    return maker.lineage()


def _is_source(told: Told, run: str, folder: str) -> bool:
    """Say whether a registered model lies in this folder of a run, as before MLflow 3."""
    return any(
        version.run == run and version.source.rstrip("/").endswith(f"/{folder}")
        for version in told.versions
    )


def _from_source(
    maker: Maker, dataset: str, uri: str, started: int | None, hasher: Hasher | None
) -> None:
    """Join a dataset to what it was read from: another run's file, a file here, an address."""
    known = resolve(maker, uri)
    if known is not None:
        maker.edge(known, dataset, "derived-from", at=started)
        return
    path = local_path(uri)
    if path is None:
        if uri:
            plain = plain_uri(uri)
            source = maker.node(plain, "file", plain, facts={"uri": plain[:300]})
            maker.edge(source, dataset, "derived-from", at=started)
        return
    seen = hasher.file(path) if hasher is not None else None
    source = maker.node(
        f"file:{path}",
        "file",
        path,
        digest=None if seen is None else seen.digest,
        facts={} if seen is None else {"bytes": seen.size},
    )
    later = seen is not None and seen.changed is not None and seen.changed > (started or 0)
    if later:
        why = f"{path} was written after the run read it, so its bytes may be others"
        maker.edge(source, dataset, "derived-from", at=started, confidence=REWRITTEN, why=why)
    else:
        maker.edge(source, dataset, "derived-from", at=started)


def _inherit(maker: Maker, told: Told) -> None:
    """Propose, for a run that names no data, what the run around it read."""
    by_id = {run.id: run for run in told.runs}
    for run in told.runs:
        parent = by_id.get(run.tags.get("mlflow.parentRunId", ""))
        if parent is None or any(add_input(maker, run, each) for each in run.inputs):
            continue
        for given in parent.inputs:
            dataset = add_input(maker, parent, given)
            if dataset is not None:
                why = "the run around it read this, and it names no data of its own"
                target = maker.ident(f"runs/{run.id}")
                maker.edge(dataset, target, "read-by", at=run.started, confidence=0.9, why=why)


def _served_files(service: Service, *, hashed: bool) -> Callable[[str], tuple[list[Seen], str]]:
    from casemate.lineage import mlflow_rest

    def files(uri: str) -> tuple[list[Seen], str]:
        if not uri.startswith("mlflow-artifacts:"):
            return [], _elsewhere(uri)
        return mlflow_rest.files(service, uri, hashed=hashed)

    return files


def _local_files(
    hasher: Hasher, artifacts: str | os.PathLike[str]
) -> Callable[[str], tuple[list[Seen], str]]:
    root = Path(artifacts)
    for inside in ("mlartifacts", "artifacts"):
        if (root / inside).is_dir():
            root = root / inside
            break
    hasher.allow(root)

    def files(uri: str) -> tuple[list[Seen], str]:
        if uri.startswith("mlflow-artifacts:"):
            place = root / uri.removeprefix("mlflow-artifacts:").lstrip("/")
        else:
            path = local_path(uri)
            if path is None:
                return [], _elsewhere(uri)
            place = Path(path)
        return hasher.folder(place)

    return files


def _elsewhere(uri: str) -> str:
    where = plain_uri(uri).partition(":")[0]
    return f"artifacts kept at {where}: were not looked at, so their digests are not known"
