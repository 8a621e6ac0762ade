"""The audit trail: who signed in, from where, and what they did or looked at, one line each.

Each line names the digest of the one before it, so that a line taken out or changed shows.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from casemate.errors import StoreError

if TYPE_CHECKING:
    from pathlib import Path

FILE = "console.jsonl"
_LONGEST = 400
_SHOWN = 4 << 20
"""Bytes at the end of the trail that are read to show it."""


class Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line."""

    at: int
    """Microseconds since the epoch."""
    who: str
    """Empty for somebody who did not get in."""
    role: str
    way: str
    address: str
    what: str
    """`signed-in`, `refused`, `signed-out`, `acted`, `looked` ..."""
    about: str
    """Case, event or person, and in words what was done."""
    outcome: str
    previous: str | None
    """`sha256:` of the line before; None for the first."""


class Read(NamedTuple):
    """The end of the trail, the newest first, and whether it is whole."""

    entries: tuple[Entry, ...]
    faults: tuple[str, ...]


class Trail:
    """The trail of one workspace; several consoles may write it."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self._lock = threading.Lock()

    def add(
        self,
        what: str,
        about: str = "",
        *,
        who: str = "",
        role: str = "",
        way: str = "",
        address: str = "",
        outcome: str = "done",
    ) -> None:
        """Put a line at the end, durably.

        Raises:
            StoreError: It cannot be written; what was to be done must then not be done.
        """
        import fcntl

        with self._lock:
            try:
                handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
                with os.fdopen(handle, "r+b") as out:
                    fcntl.flock(out, fcntl.LOCK_EX)
                    last = _last(out)
                    line = msgspec.json.encode(
                        Entry(
                            at=time.time_ns() // 1000,
                            who=who[:_LONGEST], role=role, way=way, address=address[:_LONGEST],
                            what=what, about=about[:_LONGEST], outcome=outcome[:_LONGEST],
                            previous=None if last is None else _digest(last),
                        )
                    )  # fmt: skip
                    out.seek(0, os.SEEK_END)
                    out.write(line + b"\n")
                    out.flush()
                    os.fsync(out.fileno())
            except OSError as error:
                raise StoreError(
                    f"the audit trail cannot be written: {error.strerror}",
                    hint="free some space; nothing is done that cannot be put on record",
                ) from error

    def read(self, most: int = 200) -> Read:
        """Return the last lines, checked one against the other."""
        try:
            with self._path.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                begin = max(0, size - _SHOWN)
                file.seek(begin)
                lines = file.read().split(b"\n")
        except FileNotFoundError:
            return Read((), ())
        torn = lines.pop()
        faults = [f"the last line is torn: {len(torn)} bytes"] if torn else []
        if begin:
            lines = lines[1:]
        entries: list[Entry] = []
        before: bytes | None = None
        for number, line in enumerate(lines, 1):
            try:
                one = msgspec.json.decode(line, type=Entry)
            except msgspec.DecodeError:
                faults.append(f"line {number} is no entry")
            else:
                expected = None if before is None else _digest(before)
                if one.previous != expected and (before is not None or not begin):
                    faults.append(f"line {number} does not follow the line before it")
                entries.append(one)
            before = line
        return Read(tuple(reversed(entries[-most:])), tuple(faults))


def _digest(line: bytes) -> str:
    return f"sha256:{hashlib.sha256(line).hexdigest()}"


def _last(file: object) -> bytes | None:
    """Return the last whole line of an open file; a torn one is ended first."""
    import io

    assert isinstance(file, io.BufferedRandom)
    size = file.seek(0, os.SEEK_END)
    if not size:
        return None
    begin = max(0, size - 16384)
    file.seek(begin)
    data = file.read()
    if not data.endswith(b"\n"):
        file.seek(0, os.SEEK_END)
        file.write(b"\n")
        file.flush()
        data += b"\n"
    return data[:-1].rpartition(b"\n")[2]
