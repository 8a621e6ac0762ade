"""Asks an MLflow tracking server over its REST API; needs neither MLflow nor its database.

Source: MLflow 3.17, service.proto, model_registry.proto, mlflow_artifacts.proto in `mlflow/protos`.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from casemate.errors import Refused, TargetError
from casemate.lineage.hashing import Seen
from casemate.lineage.mlflow_told import (
    Input,
    Model,
    Run,
    Told,
    Version,
    number,
    rows_of,
    text,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from casemate.targets.service import Service

API = "/api/2.0/mlflow"
PAGE = 1000
LOGGED_PAGE = 50
"""Servers refuse larger pages of logged models."""
PAGES = 10_000
"""Pages of one list; a server that has more to tell has lost count."""
DEPTH = 6
ENTRIES = 2_000
"""Files of one run or model; a run with more is a data set of its own."""
FOLDERS = 500
"""Folders of one run or model that are asked for: each is a question to the server."""
FILE = 256 << 20
"""Bytes of one file that are fetched to know its digest."""


def ask(service: Service, most: int) -> Told:
    """Return what the server tells, up to `most` runs, models and versions each.

    Raises:
        TargetError: It cannot be reached, or does not answer as MLflow does.
    """
    notes: list[str] = []
    experiments = [
        text(each.get("experiment_id"))
        for each in _pages(
            service, "GET", "experiments/search", "experiments", most, notes, view_type="ALL"
        )
    ]
    runs = [
        _run(each)
        for some in _chunks(experiments)
        for each in _pages(
            service,
            "POST",
            "runs/search",
            "runs",
            most,
            notes,
            experiment_ids=some,
            run_view_type="ALL",
        )
    ]
    models: list[Model] = []
    try:
        for some in _chunks(experiments):
            found = _pages(
                service, "POST", "logged-models/search", "models", most, notes,
                page=LOGGED_PAGE, experiment_ids=some,
            )  # fmt: skip
            models += [_model(each) for each in found]
    except Refused:
        notes.append("the server knows no logged models: it is older than MLflow 3")
    aliases: list[tuple[str, str, str]] = []
    for each in _pages(
        service, "GET", "registered-models/search", "registered_models", most, notes
    ):
        name = text(each.get("name"))
        pairs = _list(each.get("aliases"))
        aliases += [(name, text(one.get("alias")), text(one.get("version"))) for one in pairs]
    versions = [
        _version(each)
        for each in _pages(service, "GET", "model-versions/search", "model_versions", most, notes)
    ]
    return Told(runs, models, versions, aliases, notes)


def files(service: Service, uri: str, *, hashed: bool) -> tuple[list[Seen], str]:
    """Return the files below an `mlflow-artifacts:` URI and, where some are missing, why."""
    root = uri.removeprefix("mlflow-artifacts:").lstrip("/")
    found: list[Seen] = []
    cut: list[str] = []
    try:
        for path, size in _walk(service, root, cut):
            if len(found) >= ENTRIES:
                return found, f"{uri} holds more than {ENTRIES:,} files"
            digest = None
            if hashed and (size is None or size <= FILE):
                digest = _digest(service, f"{root}/{path}")
            found.append(Seen(path, digest, size))
    except TargetError as error:
        return found, f"the files of {uri} cannot be listed: {error}"
    return found, f"not all files of {uri} were listed: {'; '.join(cut)}" if cut else ""


def _walk(service: Service, root: str, cut: list[str]) -> Iterator[tuple[str, int | None]]:
    """Yield path and bytes of each file, no more than DEPTH deep and in FOLDERS folders.

    Args:
        service: The server.
        root: Where it begins.
        cut: What is left out is said here.
    """
    waiting = [("", 0)]
    asked, deeper = 0, False
    while waiting:
        below, depth = waiting.pop()
        if asked >= FOLDERS:
            cut.append(f"there are more than {FOLDERS:,} folders")
            break
        asked += 1
        where = f"{root}/{below}".rstrip("/")
        said = service.get("/api/2.0/mlflow-artifacts/artifacts", path=where)
        folders = []
        for each in _list(said.get("files")):
            name = text(each.get("path")).rpartition("/")[2]
            if not name or name in (".", ".."):
                continue
            path = f"{below}/{name}".lstrip("/")
            if each.get("is_dir") is not True:
                yield path, number(each.get("file_size"))
            elif depth < DEPTH:
                folders.append((path, depth + 1))
            else:
                deeper = True
        waiting += reversed(folders)
    if deeper:
        cut.append(f"there are folders more than {DEPTH} deep")


def _digest(service: Service, path: str) -> str | None:
    total = hashlib.sha256()
    try:
        for piece in service.pieces(f"/api/2.0/mlflow-artifacts/artifacts/{quote(path)}", FILE):
            total.update(piece)
    except TargetError:
        return None
    return f"sha256:{total.hexdigest()}"


def _pages(
    service: Service,
    method: str,
    what: str,
    key: str,
    most: int,
    notes: list[str],
    *,
    page: int = PAGE,
    **asked: Any,
) -> Iterator[dict[str, Any]]:
    token, count, seen, name = "", 0, set(), what.partition("/")[0]
    for _ in range(PAGES):
        body = {**asked, "max_results": page, **({"page_token": token} if token else {})}
        path = f"{API}/{what}"
        said = service.get(path, **body) if method == "GET" else service.send(method, path, body)
        found = _list(said.get(key))
        for each in found:
            if count >= most:
                notes.append(f"only the first {most:,} of {name} were read")
                return
            count += 1
            yield each
        token = text(said.get("next_page_token"))
        if not token:
            return
        if not found:
            notes.append(f"{name}: the server sent an empty page and says there are more")
            return
        if token in seen:
            notes.append(f"{name}: the server's pages go round in a circle")
            return
        seen.add(token)
    notes.append(f"only the first {PAGES:,} pages of {name} were read")


def _run(said: dict[str, Any]) -> Run:
    info, data, inputs = (_dict(said.get(key)) for key in ("info", "data", "inputs"))
    return Run(
        text(info.get("run_id")) or text(info.get("run_uuid")),
        text(info.get("run_name")),
        text(info.get("status")),
        text(info.get("lifecycle_stage")),
        number(info.get("start_time")),
        text(info.get("artifact_uri")),
        _pairs(data.get("params")),
        _pairs(data.get("tags")),
        [_input(each) for each in _list(inputs.get("dataset_inputs"))],
        [text(each.get("model_id")) for each in _list(inputs.get("model_inputs"))],
    )


def _input(said: dict[str, Any]) -> Input:
    dataset = _dict(said.get("dataset"))
    return Input(
        text(dataset.get("name")),
        text(dataset.get("digest")),
        text(dataset.get("source")),
        _pairs(said.get("tags")).get("mlflow.data.context", ""),
        rows_of(text(dataset.get("profile"))),
    )


def _model(said: dict[str, Any]) -> Model:
    info = _dict(said.get("info"))
    return Model(
        text(info.get("model_id")),
        text(info.get("name")),
        text(info.get("source_run_id")),
        number(info.get("creation_timestamp_ms")),
        text(info.get("artifact_uri")),
    )


def _version(said: dict[str, Any]) -> Version:
    return Version(
        text(said.get("name")),
        text(said.get("version")),
        text(said.get("source")),
        text(said.get("run_id")),
        number(said.get("creation_timestamp")),
        text(said.get("current_stage")),
        _pairs(said.get("tags")),
    )


def _chunks(experiments: list[str]) -> Iterator[list[str]]:
    for begin in range(0, len(experiments), 50):
        yield experiments[begin : begin + 50]


def _list(value: object) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _pairs(value: object) -> dict[str, str]:
    return {text(each.get("key")): text(each.get("value")) for each in _list(value)}
