"""What an MLflow tracking server tells, whichever way it was asked, and the lineage it makes.

A dataset is read by a run, unless it was only tested on; a run made the models and files it logged;
a model is registered as a version, which bears aliases. Names follow MLflow's own: `models:/m-1`
becomes `mlflow:models/m-1`, `models:/fraud/3` `mlflow:models/fraud/3`, `models:/fraud@prod`
`mlflow:models/fraud@prod`.
Source: MLflow 3.17, `mlflow/store/*/dbmodels/models.py`, `mlflow/protos/service.proto`.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote, urlsplit

from casemate.lineage.places import kind_of
from casemate.lineage.telling import LONGEST, Telling, plain_uri

if TYPE_CHECKING:
    from casemate.lineage.hashing import Seen

TESTED = frozenset({"eval", "evaluate", "evaluation", "test", "testing"})
"""Contexts of a dataset that a model only meets once it is made. One named `validation` may have
decided when to stop or which model to keep, so it counts as read."""
_PARAMETERS = 40


class Input(NamedTuple):
    """A dataset that a run read."""

    name: str
    digest: str
    """MLflow's own: of the first 10,000 rows, so that it proves less than one of the content."""
    source: str
    """JSON; what it holds depends on the kind of source."""
    context: str
    rows: int | None


class Run(NamedTuple):
    """One run of an experiment."""

    id: str
    name: str
    status: str
    stage: str
    started: int | None
    """Milliseconds since the epoch, as all times here."""
    artifacts: str
    """URI of the folder it logged files into."""
    parameters: dict[str, str]
    tags: dict[str, str]
    inputs: list[Input]
    models: list[str]
    """Ids of logged models that it read."""


class Model(NamedTuple):
    """A logged model (MLflow 3)."""

    id: str
    name: str
    run: str
    created: int | None
    artifacts: str


class Version(NamedTuple):
    """A version of a registered model."""

    name: str
    number: str
    source: str
    run: str
    created: int | None
    stage: str
    tags: dict[str, str]


class Told(NamedTuple):
    """All that was told."""

    runs: list[Run]
    models: list[Model]
    versions: list[Version]
    aliases: list[tuple[str, str, str]]
    """(registered model, alias, version)."""
    notes: list[str]


class Maker(Telling):
    """Turns what was told into nodes and edges."""

    def __init__(self, by: str, name: str) -> None:
        """Take who says so, and a name for the server where there is more than one."""
        super().__init__(by)
        self._origin = f"mlflow-{name}" if name else "mlflow"

    def ident(self, path: str) -> str:
        """Return the id of what MLflow calls `path`."""
        return f"{self._origin}:{path}"


def add_run(maker: Maker, run: Run) -> str:
    """Add a run, its code and what it read; returns its id."""
    facts: dict[str, Any] = {"status": run.status}
    if run.stage == "deleted":
        facts["deleted"] = True
    for key, value in list(run.parameters.items())[:_PARAMETERS]:
        facts["seed" if key in ("seed", "random_state") else f"param.{key[:60]}"] = value[:LONGEST]
    ident = maker.node(
        maker.ident(f"runs/{run.id}"), "run", run.name or run.id, at=run.started, facts=facts
    )
    commit = run.tags.get("mlflow.source.git.commit", "")
    if re.fullmatch(r"[0-9a-f]{7,64}", commit):
        name = run.tags.get("mlflow.source.name", "").rpartition("/")[2] or commit[:12]
        code = maker.node(f"git:{commit}", "code", name, facts={"commit": commit})
        maker.edge(code, ident, "read-by", at=run.started)
    for model in run.models:
        maker.edge(maker.ident(f"models/{model}"), ident, "read-by", at=run.started)
    return ident


def add_input(maker: Maker, run: Run, given: Input) -> str | None:
    """Add a dataset a run read and return its id; None where the run was only tested on it."""
    ident = maker.ident(f"datasets/{given.name}/{given.digest}")
    facts: dict[str, Any] = {"mlflow_digest": given.digest, "rows": given.rows}
    uri = source_uri(given.source)
    facts["uri"] = plain_uri(uri)[:LONGEST]
    maker.node(ident, "dataset", given.name, at=run.started, facts=facts)
    if given.context.lower() in TESTED:
        return None
    maker.edge(ident, maker.ident(f"runs/{run.id}"), "read-by", at=run.started)
    return ident


def add_model(maker: Maker, model: Model, run: str, files: list[Seen]) -> None:
    """Add a logged model, called by its run too, and the digest of its weights if one file."""
    weights = [seen for seen in files if seen.path.rpartition("/")[2] not in DESCRIBING]
    ident = maker.ident(f"models/{model.id}")
    one = weights[0] if len(weights) == 1 else None
    facts: dict[str, Any] = {"files": len(weights)} if weights else {}
    if one is not None:
        facts |= {"file": one.path[:LONGEST], "bytes": one.size}
    maker.node(
        ident,
        "model",
        f"{run}: {model.name or model.id}" if run else model.name or model.id,
        digest=None if one is None else one.digest,
        at=model.created,
        facts=facts,
    )
    if one is None:
        for seen in weights:
            part = add_file(maker, f"models/{model.id}/{seen.path}", seen, at=model.created)
            maker.edge(part, ident, "part-of", at=model.created)
    if model.run:
        maker.edge(maker.ident(f"runs/{model.run}"), ident, "made", at=model.created)


