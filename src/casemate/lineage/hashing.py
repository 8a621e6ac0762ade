"""Digests of files that somebody else named.

Only below folders the user allowed, never following a link out of them, and never of anything but
a plain file.
"""

from __future__ import annotations

import hashlib
import os
import stat
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

FILE = 8 << 30
"""Bytes of one file that are hashed."""
TOTAL = 64 << 30
"""Bytes of all files together."""
ENTRIES = 2_000
DEPTH = 6
_CHUNK = 1 << 20


class Seen(NamedTuple):
    """A file that was looked at."""

    path: str
    """Below the folder that was asked for; whole where a file was."""
    digest: str | None
    """`sha256:...`; None where it was too large or cannot be read."""
    size: int | None
    changed: int | None = None
    """When it was last written, in milliseconds since the epoch, where that is known."""
    md5: str | None = None
    """Where it was asked for, as others name content by it."""


class Hasher:
    """Hashes files below some folders, each once."""

    def __init__(self, allowed: Iterable[Path], *, md5: bool = False) -> None:
        """Take the folders files may be read below; without any, none is."""
        self._md5 = md5
        self._allowed = [folder.resolve() for folder in allowed]
        self._known: dict[str, Seen] = {}
        self._spent = 0

    def allow(self, folder: Path) -> None:
        """Allow one folder more."""
        self._allowed.append(folder.resolve())

    def file(self, path: str | os.PathLike[str]) -> Seen | None:
        """Return what a file is; None where it is not there, not allowed or no plain file."""
        real = self._within(path)
        if real is None:
            return None
        if real not in self._known:
            seen = self._read(real)
            if seen is None:
                return None
            self._known[real] = seen
        return self._known[real]

    def folder(self, folder: Path) -> tuple[list[Seen], str]:
        """Return the files below a folder by their paths in it and, where some are missing, why."""
        found: list[Seen] = []
        if not os.path.isdir(folder):  # noqa: PTH112 - never raises, whatever the name is
            return [], ""
        if self._within(folder) is None:
            return [], f"files of {folder} lie outside the folder that may be read"
        for path in _below(folder, 0):
            if len(found) >= ENTRIES:
                return found, f"{folder.name} holds more than {ENTRIES:,} files"
            seen = self.file(path)
            if seen is None:
                return found, f"files of {folder.name} lie outside the folder that may be read"
            found.append(seen._replace(path=path.relative_to(folder).as_posix()))
        return found, ""

    def _within(self, path: str | os.PathLike[str]) -> str | None:
        """Return where a path leads when that is below an allowed folder."""
        try:
            real = os.path.realpath(path)
            if any(os.path.commonpath([real, folder]) == str(folder) for folder in self._allowed):
                return real
        except (OSError, ValueError):
            return None
        return None

    def _read(self, real: str) -> Seen | None:
        try:
            # Not blocking: a name may turn out to be a pipe nobody writes to.
            handle = os.open(real, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        except OSError:
            return None
        about = os.fstat(handle)
        if not stat.S_ISREG(about.st_mode):
            os.close(handle)
            return None
        with open(handle, "rb", buffering=0) as file:  # noqa: PTH123 - a handle, not a path
            changed = about.st_mtime_ns // 1_000_000
            if about.st_size > FILE or self._spent + about.st_size > TOTAL:
                return Seen(real, None, about.st_size, changed)
            self._spent += about.st_size
            total = hashlib.sha256()
            other = hashlib.md5(usedforsecurity=False) if self._md5 else None
            try:
                for piece in iter(lambda: file.read(_CHUNK), b""):
                    total.update(piece)
                    if other is not None:
                        other.update(piece)
            except OSError:
                return None
            md5 = None if other is None else other.hexdigest()
            return Seen(real, f"sha256:{total.hexdigest()}", about.st_size, changed, md5)


def _below(folder: Path, depth: int) -> Iterator[Path]:
    try:
        inside = sorted(folder.iterdir())
    except OSError:
        return
    for path in inside:
        if path.is_dir() and not path.is_symlink():
            if depth < DEPTH:
                yield from _below(path, depth + 1)
        elif path.is_file():
            yield path
