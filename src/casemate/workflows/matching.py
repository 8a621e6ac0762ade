"""Matching: looks into files for the steps of lineage that nobody recorded, and proposes them.

The verb `lineage match` comes here. Files are read and compared, never loaded or run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from casemate.errors import FormatError, UsageError
from casemate.lineage.digests import of_file
from casemate.lineage.matching import FLOOR, Content, propose
from casemate.lineage.places import kind_of
from casemate.records.edge import Node
from casemate.records.make import make
from casemate.store.lineage import LineageBook

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from casemate.records.edge import Edge
    from casemate.store.workspace import Workspace
    from casemate.workflows.config import Loaded

FILES = 20_000
SIZE = 16 << 30
"""Bytes of a file that is looked into."""


class Matched(NamedTuple):
    """What matching found."""

    proposed: tuple[Edge, ...]
    """Most confident first."""
    names: dict[str, str]
    """By id of a node: what a person calls it."""
    looked: int
    """Files that were compared."""
    fresh: int
    """Nodes and edges that are new in the book."""
    notes: tuple[str, ...]
    """What could not be compared, one sentence each."""


def match(
    loaded: Loaded,
    workspace: Workspace,
    places: Sequence[Path],
    *,
    floor: float = FLOOR,
    progress: Callable[[str, int, int], None] | None = None,
) -> Matched:
    """Compare tables and weights with one another and keep the steps that are probable.

    Args:
        loaded: The configuration; names are relative to its folder.
        workspace: Where the lineage is kept.
        places: Files and folders.
        floor: Least confidence of a proposal.
        progress: Called with (what, done, total).

    Raises:
        UsageError: There is nothing at a place, or nothing in it that can be compared.
        MissingExtra: NumPy, or what reads a table, is not installed.
    """
    book = LineageBook(workspace)
    notes: list[str] = []
    files = list(_files(places))
    if len(files) > FILES:
        notes.append(f"only the first {FILES:,} of {len(files):,} files were looked into")
    contents: dict[str, Content] = {}
    nodes: list[Node] = []
    for number, path in enumerate(files[:FILES]):
        if progress is not None:
            progress("compare files", number, len(files))
        try:
            found = _content(book, loaded, path)
        except FormatError as error:
            notes.append(str(error))
            continue
        if found is None:
            notes.append(f"{path.name} holds neither a table nor weights in a form that is read")
        else:
            contents.setdefault(found.node.id, found)
            nodes.append(found.node)
    if not contents:
        raise UsageError(
            "there is nothing that can be compared",
            hint="tables: CSV, Parquet, npz; weights: safetensors, torch archives, npz",
        )
    proposed = propose(list(contents.values()), floor=floor)
    fresh = book.add(nodes, proposed)
    return Matched(
        tuple(proposed),
        {one.id: one.name for one in nodes},
        len(contents),
        fresh,
        tuple(notes),
    )


def _content(book: LineageBook, loaded: Loaded, path: Path) -> Content | None:
    from casemate.lineage import rows
    from casemate.lineage.columns import marks_of
    from casemate.lineage.likeness import sketch_of

    if path.stat().st_size > SIZE:
        raise FormatError(f"{path.name} is longer than {SIZE:,} bytes and was not looked into")
    marks = sketch = None
    if rows.has_rows(path):
        try:
            marks = marks_of(path)
        except FormatError:
            if path.suffix != ".npz":
                raise
    if marks is None or path.suffix == ".npz":
        try:
            sketch = sketch_of(path)
        except FormatError:
            sketch = None
    if marks is None and (sketch is None or not sketch.parts):
        return None
    return Content(_node(book, loaded, path), marks, sketch)


def _node(book: LineageBook, loaded: Loaded, path: Path) -> Node:
    """Return the node a file is known as, else a new one."""
    digest = of_file(path)
    if digest is None:
        raise FormatError(f"{path.name} cannot be read")
    known = [one for one in book.find(digest) if one.digest == digest]
    if known:
        return min(known, key=lambda one: (one.at is None, one.at, one.id))
    whole, root = path.resolve(), loaded.root.resolve()
    name = whole.relative_to(root).as_posix() if whole.is_relative_to(root) else whole.as_posix()
    about = path.stat()
    return make(
        Node,
        id=digest,
        kind=kind_of(name, written=True),
        name=name,
        digest=digest,
        at=about.st_mtime_ns // 1000,
        facts={"bytes": about.st_size, "path": name},
    )


def _files(places: Sequence[Path]) -> Iterator[Path]:
    for place in places:
        if place.is_dir():
            yield from sorted(
                one for one in place.rglob("*")
                if one.is_file() and not one.is_symlink() and ".casemate" not in one.parts
            )  # fmt: skip
        elif place.is_file():
            yield place
        else:
            raise UsageError(f"there is no file or folder {place}")
