"""Files: what a run read and wrote, as it happens, each known by what it held when it was read.

Told by the watch or from the notes of the hook; read by the recorder when the run has ended.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from casemate.lineage.digests import of_file

if TYPE_CHECKING:
    from collections.abc import Callable

MOST = 200_000
"""Files remembered of one run."""
_IN_TIME = 1 << 30
"""Bytes up to which a file is read once more before it is overwritten."""
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_TRUNC | os.O_CREAT


class Mark(NamedTuple):
    """By what a file is known to be unchanged, without reading it."""

    inode: int
    size: int
    changed: int
    """Nanoseconds since the epoch."""


class Input(NamedTuple):
    """A file that was there and was read."""

    path: str
    mark: Mark
    digest: str | None
    """Of its content when read, taken before the run overwrote it; None where it did not."""


class Files:
    """What one run has touched."""

    def __init__(self, ignore: Callable[[str], bool]) -> None:
        """Forget paths for which `ignore` is true, as those of the system."""
        self._ignore = ignore
        self._read: dict[str, Input] = {}
        self._wrote: dict[str, Mark | None] = {}
        self.ignored: set[str] = set()
        self.full = False
        """Whether there were more files than are remembered."""

    def declared(self, path: str) -> None:
        """Note a file that will be read, and take its digest now."""
        mark = now(path)
        if mark is not None:
            self._read[path] = Input(path, mark, of_file(Path(path)))

    def opened(self, path: str, flags: int, mark: Mark | None) -> None:
        """Note that a file is about to be opened.

        Args:
            path: Absolute.
            flags: Of open(2).
            mark: Of what lies there now; None where there is no regular file.
        """
        if self._skip(path) or (mark is None and not flags & os.O_CREAT):
            return
        writes = flags & (_WRITES if mark is None else _WRITES & ~os.O_CREAT)
        reads = (flags & os.O_ACCMODE) != os.O_WRONLY and not flags & os.O_TRUNC
        if reads and mark is not None and path not in self._wrote and path not in self._read:
            self._read[path] = Input(path, mark, None)
        if writes:
            self._save(path)
            self._wrote.setdefault(path, mark)

    def replaced(self, source: str, target: str, mark: Mark | None) -> None:
        """Note that a file or folder is about to get another name, in the place of what is there.

        Args:
            source: Absolute path it has.
            target: The one it gets.
            mark: Of what lies at `target` now.
        """
        inside = [path for path in self._wrote if path.startswith(f"{source}/")]
        for path in inside:
            self._wrote.setdefault(target + path[len(source) :], None)
        if not inside and not self._skip(target):
            self._save(target)
            self._wrote.setdefault(target, mark)
            self.removed(source)

    def removed(self, path: str) -> None:
        """Note that a file is about to be removed."""
        if not self._skip(path):
            self._save(path)

    def inputs(self) -> list[Input]:
        """Return the files that were there before and were read, in order of their paths."""
        return [self._read[path] for path in sorted(self._read)]

    def outputs(self) -> list[str]:
        """Return the files that are there now and are not what they were, in order."""
        return [
            path
            for path, before in sorted(self._wrote.items())
            if (after := now(path)) is not None and after != before
        ]

    def _skip(self, path: str) -> bool:
        if self._ignore(path):
            if len(self.ignored) < MOST:
                self.ignored.add(path)
            return True
        known = path in self._read or path in self._wrote
        if not known and len(self._read) + len(self._wrote) >= MOST:
            self.full = True
            return True
        return False

    def _save(self, path: str) -> None:
        """Take the digest of a file that was read, while it is still what was read."""
        known = self._read.get(path)
        if known is None or known.digest is not None or path in self._wrote:
            return
        if known.mark == now(path) and known.mark.size <= _IN_TIME:
            digest = of_file(Path(path))
            if digest is not None:
                self._read[path] = known._replace(digest=digest)


def mark_of(found: os.stat_result) -> Mark:
    """Return the mark of a file."""
    return Mark(found.st_ino, found.st_size, found.st_mtime_ns)


def now(path: str) -> Mark | None:
    """Return the mark of what lies at a path; None where there is no regular file."""
    try:
        found = Path(path).stat()
    except (OSError, ValueError):
        return None
    return mark_of(found) if stat.S_ISREG(found.st_mode) else None
