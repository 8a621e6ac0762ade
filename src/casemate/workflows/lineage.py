"""Lineage: runs recorded, records of others imported, and how far contamination reaches.

The verbs `lineage` and `case radius` come here; what is found goes into the workspace's book.
"""

from __future__ import annotations

import importlib
import inspect
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from casemate.errors import MissingExtra, UsageError
from casemate.lineage.digests import of_file
from casemate.lineage.graph import radius as follow
from casemate.lineage.graph import tree
from casemate.lineage.places import kind_of
from casemate.lineage.recording import How, record
from casemate.records.edge import Edge, Node
from casemate.records.make import make
from casemate.store.lineage import LineageBook
from casemate.workflows import decisions, rowwise

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from casemate.lineage.account import Recorded
    from casemate.lineage.found import Lineage
    from casemate.lineage.graph import Branch, Radius
    from casemate.records.incident import Incident
    from casemate.store.workspace import Workspace
    from casemate.workflows.config import Loaded


class Kept(NamedTuple):
    """What came into the book."""

    lineage: Lineage
    fresh: int
    """Nodes and edges that were not there before."""


def record_run(
    loaded: Loaded,
    workspace: Workspace,
    command: Sequence[str],
    *,
    data: Sequence[Path] = (),
    out: Sequence[str] = (),
    parents: Sequence[str] = (),
    how: How = "auto",
    row_digests: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> Recorded:
    """Run a command under the recorder and keep its lineage, whatever becomes of it.

    Args:
        loaded: The configuration; names are relative to its folder.
        workspace: Where the lineage is kept.
        command: Program and arguments.
        data: Files and folders it learns from.
        out: Patterns of files it writes.
        parents: Models it starts from: files, or nodes of the lineage.
        how: How to see what it opens.
        row_digests: Whether to keep a digest of each row of its data sets.
        say: Called with what a person at the terminal should know.

    Raises:
        UsageError: No such program, declared data or parent.
    """
    if not command or shutil.which(command[0]) is None:
        what = f"there is no program '{command[0]}'" if command else "no command is given"
        raise UsageError(what, hint="casemate lineage record -- python train.py")
    book = LineageBook(workspace)
    recorded = record(
        command,
        root=loaded.root,
        data=data,
        out=out,
        parents=[_parent(book, loaded.root, one) for one in parents],
        how=how,
        begun=lambda begun: _keep(book, begun),
        say=say,
    )
    _keep(book, recorded.lineage)
    if recorded.listing:
        workspace.put_blob(recorded.listing.encode())
    if row_digests:
        for note in rowwise.keep(book, recorded):
            say(note)
    return recorded


def deploy(
    workspace: Workspace,
    which: str,
    name: str,
    *,
    by: str,
    version: str | None = None,
    at: int | None = None,
) -> Node:
    """Put on record that a model answers under a name from a time on, and return the deployment.

    Args:
        workspace: Where the lineage is kept.
        which: The model, version or alias, as for `LineageBook.node`.
        name: Of the model as its events carry it.
        by: Who says so.
        version: As its events carry it.
        at: Since when, in microseconds since the epoch; None for ever.

    Raises:
        UsageError: There is no such node, or it is no model.
    """
    book = LineageBook(workspace)
    source = book.node(which)
    if source.kind not in {"model", "checkpoint", "version", "alias", "file"}:
        raise UsageError(f"a {source.kind} cannot be deployed", hint="name a model or a version")
    facts = {"model": name} if version is None else {"model": name, "version": version}
    whole = name if version is None else f"{name}:{version}"
    node = make(Node, id=f"deployment:{whole}", kind="deployment", name=whole, at=at, facts=facts)
    edge = make(Edge, source=source.id, target=node.id, relation="deployed-as", by=by, at=at)
    book.add([node], [edge])
    return node


def radius(
    loaded: Loaded,
    workspace: Workspace,
    case: Incident | None = None,
    *,
    data: str | Path | None = None,
    rows: str | None = None,
    nodes: Sequence[str] = (),
    telemetry: str | Path | None = None,
) -> Blast:
    """Return what contaminated data or models reach: models, deployments, decisions, people.

    Args:
        loaded: The configuration.
        workspace: Where the lineage is kept.
        case: Its models are where it begins, when neither data nor nodes are given.
        data: A contaminated file: itself, and every data set that holds rows of it.
        rows: Only these rows of it, as for `lineage.rows.chooser`.
        nodes: Nodes of the lineage.
        telemetry: Where the events are; by default the case's, else the guard's.

    Raises:
        UsageError: Nothing to begin at, no such file or node.
        FormatError: `rows` was given and the file's cannot be read.
    """
    book = LineageBook(workspace)
    notes: list[str] = []
    starts = [book.node(one) for one in nodes]
    found = None
    if data is not None:
        found = rowwise.find(book, loaded.root, Path(data), rows, notes)
        starts += [one.node for one in found.holding]
    elif rows is not None:
        raise UsageError("rows are of a file", hint="--data FILE --rows FILTER")
    if not starts and data is None and case is not None:
        starts = _models_of(book, case, notes)
    if not starts and data is None:
        raise UsageError(
            "there is nothing to begin at", hint="--data FILE, with --rows FILTER; or --node NODE"
        )
    whole = follow(book, list(dict.fromkeys(one.id for one in starts)))
    wanted = decisions.windows(book, whole)
    place = telemetry or (case.telemetry if case is not None else None)
    where = place or loaded.config.guard.telemetry or workspace.folder / "telemetry"
    served, number, people = _served(where, wanted, notes)
    if whole.cut:
        notes.append("there is more than is named here")
    return Blast(whole, found, tuple(served), number, people, tuple(notes))


def reached(workspace: Workspace, starts: Sequence[str], kind: str) -> set[str]:
    """Return the ids of all nodes of a kind that some nodes reach, themselves among them.

    Raises:
        UsageError: A start is not in the lineage, or there is more than can be followed.
    """
    book = LineageBook(workspace)
    reach = book.reach(starts)
    if reach.cut:
        raise UsageError("the radius is larger than can be followed")
    wanted = [number for number, of in book.kinds_at(reach.numbers).items() if of == kind]
    return {one.id for one in book.nodes_at(wanted).values()}


class Blast(NamedTuple):
    """How far contaminated data or models reach."""

    radius: Radius
    rows: rowwise.Found | None
    """Where the rows asked for were found; None where none were."""
    served: tuple[decisions.Served, ...]
    """What deployments within it answered."""
    decisions: int | None
    """Of all of them; None where it cannot be told."""
    principals: int | None
    """Who got one of them, each once; likewise."""
    notes: tuple[str, ...]
    """What is not known."""


def blast_as_json(blast: Blast) -> dict[str, Any]:
    """Return a radius as JSON takes it."""
    body: dict[str, Any] = msgspec.to_builtins(_by_name(blast))
    return body


def _by_name(value: Any) -> Any:
    """Return named tuples, at any depth, as dicts by the names of their fields."""
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return {name: _by_name(one) for name, one in value._asdict().items()}
    if isinstance(value, dict):
        return {name: _by_name(one) for name, one in value.items()}
    return [_by_name(one) for one in value] if isinstance(value, list | tuple) else value


def _models_of(book: LineageBook, case: Incident, notes: list[str]) -> list[Node]:
    """Return the nodes that a case's models are known by."""
    names = case.triage.models if case.triage is not None else ()
    found: list[Node] = []
    for name in names:
        known = [one for one in book.find(name) if one.kind in _RUNNING]
        known += [one for one in book.nodes(_RUNNING) if name in _names_of(one)]
        if not known:
            notes.append(f"the lineage does not know the model '{name}' of the case")
        found += known
    # The same weights may answer elsewhere: what is deployed is followed from what it is made of.
    behind = [
        one.node
        for node in found
        for one in book.neighbours(node.id, "up")
        if one.edge.relation in ("deployed-as", "aliased-as", "registered-as")
    ]
    return list({one.id: one for one in (*behind, *found)}.values())


_RUNNING = ("model", "version", "alias", "deployment")


def _names_of(node: Node) -> set[object]:
    return {node.facts.get("model"), node.facts.get("registered")}


def _served(
    where: str | Path, wanted: Sequence[decisions.Window], notes: list[str]
) -> tuple[list[decisions.Served], int | None, int | None]:
    if not wanted:
        notes.append("nothing within it is known to run, so no decisions can be counted")
        return [], None, None
    try:
        from casemate.store.telemetry.opening import open_query
    except ModuleNotFoundError as error:
        raise MissingExtra("case", for_="counting decisions") from error
    if "://" not in str(where) and not Path(where).is_dir():
        notes.append("there is no telemetry, so no decisions can be counted")
        return [], None, None
    return decisions.served(open_query(where, isolated=False), wanted)


def import_(loaded: Loaded, workspace: Workspace, kind: str, place: str, **options: Any) -> Kept:
    """Read the lineage that other software kept, and keep it here.

    Args:
        loaded: The configuration.
        workspace: Where the lineage is kept.
        kind: `mlflow`, `dvc`, `hf` or `mlbom`.
        place: File, folder or URL.
        **options: Of that reader.

    Raises:
        UsageError: There is no such reader, or nothing to read.
    """
    del loaded
    read = _reader(kind)
    known = inspect.signature(read).parameters
    if unknown := [option for option in options if option not in known]:
        raise UsageError(f"lineage import {kind} takes no --{unknown[0]}")
    found = read(place, **options)
    return Kept(found, LineageBook(workspace).add(found.nodes, found.edges))


class Overview(NamedTuple):
    """What the book holds."""

    counts: dict[str, int]
    newest: list[Node]


class Shown(NamedTuple):
    """A node and what is around it."""

    node: Node
    up: list[Branch]
    down: list[Branch]


def overview(workspace: Workspace, most: int = 40) -> Overview:
    """Return what is known: numbers, and the newest nodes."""
    book = LineageBook(workspace)
    return Overview(book.counts(), book.nodes(limit=most))


def show(workspace: Workspace, which: str) -> Shown:
    """Return a node, what it came from and what it led to.

    Raises:
        UsageError: There is none, or more than one is called so.
    """
    book = LineageBook(workspace)
    node = book.node(which)
    return Shown(node, tree(book, node.id, "up"), tree(book, node.id, "down"))


def overview_as_json(known: Overview) -> dict[str, Any]:
    """Return an overview as JSON takes it."""
    return {"counts": known.counts, "newest": [msgspec.to_builtins(one) for one in known.newest]}


def shown_as_json(shown: Shown) -> dict[str, Any]:
    """Return a node and its surroundings as JSON takes it."""
    return {
        "node": msgspec.to_builtins(shown.node),
        **{
            side: [{**msgspec.to_builtins(one._asdict())} for one in branches]
            for side, branches in (("up", shown.up), ("down", shown.down))
        },
    }


def _reader(kind: str) -> Callable[..., Lineage]:
    modules = {"mlflow": "mlflow", "dvc": "dvc", "hf": "hub", "mlbom": "mlbom"}
    if kind not in modules:
        raise UsageError(
            f"no lineage is read from '{kind}'", hint=f"known: {', '.join(sorted(modules))}"
        )
    read: Callable[..., Lineage] = importlib.import_module(f"casemate.lineage.{modules[kind]}").read
    return read


def _keep(book: LineageBook, found: Lineage) -> None:
    book.add(found.nodes, found.edges)


def _parent(book: LineageBook, root: Path, which: str) -> Node:
    path = Path(which)
    digest = of_file(path) if path.is_file() else None
    if digest is None:
        return book.node(which)
    whole = path.resolve()
    inside = whole.is_relative_to(root.resolve())
    name = whole.relative_to(root.resolve()).as_posix() if inside else whole.as_posix()
    kind = kind_of(name, written=True)
    return make(
        Node,
        id=digest,
        kind=kind if kind in {"model", "checkpoint"} else "model",
        name=name,
        digest=digest,
        at=path.stat().st_mtime_ns // 1000,
        facts={"bytes": path.stat().st_size, "path": name},
    )
