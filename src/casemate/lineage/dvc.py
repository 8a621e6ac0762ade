"""DVC -> lineage: `dvc.lock`, `dvc.yaml` and `.dvc` files of a project; no command of it is run.

A stage that ran is a run: it read its dependencies and made its outputs, each known by the MD5 that
DVC keeps. Where the file, or DVC's cache of it, is still there with that content, its SHA-256 is
taken too, by which other sources know it. Source: dvc.org/doc/user-guide/project-structure.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from casemate.errors import FormatError, UsageError
from casemate.formats.yaml import plain
from casemate.formats.yaml import read as read_yaml
from casemate.lineage.digests import of_text
from casemate.lineage.hashing import Hasher
from casemate.lineage.places import kind_of
from casemate.lineage.telling import LONGEST, Telling, plain_uri

if TYPE_CHECKING:
    from collections.abc import Iterator

    from casemate.lineage.found import Lineage

FILES = 5_000
"""Files of DVC's read of one project."""
DEPTH = 12
SIZE = 8 << 20
PARTS = 10_000
"""Files of one tracked folder that are named."""
_MD5 = re.compile(r"[0-9a-f]{32}(\.dir)?")


def read(place: str, *, hashed: bool = True) -> Lineage:
    """Return the lineage of a DVC project.

    Args:
        place: Its folder, or one of its files.
        hashed: Whether to read data for their SHA-256.

    Raises:
        UsageError: There is no such folder, or nothing of DVC's in it.
    """
    root = Path(place)
    if root.is_file():
        root = root.parent
    if not root.is_dir():
        raise UsageError(f"there is no folder {place}", hint="name the folder of a DVC project")
    project = _Project(root, hashed=hashed)
    files = list(_files(root, 0))[: FILES + 1]
    if not files:
        raise UsageError(
            f"{place} holds nothing of DVC's", hint="name the folder with dvc.yaml or *.dvc files"
        )
    if len(files) > FILES:
        project.telling.notes.append(f"only the first {FILES:,} files of DVC's were read")
    for path in files[:FILES]:
        project.take(path)
    return project.telling.lineage()


