"""Operating: how far a case reaches, and what is done about it where no guard stands.

`case radius` follows the lineage. `case contain --patch` prints a change for an operator and does
nothing; `--mlflow` sets an alias back. All go on the case's custody log, with what undoes them.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from casemate.case import evidence
from casemate.case.changes import Change, Wish, change
from casemate.case.changes_mlflow import mlflow_alias, registered
from casemate.errors import CasemateError, UsageError
from casemate.records.edge import Node
from casemate.records.make import make
from casemate.store.cases import CaseBook
from casemate.store.lineage import LineageBook
from casemate.workflows import collecting, containing, custody, lineage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from casemate.records.incident import Incident
    from casemate.store.workspace import Workspace
    from casemate.workflows.config import Loaded

PRODUCTION = ("prod", "production", "champion", "live")
"""Aliases that are set back unless another is named, the first there is."""

_NAMED = 200
"""Nodes of a radius that the custody log names; all of it is an item of evidence."""
_KEPT = "records/radius"


def radius(
    loaded: Loaded,
    workspace: Workspace,
    case: str,
    *,
    by: str,
    data: str | Path | None = None,
    rows: str | None = None,
    nodes: Sequence[str] = (),
) -> lineage.Blast:
    """Return how far a case reaches and put it on record; arguments as `lineage.radius`.

    Raises:
        UsageError: Nothing to begin at, no such file or node.
        FormatError: Rows were asked for and the file's cannot be read.
        StoreError: It cannot be kept.
    """
    cases = CaseBook(workspace)
    found = cases.get(case)
    if data is None and not nodes:
        _name_models(workspace, found)
    blast = lineage.radius(loaded, workspace, found, data=data, rows=rows, nodes=nodes)
    running = [
        one
        for kind in ("deployment", "alias", "version", "model")
        for side in (blast.radius.recorded, blast.radius.proposed)
        for one in side.get(kind, ())
    ]
    counts = {kind: number for kind, number in blast.radius.counts.items() if number}
    counted = ", ".join(f"{number} {kind}" for kind, number in counts.items())
    words = f"reaches {counted or 'nothing that is known'}"
    names = [one.node.name for one in running if one.confidence == 1][:8]
    if names:
        words += f": {', '.join(names)}"
    if blast.decisions is not None:
        words += f"; {blast.decisions:,} decisions"
    if blast.principals is not None:
        words += f" for {blast.principals:,} principals"
    if blast.radius.cut or blast.radius.unknown or blast.notes:
        words += "; not all of it is known"
    kept = _keep(workspace, found, blast)
    cases.change(
        found.id,
        custody.action(
            by, "scoped", words,
            records=tuple(dict.fromkeys(one.node.id for one in running))[:_NAMED],
            details={
                **counts, "decisions": blast.decisions, "principals": blast.principals,
                "unknown": len(blast.radius.unknown), "item": kept,
            },
        ),
        lambda one: one,
    )  # fmt: skip
    return blast


class _Start(msgspec.Struct):
    id: str


class _Followed(msgspec.Struct):
    starts: list[_Start]


class _Record(msgspec.Struct):
    """Of a kept radius, what it began at: what that reaches is in the lineage, uncut."""

    radius: _Followed


def _keep(workspace: Workspace, case: Incident, blast: lineage.Blast) -> str:
    """Keep a radius among the evidence, beside those before it; return its item's name."""
    folder = collecting.folder_of(workspace, case.id)
    body = msgspec.json.format(msgspec.json.encode(lineage.blast_as_json(blast)))
    digest = hashlib.sha256(body).hexdigest()
    name = f"{_KEPT}.json"
    if any(one.name == name and one.copy != digest for one in evidence.read(folder)):
        name = f"{_KEPT}-{digest[:12]}.json"
    item = evidence.keep(
        folder, name, body, kind="record", source=case.id, how="written from the workspace",
        at=datetime.now(UTC),
    )  # fmt: skip
    evidence.write(folder, [item])
    return name


