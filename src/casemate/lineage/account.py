"""Account: the nodes and edges that tell of one run, from what it touched and stood on."""

from __future__ import annotations

import os
import platform
import shlex
import signal
import time
from collections import Counter
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, NamedTuple

from casemate.lineage import surroundings
from casemate.lineage.digests import of_file, of_list, of_text
from casemate.lineage.files import now
from casemate.lineage.found import Lineage
from casemate.lineage.places import kind_of
from casemate.records.edge import Edge, Node, NodeKind, Relation
from casemate.records.make import make, new_id

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from casemate.lineage.files import Files

BY = "lineage record"
MANY = 64
"""Files of one folder from which on they are told of as one data set."""
SMALL = 64
"""Bytes below which equal content does not make two files one node."""
_PACKAGES = 40
"""Packages named in the facts of an environment; all of them are in its listing."""
_SHOWN = 2_000


class Ended(NamedTuple):
    """How a run ended."""

    code: int
    """As subprocess has it: negative for the signal that ended it."""
    began: int
    ended: int
    """Nanoseconds since the epoch."""
    notes: list[str]
    """What could not be seen."""
    written: list[str]
    """Declared outputs that are new or changed."""


class Recorded(NamedTuple):
    """A run that has ended, and its lineage."""

    run: str
    """Id of its node."""
    exit_code: int
    """Of the command; 128 and the signal's number where one ended it."""
    lineage: Lineage
    listing: str
    """The packages it could use, `name==version` a line; its digest is the environment's."""
    tables: dict[str, Path]
    """Where data sets that are single files lie, by id, unchanged since they were read."""
    folders: dict[str, list[str]]
    """By id of a data set that is many files: their digests."""


class _File(NamedTuple):
    path: str
    digest: str | None
    bytes: int
    changed: int


