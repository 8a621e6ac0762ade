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

from casemate.errors import UsageError
from casemate.lineage.digests import of_file
from casemate.lineage.graph import tree
from casemate.lineage.places import kind_of
from casemate.lineage.recording import How, record
from casemate.records.edge import Node
from casemate.records.make import make
from casemate.store.lineage import LineageBook

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from casemate.lineage.account import Recorded
    from casemate.lineage.found import Lineage
    from casemate.lineage.graph import Branch
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
    return recorded


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