class _Project:
    def __init__(self, root: Path, *, hashed: bool) -> None:
        self._root = root.resolve()
        self._hasher = Hasher([root], md5=True) if hashed else None
        self.telling = Telling(f"dvc {root.resolve().name}")

    def take(self, path: Path) -> None:
        """Read one file; what it is no file of DVC's for becomes a note."""
        shown = path.resolve().relative_to(self._root).as_posix()
        try:
            if path.stat().st_size > SIZE:
                raise FormatError(f"longer than {SIZE:,} bytes")
            found = plain(read_yaml(path.read_bytes().decode()))
        except (OSError, UnicodeDecodeError, FormatError) as error:
            self.telling.notes.append(f"{shown} cannot be read: {error}")
            return
        if not isinstance(found, dict):
            self.telling.notes.append(f"{shown} is no file of DVC's")
            return
        folder = Path(shown).parent
        if path.name == "dvc.lock":
            self._lock(found, folder)
        elif path.name == "dvc.yaml":
            self._never_run(found, path)
        else:
            self._tracked(found, folder, shown)

    def _lock(self, found: dict[str, Any], folder: Path) -> None:
        stages = found.get("stages", found if "schema" not in found else {})
        for name, stage in _pairs(stages):
            words = json.dumps(stage, sort_keys=True, default=str)
            ident = f"dvc:stages/{(folder / name).as_posix()}/{of_text(words)[7:19]}"
            command = stage.get("cmd")
            shown = command if isinstance(command, str) else json.dumps(command, default=str)
            facts: dict[str, Any] = {"command": shown[:LONGEST]}
            for file, values in _pairs(stage.get("params")):
                for key, value in values.items():
                    if isinstance(value, str | int | float | bool):
                        facts[f"param.{key}"[:60]] = value if value != "" else None
                del file
            self.telling.node(ident, "run", name, facts=facts)
            for dep in _list(stage.get("deps")):
                source = self._content(dep, folder, written=False)
                if source is not None:
                    self.telling.edge(source, ident, "read-by")
            for out in _list(stage.get("outs")):
                target = self._content(out, folder, written=True)
                if target is not None:
                    self.telling.edge(ident, target, "made")

    def _never_run(self, found: dict[str, Any], path: Path) -> None:
        lock = path.with_name("dvc.lock")
        known = set()
        if lock.is_file() and lock.stat().st_size <= SIZE:
            try:
                locked = plain(read_yaml(lock.read_bytes().decode()))
                stages = locked.get("stages", {}) if isinstance(locked, dict) else {}
                known = {name.partition("@")[0] for name, _ in _pairs(stages)}
            except (OSError, UnicodeDecodeError, FormatError):
                return
        for name, _ in _pairs(found.get("stages")):
            if name not in known:
                self.telling.notes.append(
                    f"stage {name} was never run here: dvc.lock does not know what it read"
                )

    def _tracked(self, found: dict[str, Any], folder: Path, shown: str) -> None:
        outs = [self._content(out, folder, written=False) for out in _list(found.get("outs"))]
        for dep in _list(found.get("deps")):
            url = dep.get("url") or (dep.get("repo") or {}).get("url")
            if isinstance(url, str):
                plain_url = plain_uri(url)
                inside = dep.get("path")
                name = f"{plain_url}#{inside}" if isinstance(inside, str) else plain_url
                self.telling.node(name, "file", name, facts={"uri": name[:LONGEST]})
                for out in outs:
                    if out is not None:
                        self.telling.edge(name, out, "derived-from")
        if not any(outs):
            self.telling.notes.append(f"{shown} names nothing that is known by its content")

    def _content(self, said: dict[str, Any], folder: Path, *, written: bool) -> str | None:
        name, md5 = said.get("path"), said.get("md5") or said.get("checksum")
        if not isinstance(name, str) or not isinstance(md5, str) or not _MD5.fullmatch(md5):
            return None
        path = (folder / name).as_posix()
        size = said.get("size")
        digest = None
        if not md5.endswith(".dir"):
            digest = self._digest(path, md5)
        facts: dict[str, Any] = {"md5": md5, "path": path[:LONGEST]}
        if isinstance(size, int) and not isinstance(size, bool) and 0 <= size < 1 << 53:
            facts["bytes"] = size
        kind = "dataset" if md5.endswith(".dir") else kind_of(path, written=written)
        ident = self.telling.node(f"md5:{md5}", kind, path, digest=digest, facts=facts)
        if md5.endswith(".dir"):
            self._parts(ident, md5, path)
        return ident

    def _digest(self, path: str, md5: str) -> str | None:
        if self._hasher is None:
            return None
        cache = self._root / ".dvc" / "cache"
        for place in (
            cache / "files" / "md5" / md5[:2] / md5[2:],
            cache / md5[:2] / md5[2:],
            self._root / path,
        ):
            seen = self._hasher.file(place)
            if seen is not None and seen.md5 == md5:
                return seen.digest
        return None

    def _parts(self, ident: str, md5: str, path: str) -> None:
        """Name the files of a tracked folder, where DVC's cache has the list of them."""
        cache = self._root / ".dvc" / "cache"
        for place in (cache / "files" / "md5" / md5[:2] / md5[2:], cache / md5[:2] / md5[2:]):
            try:
                if place.stat().st_size > SIZE:
                    continue
                listed = json.loads(place.read_bytes())
            except (OSError, ValueError, RecursionError):
                continue
            parts = _list(listed)
            for each in parts[:PARTS]:
                name, inner = each.get("relpath"), each.get("md5")
                if isinstance(name, str) and isinstance(inner, str) and _MD5.fullmatch(inner):
                    shown = f"{path}/{name}"
                    part = self.telling.node(
                        f"md5:{inner}", "file", shown, digest=self._digest(shown, inner),
                        facts={"md5": inner, "path": shown[:LONGEST]},
                    )  # fmt: skip
                    self.telling.edge(part, ident, "part-of")
            if len(parts) > PARTS:
                self.telling.notes.append(f"{path} has {len(parts):,} files; {PARTS:,} are named")
            return
        self.telling.notes.append(f"which files {path} held is only in DVC's cache, and not here")


def _files(folder: Path, depth: int) -> Iterator[Path]:
    try:
        inside = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in inside:
        if entry.is_dir(follow_symlinks=False):
            if depth < DEPTH and entry.name not in (".dvc", ".git", ".venv", "node_modules"):
                yield from _files(Path(entry.path), depth + 1)
        elif entry.is_file(follow_symlinks=False) and (
            entry.name in ("dvc.lock", "dvc.yaml") or entry.name.endswith(".dvc")
        ):
            yield Path(entry.path)


def _pairs(value: object) -> list[tuple[str, dict[str, Any]]]:
    found = value.items() if isinstance(value, dict) else ()
    return [(str(name), each) for name, each in found if isinstance(each, dict)]


def _list(value: object) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