DESCRIBING = frozenset(
    {
        "MLmodel",
        "conda.yaml",
        "input_example.json",
        "python_env.yaml",
        "python_model.pkl.meta",
        "registered_model_meta",
        "requirements.txt",
        "serving_input_example.json",
    }
)
"""Files MLflow writes beside the weights (MLflow 3.17, `mlflow/models/model.py`)."""


def add_file(maker: Maker, path: str, seen: Seen, *, at: int | None) -> str:
    """Add a file that was logged and return its id."""
    return maker.node(
        maker.ident(path),
        kind_of(path, written=True),
        path.rpartition("/")[2],
        digest=seen.digest,
        at=at,
        facts={"bytes": seen.size},
    )


def add_version(maker: Maker, version: Version) -> None:
    """Add a version of a registered model and join it to the model it was made from."""
    facts: dict[str, Any] = {"version": version.number, "registered": version.name}
    if version.stage not in ("", "None"):
        facts["stage"] = version.stage
    for key, value in list(version.tags.items())[:_PARAMETERS]:
        facts[f"tag.{key[:60]}"] = value[:LONGEST]
    ident = maker.node(
        maker.ident(f"models/{version.name}/{version.number}"),
        "version",
        f"{version.name} {version.number}",
        at=version.created,
        facts=facts,
    )
    source = resolve(maker, version.source)
    if source is None and version.run:
        tail = re.search(rf"{re.escape(version.run)}/artifacts/(.+)", version.source)
        source = maker.ident(f"runs/{version.run}/{tail[1].strip('/') if tail else 'model'}")
    if source is None:
        maker.notes.append(
            f"{version.name} {version.number} comes from {plain_uri(version.source)[:120]}, "
            "which no run of this server made: its training data are unknown"
        )
        source = maker.node(
            maker.ident(f"elsewhere/{plain_uri(version.source)[:LONGEST]}"),
            "model",
            plain_uri(version.source),
            facts={"uri": plain_uri(version.source)[:LONGEST]},
        )
    elif source not in maker.nodes and "@" not in source:
        maker.node(source, "model", version.name, at=version.created)
    copied = re.fullmatch(r"models:/+[^/@]+/\d+", version.source)
    maker.edge(source, ident, "same-as" if copied else "registered-as", at=version.created)
    if version.run and not copied:
        maker.edge(maker.ident(f"runs/{version.run}"), source, "made", at=version.created)


def add_alias(maker: Maker, name: str, alias: str, number: str) -> None:
    """Add an alias and what it stands for now."""
    ident = maker.node(
        maker.ident(f"models/{name}@{alias}"),
        "alias",
        f"{name}@{alias}",
        facts={"registered": name, "alias": alias, "version": number},
    )
    maker.edge(maker.ident(f"models/{name}/{number}"), ident, "aliased-as")


def resolve(maker: Maker, uri: str) -> str | None:
    """Return the id of what a URI of MLflow's own names, None for any other."""
    found = re.fullmatch(r"models:/+([^/@]+)(?:/(\d+)|@([^/]+))?(?:/.*)?", uri)
    if found:
        name, number, alias = found.groups()
        path = f"models/{name}" + (f"/{number}" if number else f"@{alias}" if alias else "")
        return maker.ident(path)
    found = re.fullmatch(r"runs:/+([0-9a-f]{32})/(.+)", uri)
    if found is None:
        found = re.fullmatch(r"mlflow-artifacts:.*/([0-9a-f]{32})/artifacts/(.+)", uri)
    if found:
        return maker.ident(f"runs/{found[1]}/{found[2].strip('/')}")
    found = re.fullmatch(r"mlflow-artifacts:.*/models/(m-[0-9a-f]{32})/artifacts/?.*", uri)
    return maker.ident(f"models/{found[1]}") if found else None


def source_uri(source: str) -> str:
    """Return where a dataset came from: MLflow keeps it as JSON whose keys vary by its kind."""
    try:
        said = json.loads(source)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(said, dict):
        return ""
    for key in ("uri", "url", "path", "delta_table_name", "table_name"):
        value = said.get(key)
        if isinstance(value, str) and value:
            return value
    return ""


def local_path(uri: str) -> str | None:
    """Return the path of a `file:` URI or of a plain path, None for any other URI."""
    if uri.startswith("file:"):
        return unquote(urlsplit(uri).path) or None
    return None if not uri or re.match(r"[A-Za-z][\w+.-]+:", uri) else uri


def text(value: object) -> str:
    """Return a name or an id; a server may write a number where another writes text."""
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""


def number(value: object) -> int | None:
    """Return a time or a size; servers write 64-bit numbers as text now and then."""
    if isinstance(value, str) and value.isdecimal() and len(value) < 19:
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if 0 <= value < 1 << 50 else None


def rows_of(profile: str) -> int | None:
    """Return the number of rows a dataset's profile states."""
    try:
        said = json.loads(profile or "null")
    except (ValueError, RecursionError):
        return None
    return number(said.get("num_rows")) if isinstance(said, dict) else None
