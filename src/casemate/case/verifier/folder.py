"""A bundle's folder while it is verified: its files, what was found so far, what has been seen."""

from __future__ import annotations

import hashlib
import os
import stat
from typing import TYPE_CHECKING, Any

from casemate.case.verifier.faults import CHANGED, INCOMPLETE, REMARKS, Fault, weight_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from casemate.case.verifier.notes import Checkpoint

LINE = 1 << 20
"""Longest line, and largest small file, in bytes."""
_CHUNK, _MOST_FAULTS = 1 << 20, 1000
_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)


class Bundle:
    """A bundle and what verifying has found."""

    def __init__(self, folder: str, keys: Sequence[bytes], log_keys: Sequence[bytes]) -> None:
        """Begin with a folder and the public keys that are trusted, 32 bytes each."""
        self.folder = folder
        self.keys = tuple(keys)
        self.log_keys = tuple(log_keys)
        self.faults: list[Fault] = []
        """Those that are kept by name, in the order in which they were found."""
        self.left_out = 0
        self.kinds: dict[str, int] = {}
        """How often each kind was found, kept by name or not; the answer rests on this."""
        self.checkpoint: Checkpoint | None = None
        self.signer: bytes | None = None
        self.files: dict[str, int] = {}
        """Regular files by path, with their size once they were read."""
        self.expected: dict[str, tuple[str, int]] = {}
        """SHA-256 and size of each file an item names."""
        self.items = self.shown = self.bytes = self.events = 0
        self.withheld: dict[int, dict[str, Any]] = {}
        self.counts: dict[str, int] = {}
        """Items by producer."""

    @property
    def answer(self) -> str:
        """`whole`, `changed` or `incomplete`."""
        weights = {weight_of(kind) for kind in self.kinds}
        return next((one for one in ("changed", "incomplete") if one in weights), "whole")

    def fault(self, kind: str, where: str, what: str = "") -> None:
        """Put a fault on the list.

        Beyond a thousand they are counted. Remarks are counted apart, and the first of each kind is
        always on the list: nobody can push a fault off it.
        """
        weight = weight_of(kind)
        kept = sum(n for one, n in self.kinds.items() if weight_of(one) == weight)
        if kept < _MOST_FAULTS or kind not in self.kinds:
            text = what or CHANGED.get(kind) or INCOMPLETE.get(kind) or REMARKS[kind]
            self.faults.append(Fault(kind, where, text))
        else:
            self.left_out += 1
        self.kinds[kind] = self.kinds.get(kind, 0) + 1

    def walk(self) -> None:
        """Find every file; no link is followed and nothing special opened."""
        folders = [""]
        while folders:
            here = folders.pop()
            empty = True
            try:
                with os.scandir(f"{self.folder}/{here}") as found:
                    for one in found:
                        empty = False
                        name = here + one.name
                        if one.is_dir(follow_symlinks=False):
                            folders.append(f"{name}/")
                        elif one.is_file(follow_symlinks=False):
                            self.files[name] = 0
                        else:
                            self.fault("link-inserted", name)
            except OSError as error:
                self.fault("file-missing", here or ".", f"cannot be read: {error.strerror}")
                continue
            if empty and here != "data/":
                self.fault("file-inserted", here or ".", "an empty folder")

    def read(self, path: str, most: int = 1 << 28) -> bytes:
        """Return a file's bytes.

        Raises:
            OSError: It cannot be read.
            ValueError: It is too large.
        """
        parts = []
        for part in self._parts(path):
            parts.append(part)
            most -= len(part)
            if most < 0:
                raise ValueError("too large")
        return b"".join(parts)

    def digest(self, path: str) -> tuple[int, str]:
        """Return size and SHA-256 of a file."""
        handle = self._open(path)
        try:
            whole = os.fstat(handle).st_size
            part = os.read(handle, _CHUNK)
            size, digest = len(part), hashlib.sha256(part)
            while part and size != whole:
                part = os.read(handle, _CHUNK)
                size += len(part)
                digest.update(part)
        finally:
            os.close(handle)
        return size, digest.hexdigest()

    def lines(self, path: str) -> Iterator[bytes]:
        """Yield the lines of a file; one that is too long is cut."""
        with os.fdopen(self._open(path), "rb") as file:
            yield from iter(lambda: file.readline(LINE), b"")

    def _parts(self, path: str) -> Iterator[bytes]:
        handle = self._open(path)
        try:
            yield from iter(lambda: os.read(handle, _CHUNK), b"")
        finally:
            os.close(handle)

    def _open(self, path: str) -> int:
        if path not in self.files and not stat.S_ISREG(os.lstat(f"{self.folder}/{path}").st_mode):
            raise OSError("no regular file")
        return os.open(f"{self.folder}/{path}", _FLAGS)
