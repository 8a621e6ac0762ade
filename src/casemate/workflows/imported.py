"""Which parts of which files are in the telemetry already, so that nothing is counted twice.

A file is known by its content: the digest of as much of it as was read. A log that has grown since
goes on where it stopped; one that was renamed or compressed meanwhile is still known. An import
that was interrupted is known by the events it left.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import msgspec

from casemate.errors import FormatError
from casemate.guard.logs.blocks import blocks
from casemate.store.telemetry.sink import Filter

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from casemate.guard.logs.stream import File
    from casemate.store.telemetry.sink import EventQuery
    from casemate.store.workspace import Workspace

_HEAD = 64 * 1024


class Part(msgspec.Struct, frozen=True):
    """One import of one file, as far as it came."""

    writer: str
    finished: bool = False
    complete: bool = True
    """Whether everything in it could be read."""
    lines: int = 0
    size: int = 0
    """Bytes read, decompressed."""
    digest: str = ""
    """Of those bytes."""


class Memory:
    """Remembers parts of files for one place of telemetry.

    Args:
        workspace: Where it is remembered.
        place: The telemetry they went into.
        query: Its events: what is no longer there is not known.
    """

    def __init__(self, workspace: Workspace, place: str, query: EventQuery) -> None:
        self._workspace = workspace
        self._place = place
        self._query = query
        self._there: dict[str, bool] = {}

    def known(self, path: Path) -> Part | None:
        """Return the longest part of a file that is in the telemetry already; None for none."""
        parts = [
            one for one in self._parts(path) if one.finished and self._is_there(one.writer)
        ]  # fmt: skip
        wanted = {one.size: one for one in parts}
        longest = None
        for size, digest in _digests(path, sorted(wanted)).items():
            if wanted[size].digest == digest:
                longest = wanted[size]
        return longest

    def grown(self, path: Path, part: Part) -> bool:
        """Return whether a file holds more than a part of it that is known."""
        return _length(path) > part.size or not _is_whole(path)

    def unfinished(self, path: Path) -> list[str]:
        """Return the writers of imports of this file that were interrupted."""
        parts = self._parts(path)
        done = {one.writer for one in parts if one.finished}
        return [
            one.writer
            for one in parts
            if not one.finished and one.writer not in done and self._is_there(one.writer)
        ]

    def sources(self, writers: Sequence[str]) -> set[str]:
        """Return the places in logs of all events of these writers."""
        return {
            event.source
            for writer in writers
            for event in self._query.scan(Filter(writer=writer))
            if event.source is not None
        }

    def begin(self, file: File, writer: str) -> None:
        """Remember that a file is being imported."""
        self._add(file.path, Part(writer))

    def finish(self, file: File, writer: str, reached: tuple[int, int], *, complete: bool) -> None:
        """Remember how far a file was imported; (0, 0) for all of it."""
        lines, size = reached
        size = size or _length(file.path)
        digest = _digests(file.path, [size]).get(size, "")
        part = Part(writer, finished=True, complete=complete, lines=lines, size=size, digest=digest)
        self._add(file.path, part)

    def _is_there(self, writer: str) -> bool:
        if writer not in self._there:
            found = next(iter(self._query.scan(Filter(writer=writer, limit=1))), None)
            self._there[writer] = found is not None
        return self._there[writer]

    def _parts(self, path: Path) -> list[Part]:
        body = self._workspace.cached(self._key(path))
        return msgspec.json.decode(body, type=list[Part]) if body else []

    def _add(self, path: Path, part: Part) -> None:
        self._workspace.cache(self._key(path), msgspec.json.encode([*self._parts(path), part]))

    def _key(self, path: Path) -> str:
        head = b""
        try:
            with path.open("rb") as stream:
                for block in blocks(stream):
                    head += block
                    if len(head) >= _HEAD or b"\n" in head:
                        break
        except (FormatError, OSError):
            pass
        first = head[:_HEAD].partition(b"\n")[0]
        return f"import {self._place} {hashlib.blake2b(first, digest_size=16).hexdigest()}"


def _digests(path: Path, sizes: list[int]) -> dict[int, str]:
    """Return the digest of the first bytes of a file for each size it has, in order of size."""
    total = hashlib.blake2b(digest_size=32)
    found: dict[int, str] = {}
    read = 0
    try:
        with path.open("rb") as stream:
            for block in blocks(stream):
                while sizes and sizes[0] <= read + len(block):
                    cut = sizes.pop(0) - read
                    part = total.copy()
                    part.update(block[:cut])
                    found[read + cut] = part.hexdigest()
                total.update(block)
                read += len(block)
                if not sizes:
                    break
    except (FormatError, OSError):
        pass
    return found


def _is_whole(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            for _ in blocks(stream):
                pass
    except (FormatError, OSError):
        return False
    return True


def _length(path: Path) -> int:
    read = 0
    try:
        with path.open("rb") as stream:
            for block in blocks(stream):
                read += len(block)
    except (FormatError, OSError):
        pass
    return read
