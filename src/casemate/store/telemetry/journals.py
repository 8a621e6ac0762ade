"""The journals of a place as their readers see them: whose they are, who still writes, what is in.

Used by the sealer and by queries for what is not sealed yet. A journal that stops without its end
and that nobody holds any more is shown with a gap after its last event.
"""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from casemate.errors import StoreError
from casemate.records.event import Event
from casemate.store.telemetry.columns import AT, COLUMNS, SEQUENCE, Row, following, row, unpack
from casemate.store.telemetry.frames import read
from casemate.store.telemetry.journal import FOLDER, SUFFIX

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_MAP = frozenset((*range(0x80, 0x90), 0xDE, 0xDF))


class Ended(NamedTuple):
    """What stands behind the last event of a writer."""

    whole: bool
    """Whether the writer said that it ends; False for one that died."""
    at: int
    """When, in microseconds since the epoch."""
    upto: int | None
    """Sequence that would have come next, where the writer said so."""


class WriterJournal:
    """The files of one writer, read on from where the last reading stopped."""

    def __init__(self, folder: Path, writer: str) -> None:
        self._place = folder / FOLDER
        self.writer = writer
        self._current = ""
        self._offset = 0
        self._columns: tuple[str, ...] = COLUMNS
        self.ended: Ended | None = None
        """Set once there is nothing more to come."""
        self.start: int | None = None
        """Sequence the writer began with, once a header has been read."""
        self.told: int | None = None
        """Sequence of the last row that `with_gaps` yielded."""
        self.expected: int | None = None
        """Sequence that comes next; kept by `with_gaps`."""
        self.closed = False
        """Whether what stands behind the last event has been told."""
        self.notes: list[str] = []

    def read(self, *, finished: bool = False) -> Iterator[Row]:
        """Yield rows that have not been yielded before, as they stand.

        Args:
            finished: Leave out the file that a living writer is writing.
        """
        while True:
            names = [name for name in _names(self._place, self.writer) if name >= self._current]
            if not names:
                return
            newest = names[-1]
            alive = _held(self._place / newest)
            if not alive and _names(self._place, self.writer)[-1:] != [newest]:
                continue  # rolled while we looked
            for name in names:
                if finished and alive and name == newest:
                    return
                yield from self._file(name)
            if not alive and self.ended is None:
                self.ended = Ended(False, _changed(self._place / newest), None)
            return

    def finished(self) -> list[Path]:
        """Return the files no one will write to any more."""
        names = _names(self._place, self.writer)
        paths = [self._place / name for name in names]
        if paths and _held(paths[-1]):
            paths.pop()
        return paths

    def _file(self, name: str) -> Iterator[Row]:
        if name != self._current:
            self._current, self._offset = name, 0
        path = self._place / name
        try:
            with path.open("rb") as file:
                file.seek(self._offset)
                data = file.read()
        except FileNotFoundError:
            return  # sealed meanwhile
        begin = self._offset
        for payload, place, end in read(data):
            self._offset = begin + end
            if payload is None:
                where = f"{begin + place} to {begin + end}"
                self.notes.append(f"{name} is damaged at bytes {where}")
            elif payload and payload[0] in _MAP:
                self._note(path, payload)
            else:
                try:
                    this = unpack(payload, self._columns)
                except StoreError as error:
                    self.notes.append(f"{name} at byte {begin + place}: {error}")
                    continue
                yield this

    def _note(self, path: Path, payload: bytes) -> None:
        try:
            note: dict[str, Any] = msgspec.msgpack.decode(payload, type=dict[str, Any])
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            self.notes.append(f"{path.name}: a note that cannot be read: {error}")
            return
        if "columns" in note:
            if note.get("journal") != 1 or note.get("writer") != self.writer:
                self.notes.append(f"{path.name} is not a journal of {self.writer}")
            names = tuple(map(str, note["columns"]))
            self._columns = COLUMNS if names == COLUMNS else names
            if isinstance(note.get("start"), int):
                self.start = note["start"]
        elif isinstance(note.get("end"), int):
            self.ended = Ended(True, _changed(path), note["end"])


def writers(folder: Path) -> list[str]:
    """Return the writers that have a journal in a place, by name."""
    return sorted({name[: name.rfind("-")] for name in _names(folder / FOLDER, "w-")})


def with_gaps(journal: WriterJournal, rows: Iterable[Row], sealed: int | None) -> Iterator[Row]:
    """Yield the rows of one writer in order, each hole between them filled with a gap event.

    Args:
        journal: Where they come from; it remembers which sequence comes next.
        rows: As `read` gave them; repeats are left out.
        sealed: Sequence that follows what is sealed of this writer, None when nothing is.
    """
    last: Row | None = None
    for this in rows:
        expected = _expected(journal, sealed, this[SEQUENCE])
        if this[SEQUENCE] < expected:
            continue
        if this[SEQUENCE] > expected:
            yield _missing(journal, last or this, expected, this[SEQUENCE])
        journal.told = this[SEQUENCE]
        yield this
        last = this
        journal.expected = following(this)
    ended = journal.ended
    if ended is None or journal.closed:
        return
    journal.closed = True
    expected = _expected(journal, sealed, ended.upto or 0)
    if ended.upto is None:
        begin = ended.at if last is None else last[AT]
        journal.told = expected
        yield _gap(
            journal.writer, expected, begin, max(begin, ended.at), 0,
            "the writer stopped without notice; what it took in within the last 0.1 s may be lost",
        )  # fmt: skip
        journal.expected = expected + 1
    elif ended.upto > expected:
        journal.told = expected
        yield _missing(journal, last, expected, ended.upto)
        journal.expected = ended.upto


def _expected(journal: WriterJournal, sealed: int | None, otherwise: int) -> int:
    if journal.expected is None:
        journal.expected = otherwise if journal.start is None else journal.start
        if sealed is not None:
            journal.expected = sealed
    elif sealed is not None:
        journal.expected = max(journal.expected, sealed)
    return journal.expected


def _missing(journal: WriterJournal, near: Row | None, first: int, upto: int) -> Row:
    at = near[AT] if near else journal.ended.at if journal.ended else 0
    note = f"events {first} to {upto - 1} are missing from the journal"
    return _gap(journal.writer, first, at, at, upto - first, note)


def _gap(writer: str, sequence: int, at: int, until: int, lost: int, note: str) -> Row:
    return row(
        Event(
            writer=writer, sequence=sequence, at=at, until=until, kind="gap", lost=lost,
            rows=max(1, lost), note=note,
        )
    )  # fmt: skip


def _names(place: Path, start: str) -> list[str]:
    try:
        names = os.listdir(place)  # noqa: PTH208 - names are wanted, many and often
    except FileNotFoundError:
        return []
    return sorted(name for name in names if name.startswith(start) and name.endswith(SUFFIX))


def _held(path: Path) -> bool:
    """Return whether a living writer holds the file."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def _changed(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns // 1000
    except FileNotFoundError:
        return 0