def _reached(workspace: Workspace, case: Incident) -> set[str]:
    """Return the ids of all versions that any radius of a case reaches.

    Raises:
        UsageError: Nothing is known of how far it reaches, or not all of it.
    """
    ask = f"casemate case radius {case.id}, or --to VERSION"
    folder = collecting.folder_of(workspace, case.id)
    items = {one.name: one for one in evidence.read(folder)}
    scoped = [
        one.details.get("item")
        for one in CaseBook(workspace).log(case.id).actions
        if one.kind == "scoped" and one.outcome == "done"
    ]
    starts: dict[str, None] = {}
    for name in scoped:
        item = items.get(str(name))
        path = folder / evidence.COPIES / str(item.copy) if item is not None else None
        try:
            body = path.read_bytes() if path is not None else b""
            whole = item is not None and hashlib.sha256(body).hexdigest() == item.copy
            told = msgspec.json.decode(body if whole else b"", type=_Record)
        except (OSError, msgspec.DecodeError) as error:
            raise UsageError(
                f"a radius of {case.id} was not kept, so which versions are good is not known",
                hint="--to VERSION",
            ) from error
        starts.update((one.id, None) for one in told.radius.starts)
    if not starts:
        raise UsageError(
            f"how far {case.id} reaches is not known, nor which versions are good", hint=ask
        )
    try:
        return lineage.reached(workspace, list(starts), "version")
    except UsageError as error:
        raise UsageError(f"which versions are good is not known: {error}", hint=ask) from error


def _name_models(workspace: Workspace, case: Incident) -> None:
    """Let the lineage know the models of a case by the name their events carry, at least."""
    book = LineageBook(workspace)
    names = case.triage.models if case.triage is not None else ()
    known = {one.facts.get("model") for one in book.nodes(("deployment", "version", "alias"))}
    book.add(
        make(Node, id=f"deployment:{name}", kind="deployment", name=name, facts={"model": name})
        for name in names
        if name not in known and not book.find(name)
    )


def patch(
    loaded: Loaded,
    workspace: Workspace,
    case: str,
    action: str,
    path: Path,
    *,
    by: str,
    principals: Sequence[str] = (),
    settings: Mapping[str, containing.Setting] | None = None,
) -> Change:
    """Return the change an operator makes to a file, and put on record that it was written.

    Args:
        loaded: The configuration.
        workspace: Where the case is kept.
        case: Its id.
        action: `block`, `throttle` or `last-good`.
        path: An nginx, Envoy or KServe file.
        by: Who asks for it.
        principals: Instead of the suspects.
        settings: `per_minute`, `upstream`, `instead_of`.

    Raises:
        UsageError: The file cannot be read or cannot do this, there is nobody to reach, or the
            case is closed.
    """
    cases = CaseBook(workspace)
    found = _unclosed(cases.get(case))
    told = dict(settings or {})
    names = list(principals)
    if not names and found.triage is not None:
        names = [one.principal for one in found.triage.suspects if one.principal]
    upstream = told.get("upstream") or loaded.config.guard.last_good
    instead = told.get("instead_of")
    wish = Wish(
        found.id,
        action,
        tuple(names),
        header=loaded.config.guard.principal.header,
        per_minute=float(told.get("per_minute", 6.0)),
        upstream=None if upstream is None else str(upstream),
        instead_of=None if instead is None else str(instead),
    )
    try:
        text = path.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read as text: {error}") from error
    made = change(str(path), text, wish)
    digest = f"sha256:{hashlib.sha256(made.text.encode()).hexdigest()}"
    cases.change(
        found.id,
        custody.action(
            by, "contained", f"{action}: a change of {path.name} was written for an operator",
            outcome="planned", records=(digest,), details={"action": action, "file": path.name},
        ),
        _unclosed,
    )  # fmt: skip
    return made


