"""Artifacts: the files a configuration names, and what they are called among the evidence.

Asked by collecting when a case is opened; nothing here reads a file's content.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from casemate.case import evidence
from casemate.errors import CasemateError

if TYPE_CHECKING:
    from collections.abc import Callable

    from casemate.store.workspace import Workspace
    from casemate.workflows.config import Loaded


def artifacts(loaded: Loaded, workspace: Workspace) -> list[Path]:
    """Return the files that the configuration names: model, data, and what a scan looks at."""
    from casemate.targets import uri

    table = loaded.config
    named = list(table.scan.paths)
    for one in (table.model.target, table.model.data, *(part.uri for part in table.component)):
        if one is not None and "://" not in one:
            try:
                named.append(str(uri.parse(one, loaded.root).path(loaded.root)))
            except CasemateError:
                named.append(one)
    found: dict[Path, None] = {}
    for name in named:
        path = loaded.root / name
        for file in sorted(path.rglob("*")) if _is(Path.is_dir, path) else [path]:
            inside = workspace.folder in file.parents
            if not inside and not _is(Path.is_symlink, file) and _is(Path.is_file, file, lost=True):
                found[file] = None
    return list(found)


def _is(kind: Callable[[Path], bool], path: Path, *, lost: bool = False) -> bool:
    """Return whether a path is of a kind, `lost` where that cannot be told."""
    try:
        return kind(path)
    except OSError:
        return lost


def relative(path: Path, root: Path) -> str:
    """Return a path as it stands below a folder, whole where it does not."""
    try:
        return path.resolve().relative_to(root.resolve()).as_posix()
    except ValueError:
        return path.as_posix()


def safe(name: str) -> str:
    """Return a relative path that is one on every system, whatever the file was called."""
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".", "..")]
    kept = (re.sub(r"[^\w.+@=-]", "_", part, flags=re.ASCII)[:100] for part in parts)
    return "/".join(kept) or "file"


class Names:
    """Names of a case's items: two sources never share one, on no file system."""

    def __init__(self, folder: Path) -> None:
        """Know the items there are already in the folder of a case."""
        self._sources = {one.name.casefold(): one.source for one in evidence.read(folder)}

    def of(self, name: str, source: str) -> str:
        """Return the name for what comes from a source, with a digest of that where it is taken."""
        if self._sources.setdefault(name.casefold(), source) == source:
            return name
        short = hashlib.sha256(source.encode("utf-8", "surrogateescape")).hexdigest()[:12]
        path = PurePosixPath(name)
        return str(path.with_name(f"{path.stem}-{short}{path.suffix}"))
