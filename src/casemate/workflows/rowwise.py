"""Rows of data sets: their digests kept with the lineage, and contaminated ones found in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from casemate.errors import CasemateError, UsageError
from casemate.lineage.digests import of_file
from casemate.lineage.rows import digests_of, has_rows

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from casemate.lineage.account import Recorded
    from casemate.records.edge import Node
    from casemate.store.lineage import LineageBook


class Held(NamedTuple):
    """A data set that holds some of the rows asked for."""

    node: Node
    rows: int | None
    """How many of them; None where it is the file itself and its rows were not looked at."""


class Found(NamedTuple):
    """Where rows are."""

    asked: int | None
    """Different rows that were looked for; None where the file was looked for as a whole."""
    holding: tuple[Held, ...]
    untold: tuple[Node, ...]
    """Data sets of which it is not known whether they hold any: no row digests are kept, and
    they are no longer where they were."""


def keep(book: LineageBook, recorded: Recorded) -> Iterator[str]:
    """Keep the row digests of a run's data sets; yield in words where that cannot be."""
    for ident, digests in recorded.folders.items():
        book.put_rows(ident, (of_member(one) for one in digests), len(digests))
    for ident, path in recorded.tables.items():
        if has_rows(path):
            yield from _keep(book, book.node(ident), path)


def find(book: LineageBook, root: Path, data: Path, rows: str | None, notes: list[str]) -> Found:
    """Return the data sets that hold rows of a file.

    Args:
        book: Where the lineage is kept; row digests that can still be taken are added.
        root: Folder that paths of the lineage are relative to.
        data: The file.
        rows: Which of its rows; None for the file and all of them.
        notes: Gains what could not be told.

    Raises:
        UsageError: There is no such file, none of its rows is meant, or it has no rows to choose.
        FormatError: `rows` is given and the file cannot be read.
    """
    digest = of_file(data)
    if digest is None:
        raise UsageError(f"{data} cannot be read", hint="--data names one file")
    wanted: set[int] = {of_member(digest)}
    asked = None
    if rows is not None or has_rows(data):
        try:
            wanted = set(digests_of(data, rows).digests)
            asked = len(wanted)
        except CasemateError as error:
            if rows is not None:
                raise
            notes.append(f"{error}: looked for as a whole alone")
    if rows is not None and not wanted:
        raise UsageError(f"no row of {data.name} is meant by '{rows}'")
    untold = [node for node in _without_rows(book) if not _read_now(book, root, node, notes)]
    held = {ident: Held(book.node(ident), many) for ident, many in book.holding(wanted).items()}
    if rows is None:
        for node in book.find(digest):
            held.setdefault(node.id, Held(node, None))
    known = [node for node in untold if node.id not in held]
    if known:
        notes.append(f"of {len(known)} data sets it is not known whether they hold any of the rows")
    if not held:
        notes.append(f"no data set of the lineage is known to hold rows of {data.name}")
    return Found(asked, tuple(held.values()), tuple(known))


def of_member(digest: str) -> int:
    """Return the row digest of a file that is one of many of a data set."""
    return int(digest.removeprefix("sha256:")[:16], 16)


def _without_rows(book: LineageBook) -> list[Node]:
    told = set(book.with_rows())
    return [one for one in book.nodes(("dataset",)) if one.id not in told]


def _read_now(book: LineageBook, root: Path, node: Node, notes: list[str]) -> bool:
    """Take the row digests of a data set that still lies where it was; say whether it did."""
    path = node.facts.get("path")
    if not isinstance(path, str) or node.digest is None:
        return False
    here = root / path
    if not here.is_file() or not has_rows(here) or of_file(here) != node.digest:
        return False
    said = list(_keep(book, node, here))
    notes += said
    return not said


def _keep(book: LineageBook, node: Node, path: Path) -> Iterator[str]:
    try:
        found = digests_of(path)
    except CasemateError as error:
        yield f"the rows of {node.name} are not known: {error}"
        return
    if of_file(path) != node.digest:
        yield f"the rows of {node.name} are not known: it has changed since it was read"
        return
    book.put_rows(node.id, found.digests, found.total)