def set_alias(
    loaded: Loaded,
    workspace: Workspace,
    case: str,
    url: str,
    *,
    by: str,
    to: str | None = None,
    dry_run: bool = False,
    emergency: bool = False,
    settings: Mapping[str, containing.Setting] | None = None,
) -> list[str]:
    """Set an alias of a registry back to a version that was good; returns what was done, in lines.

    Args:
        loaded: The configuration.
        workspace: Where the case is kept.
        case: Its id.
        url: Of an MLflow tracking server.
        by: Who does it.
        to: The version; by default the newest before the present one that the lineage knows and
            no radius of the case reaches.
        dry_run: Only say what would be done.
        emergency: Do it before the evidence is frozen, on record.
        settings: `model` and `alias`, where the case does not say which.

    Raises:
        UsageError: Which model, alias or version is meant is not clear; the case is closed; or
            the evidence is not frozen and this is no emergency.
        TargetError: The registry cannot be asked; the log then says that it failed.
    """
    del loaded
    cases = CaseBook(workspace)
    found = _unclosed(cases.get(case))
    told = dict(settings or {})
    model = _model(found, told)
    known = registered(url, model)
    if known is None:
        raise UsageError(
            f"the registry has no model '{model}'",
            hint="--set model=NAME: a registry may call it otherwise than events do",
        )
    alias = _alias(model, known.aliases, told)
    current = known.aliases[alias]
    version = to or _before(workspace, found, model, current, known.versions)
    if dry_run:
        return [
            f"{model}@{alias} stands for version {current} and would stand for {version}",
            "nothing was done: this was a dry run",
        ]
    frozen = any(
        one.kind == "frozen" and one.outcome == "done" for one in cases.log(found.id).actions
    )
    if not frozen and not emergency:
        raise UsageError(
            f"the evidence of {found.id} is not frozen, and a containment changes the system",
            hint=f"casemate case collect {found.id}, or --emergency, which goes on record",
        )
    details: dict[str, str | int | float | bool | None] = {
        "action": "last-good", "registry": url, "model": model, "alias": alias,
        "former": current, "now": version, "emergency": not frozen,
    }  # fmt: skip
    words = f"last-good: {model}@{alias} from version {current} to {version}"
    say = partial(custody.action, by, "contained")
    cases.change(found.id, say(words, outcome="planned", details=details), _unclosed)
    try:
        moved = mlflow_alias(url, model, alias, version)
    except (CasemateError, OSError) as error:
        cases.change(found.id, say(f"{words}: {error}", outcome="failed", details=details))
        raise
    words = f"last-good: {model}@{alias} from version {moved.former} to {moved.now}"
    if not frozen:
        words += "; as an emergency, before the evidence was frozen"
    cases.change(
        found.id,
        say(words, details={**details, "former": moved.former, "now": moved.now}),
        lambda one: (
            one if one.state == "closed" else msgspec.structs.replace(one, state="contained")
        ),
    )
    undo = f"casemate case contain {found.id} --action last-good --mlflow {url}"
    return [
        f"{model}@{alias} stands for version {moved.now} now; it stood for {moved.former}",
        f"undo: {undo} --to {moved.former} --set model={model} --set alias={alias}",
        "servers that loaded the alias before serve the former version until they load it again",
    ]


def _model(case: Incident, told: Mapping[str, containing.Setting]) -> str:
    if told.get("model"):
        return str(told["model"])
    models = case.triage.models if case.triage is not None else ()
    if len(models) != 1:
        raise UsageError(
            f"{case.id} names {'no model' if not models else f'{len(models)} models'}",
            hint="--set model=NAME",
        )
    return models[0]


def _alias(model: str, aliases: Mapping[str, str], told: Mapping[str, containing.Setting]) -> str:
    wanted = told.get("alias")
    if wanted is not None and str(wanted) in aliases:
        return str(wanted)
    if wanted is None and len(aliases) == 1:
        return next(iter(aliases))
    if wanted is None:
        for alias in PRODUCTION:
            if alias in aliases:
                return alias
    raise UsageError(
        f"{model} has no alias '{wanted}'" if wanted else f"which alias of {model} is not clear",
        hint=f"--set alias=NAME, of: {', '.join(sorted(aliases)) or 'none'}",
    )


def _unclosed(case: Incident) -> Incident:
    if case.state == "closed":
        raise UsageError(f"{case.id} is closed", hint=f"casemate case reopen {case.id}")
    return case


def _before(
    workspace: Workspace, case: Incident, model: str, current: str, versions: Sequence[str]
) -> str:
    """Return the newest version before the present one that is known and no radius reaches."""
    reached = _reached(workspace, case)
    known = {one.id for one in LineageBook(workspace).nodes(("version",))}
    place = versions.index(current) if current in versions else len(versions)
    for version in reversed(versions[:place]):
        end = f":models/{model}/{version}"
        if _any(known, end) and not _any(reached, end):
            return version
    raise UsageError(
        f"{model} has no version before {current} that is known to be good",
        hint="--to VERSION, or casemate lineage import mlflow URL, if it was not imported yet",
    )


def _any(idents: set[str], end: str) -> bool:
    return any(one.endswith(end) for one in idents)