class Account:
    """What is told of one run: its beginning, then all of it."""

    def __init__(
        self,
        command: Sequence[str],
        root: Path,
        declared: tuple[Path, ...],
        parents: tuple[Node, ...],
        git: Mapping[str, str | bool],
    ) -> None:
        self.run = f"run:{new_id('run')}"
        self._command = list(command)
        self._root = root.resolve()
        self._declared = declared
        self._parents = parents
        self._git = git
        self._nodes: dict[tuple[str, str], Node] = {}
        self._edges: dict[tuple[str, str, str], Edge] = {}
        self._folders: dict[str, list[str]] = {}
        self._tables: dict[str, Path] = {}

    def beginning(self) -> Lineage:
        """Return the run as it stands before it starts; it says `running` until it has ended."""
        return Lineage(
            [self._run_node({"state": "running"}), *self._parents], self._from_parents(), []
        )

    def ending(self, files: Files, ended: Ended) -> Recorded:
        """Return all that can be told of the run."""
        notes = list(ended.notes)
        if files.full:
            notes.append("it touched more files than are remembered; the others are not told of")
        code, data = self._inputs(files, notes)
        outputs = self._outputs(files, ended)
        listing = self._environment(files, notes)
        scripts = self._code(code)
        self._read_by_run(data)
        self._made_by_run(outputs)
        facts: dict[str, str | int | float | bool] = {
            **_end_of(ended.code),
            "seconds": round((ended.ended - ended.began) / 1e9, 3),
            "read": len(data),
            "wrote": len(outputs),
        }
        if seeds := surroundings.seeds(self._command, os.environ, scripts, self._root):
            facts["seed"] = "; ".join(seeds[:8])
        if notes:
            facts["unseen"] = "; ".join(notes)[:_SHOWN]
        run = self._run_node(facts, at=ended.began // 1000)
        lineage = Lineage(
            [run, *self._parents, *self._nodes.values()],
            [*self._from_parents(), *self._edges.values()],
            notes,
        )
        exit_code = ended.code if ended.code >= 0 else 128 - ended.code
        return Recorded(self.run, exit_code, lineage, listing, self._tables, self._folders)

    def _inputs(self, files: Files, notes: list[str]) -> tuple[list[_File], list[_File]]:
        """Return the code and the data that were read."""
        code: list[_File] = []
        data: list[_File] = []
        lost: list[str] = []
        for one in files.inputs():
            digest = one.digest
            if digest is None and now(one.path) == one.mark:
                digest = of_file(Path(one.path))
            if digest is None:
                lost.append(self._name(one.path))
            known = _File(one.path, digest, one.mark.size, one.mark.changed)
            is_code = kind_of(one.path, written=False) == "code" and not self._is_declared(one.path)
            (code if is_code else data).append(known)
        if lost:
            some = ", ".join(lost[:5])
            notes.append(
                f"what {len(lost)} files held when they were read is not known, as they have "
                f"changed since: {some}"
            )
        return code, data

    def _outputs(self, files: Files, ended: Ended) -> list[_File]:
        found = []
        for path in sorted({*files.outputs(), *ended.written}):
            mark = now(path)
            if mark is not None:
                found.append(_File(path, of_file(Path(path)), mark.size, mark.changed))
        return found

    def _environment(self, files: Files, notes: list[str]) -> str:
        found = surroundings.environment(files.ignored)
        if not found.listing:
            notes.append("which packages it used was not seen")
            return ""
        digest = of_text(found.listing)
        facts: dict[str, str | int | float | bool] = {
            "packages": found.listing.count("\n") + 1,
            "system": platform.platform(),
        }
        for name, version in sorted(found.imported.items())[:_PACKAGES]:
            facts[f"package:{name}"] = version
        self._node(digest, "environment", f"{facts['packages']} packages", digest, None, facts)
        self._edge(digest, self.run, "read-by")
        return found.listing

    def _code(self, code: Sequence[_File]) -> list[Path]:
        """Tell of the scripts as one node; return them, the command's own first."""
        parts = [(self._name(one.path), one.digest) for one in code if one.digest is not None]
        if not parts:
            return []
        named = {str(Path(word).resolve()) for word in self._command if Path(word).is_file()}
        first = sorted(code, key=lambda one: (one.path not in named, one.path))
        digest = of_list(parts)
        facts: dict[str, str | int | float | bool] = {
            "files": len(parts),
            "script": self._name(first[0].path),
            "script_digest": first[0].digest or "",
            **self._git,
        }
        name = facts["script"]
        if "commit" in facts:
            name = f"{name} at {str(facts['commit'])[:12]}"
            name += "" if facts.get("clean") else " and changes"
        self._node(digest, "code", str(name), digest, None, facts)
        self._edge(digest, self.run, "read-by")
        return [Path(one.path) for one in first if one.path.endswith(".py")]

    def _read_by_run(self, data: Sequence[_File]) -> None:
        for node in self._told(data, written=False):
            self._edge(node.id, self.run, "read-by")

    def _made_by_run(self, outputs: Sequence[_File]) -> None:
        for node in self._told(outputs, written=True):
            self._edge(self.run, node.id, "made")
            if node.kind in {"model", "checkpoint"}:
                for parent in self._parents:
                    self._edge(parent.id, node.id, "derived-from")

    def _told(self, found: Sequence[_File], *, written: bool) -> list[Node]:
        """Tell of files, many of one folder as one data set."""
        nodes = []
        for folder, inside in _grouped(found):
            if folder is None:
                nodes += [self._file(one, written=written) for one in inside]
                continue
            held = [
                (PurePath(one.path).relative_to(folder).as_posix(), one.digest)
                for one in inside
                if one.digest is not None
            ]
            digest = of_list(held)
            self._folders[digest] = [one for _, one in held]
            facts: dict[str, str | int | float | bool] = {
                "files": len(inside),
                "bytes": sum(one.bytes for one in inside),
                "path": self._name(folder),
            }
            at = max(one.changed for one in inside) // 1000
            name = f"{self._name(folder)}/"
            nodes.append(self._node(digest, "dataset", name, digest, at, facts))
        return nodes

    def _file(self, one: _File, *, written: bool) -> Node:
        name = self._name(one.path)
        kind = kind_of(one.path, written=written)
        if kind in {"file", "code"} and self._is_declared(one.path):
            kind = "dataset"
        ident = f"file:{name}@{one.changed}"  # what it held is not known
        if one.digest is not None:
            small = one.bytes < SMALL
            ident = f"file:{name}#{one.digest[7:23]}" if small else one.digest
        facts: dict[str, str | int | float | bool] = {"bytes": one.bytes, "path": name}
        node = self._node(ident, kind, name, one.digest, one.changed // 1000, facts)
        if kind == "dataset" and one.digest is not None:
            self._tables[ident] = Path(one.path)
        return node

    def _run_node(
        self, facts: Mapping[str, str | int | float | bool], at: int | None = None
    ) -> Node:
        command = shlex.join(surroundings.masked(self._command))[:_SHOWN]
        return make(
            Node,
            id=self.run,
            kind="run",
            name=command[:80],
            at=at,
            facts={"command": command, "machine": platform.machine(), **facts},
        )

    def _from_parents(self) -> list[Edge]:
        return [_step(parent.id, self.run, "read-by") for parent in self._parents]

    def _node(
        self,
        ident: str,
        kind: NodeKind,
        name: str,
        digest: str | None,
        at: int | None,
        facts: Mapping[str, str | int | float | bool],
    ) -> Node:
        node = make(Node, id=ident, kind=kind, name=name, digest=digest, at=at, facts=dict(facts))
        # By name as well: a copy has the same content, and is looked for under its own name.
        return self._nodes.setdefault((node.id, node.name), node)

    def _edge(self, source: str, target: str, relation: Relation) -> None:
        if source != target:
            step = _step(source, target, relation)
            self._edges[source, target, relation] = step

    def _name(self, path: str) -> str:
        whole = PurePath(path)
        inside = whole.is_relative_to(self._root)
        return whole.relative_to(self._root).as_posix() if inside else whole.as_posix()

    def _is_declared(self, path: str) -> bool:
        return any(PurePath(path).is_relative_to(place) for place in self._declared)


def _step(source: str, target: str, relation: Relation) -> Edge:
    at = time.time_ns() // 1000
    return make(Edge, source=source, target=target, relation=relation, by=BY, at=at)


def _grouped(found: Sequence[_File]) -> list[tuple[str | None, list[_File]]]:
    """Return files by folder where a folder has many of one ending; the others under None.

    Folders beside each other, as those of classes are, become one.
    """
    by_folder: dict[tuple[str, str], list[_File]] = {}
    for one in found:
        place = PurePath(one.path)
        by_folder.setdefault((str(place.parent), place.suffix.lower()), []).append(one)
    many = {key: inside for key, inside in by_folder.items() if len(inside) >= MANY}
    above = Counter(str(PurePath(folder).parent) for folder, _ in many)
    groups: dict[str, list[_File]] = {}
    for (folder, _), inside in many.items():
        parent = str(PurePath(folder).parent)
        groups.setdefault(parent if above[parent] > 1 else folder, []).extend(inside)
    single = [one for key, inside in by_folder.items() if key not in many for one in inside]
    return [*groups.items(), (None, single)]


def _end_of(code: int) -> dict[str, str | int]:
    if code < 0:
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        return {"state": f"killed by {name}", "exit_code": 128 - code}
    return {"state": "complete" if code == 0 else "failed", "exit_code": code}
