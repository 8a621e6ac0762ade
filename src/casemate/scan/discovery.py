"""From paths to the files behind them, in one order on every machine."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from casemate.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class Found(NamedTuple):
    """One file to scan."""

    path: Path
    uri: str
    """Relative to the root where it lies inside it, with forward slashes."""
    refusal: str = ""
    """Why it cannot be read; empty when it can."""


def discover(paths: Sequence[str | Path], root: Path, skip: Sequence[Path] = ()) -> list[Found]:
    """List every file under `paths`; folders recursively, links to files and folders followed.

    Folders in `skip` are left out unless they are given themselves.

    Raises:
        UsageError: A path does not exist.
    """
    found: dict[str, Found] = {}
    for given in paths:
        path = Path(given)
        if not path.exists() and not path.is_symlink():
            raise UsageError(f"{path} does not exist", hint="give a file or a folder")
        for each in _files(path, skip):
            uri = _uri(each, root)
            found.setdefault(uri, Found(each, uri, _refusal(each)))
    return list(found.values())


def _uri(path: Path, root: Path) -> str:
    # Not resolve(): a link keeps the name by which a loader would open it.
    full = Path(os.path.normpath(path.absolute()))
    top = Path(os.path.normpath(root.absolute()))
    shown = full.relative_to(top).as_posix() if full.is_relative_to(top) else full.as_posix()
    return shown.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _refusal(path: Path) -> str:
    try:
        mode = path.stat().st_mode
    except OSError as error:
        return f"cannot be opened: {error.strerror or error}"
    if stat.S_ISREG(mode):
        return ""
    return "cannot be listed" if stat.S_ISDIR(mode) else "is not a regular file"


def _files(top: Path, skip: Sequence[Path]) -> Iterator[Path]:
    """Yield files in order of their names, depth first, without recursion: folders nest freely."""
    waiting = [top]
    walked: set[tuple[int, int]] = set()
    while waiting:
        path = waiting.pop()
        if not path.is_dir():
            yield path
            continue
        try:
            status = path.stat()
            names = sorted((entry.name for entry in os.scandir(path)), reverse=True)
        except OSError:
            yield path
            continue
        identity = (status.st_dev, status.st_ino)
        if identity in walked:
            # A link leads to a folder that was walked under another name.
            continue
        if identity != (0, 0):
            walked.add(identity)
        waiting += [path / name for name in names if not _same(path / name, skip)]


def _same(path: Path, others: Sequence[Path]) -> bool:
    return any(
        path.name == other.name and other.exists() and path.samefile(other) for other in others
    )
