"""Journal: where a guard's or an import's events are written first, and are safe within 0.1 s.

`append` encodes and queues; a thread writes, syncs and rolls to a new file. A full disk or a slow
one never stops the caller: what no longer fits in memory is dropped, and a `gap` event in the
place of the dropped ones says how many and when. seal.py turns finished files into segments.
"""

from __future__ import annotations

import contextlib
import errno
import math
import os
import threading
import time
import weakref
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from casemate.errors import StoreError
from casemate.records.event import Event
from casemate.store.telemetry.columns import COLUMNS, pack
from casemate.store.telemetry.durable import sync_folder
from casemate.store.telemetry.frames import frames
from casemate.store.telemetry.leaves import Leaves
from casemate.store.telemetry.sink import Receipt

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

FOLDER = "journal"
SUFFIX = ".journal"
_PIECE = 1024 * 1024
"""Bytes of events written and synced at once, about."""


class Journal:
    """An EventSink that writes files in `<folder>/journal`. Threads may share one."""

    def __init__(
        self,
        folder: Path,
        writer: str,
        *,
        start: int = 0,
        window: float = 0.02,
        roll_bytes: int = 32 * 1024 * 1024,
        roll_seconds: float = 15.0,
        held_bytes: int = 32 * 1024 * 1024,
    ) -> None:
        """Begin a journal.

        Args:
            folder: Place of the telemetry, made if it is not there.
            writer: `w-` and 16 hex digits, never used here before.
            start: Sequence of the first event.
            window: Seconds events are gathered before they are written and synced together.
            roll_bytes: Size after which a file is finished and can be sealed.
            roll_seconds: Age after which it is, if it holds an event.
            held_bytes: Most bytes of events kept in memory while the disk does not take them.

        Raises:
            StoreError: The folder cannot be written, or the writer has written here before.
        """
        self.folder = folder
        self._writer = writer
        self._window = window
        self._roll_bytes = roll_bytes
        self._roll_seconds = roll_seconds
        self._held_bytes = held_bytes
        self._first = self._next = self._synced = start
        """`_next` is the sequence awaited; events before `_synced` are durable."""
        self._queue: list[bytes] = []
        self._queued = 0
        self._lost: Event | None = None
        """The gap that stands for what was dropped since the last write."""
        self.dropped = 0
        """Events dropped so far, all of them in gap events or about to be."""
        self.trouble: str | None = None
        """Why writing does not succeed at present."""
        self._lock = threading.Lock()
        self._done = threading.Condition(self._lock)
        self._attempts = 0
        self._wake = threading.Event()
        self._hurry = threading.Event()
        self._closing = False
        self._forked = False
        self._file = -1
        self._offset = self._header = 0
        self._opened = 0.0
        self._path = Path()
        if used(folder, writer):
            raise StoreError(f"{writer} has written to {folder} before")
        self._start_file(start)
        self._thread = threading.Thread(target=self._run, name=f"journal {writer}", daemon=True)
        self._thread.start()
        _watch_forks(self)

    @property
    def writer(self) -> str:
        """`w-` and 16 hex digits."""
        return self._writer

    def append(self, events: Sequence[Event]) -> Receipt:
        """Queue events; they are durable within about 0.1 s, `flush` waits for it.

        Raises:
            StoreError: Their sequence does not go on, they are of another writer, or the journal
                is closed or belongs to the process this one was forked from.
        """
        with self._lock:
            if self._closing or self._forked:
                raise StoreError(
                    "the journal is closed"
                    if self._closing
                    else "the journal was opened before a fork; open one in each process"
                )
            first = sequence = self._next
            for event in events:
                if event.sequence != sequence or event.writer != self._writer:
                    raise StoreError(
                        f"event {event.writer}:{event.sequence} does not follow "
                        f"{self._writer}:{sequence - 1}"
                    )
                sequence += 1
            if self._lost is not None or self._queued > self._held_bytes:
                self._drop(events)
            else:
                payloads = [_packed(event) for event in events]
                if not self._queue:
                    self._wake.set()
                self._queue += payloads
                self._queued += sum(map(len, payloads))
            self._next = sequence
            return Receipt(self._writer, first, sequence - 1, durable=False)

    def flush(self) -> Receipt | None:
        """Wait until all that was appended is durable; None when nothing was.

        Raises:
            StoreError: The disk does not take it. What was appended stays queued.
        """
        with self._lock:
            if self._forked:
                raise StoreError("the journal was opened before a fork; open one in each process")
            wanted, attempt = self._next, self._attempts
            self._hurry.set()
            self._wake.set()
            # Two attempts: the one under way may have begun before this call.
            while self._synced < wanted and not (self.trouble and self._attempts > attempt + 1):
                if not self._done.wait(60.0) or not self._thread.is_alive():
                    raise StoreError(f"{self._path} has not taken anything for a minute")
            if self._synced < wanted:
                raise _refused(self._path, self.trouble or "")
            if wanted == self._first:
                return None
            return Receipt(self._writer, self._first, wanted - 1, durable=True)

    def close(self) -> None:
        """Make everything durable, say in the journal that it ends here, and let go.

        Raises:
            StoreError: The disk does not take it. The journal stays without its end, which every
                reader shows as a gap.
        """
        with self._lock:
            self._closing = True
            self._hurry.set()
            self._wake.set()
        self._thread.join()
        if self.trouble:
            raise _refused(self._path, self.trouble)

    def _drop(self, events: Sequence[Event]) -> None:
        if not events:
            return
        first = events[0] if self._lost is None else self._lost
        upto = events[-1].sequence + 1
        number = upto - first.sequence
        self._lost = Event(
            writer=self._writer, sequence=first.sequence, at=first.at, until=events[-1].at,
            kind="gap", lost=number, rows=number, note=f"events {first.sequence} to {upto - 1} "
            f"were dropped: {self.trouble or 'the disk did not keep up'}",
        )  # fmt: skip
        self.dropped += len(events)

    def _run(self) -> None:
        while True:
            self._wake.wait(None if self._offset == self._header else self._roll_seconds)
            self._hurry.wait(self._window)
            with self._lock:
                payloads, upto = self._queue, self._next
                self._queue, self._queued = [], 0
                if self._lost is not None:
                    payloads.append(pack(self._lost))
                    self._lost = None
                self._wake.clear()
                self._hurry.clear()
                closing = self._closing
            if closing:
                payloads.append(msgspec.msgpack.encode({"end": upto}))
            for begin, end in _pieces(payloads):
                last = upto if end == len(payloads) else self._synced + end - begin
                if not self._keep(frames(payloads[begin:end]), last):
                    break
            else:
                if not payloads:
                    self._keep(b"", upto)
            if closing:
                os.close(self._file)
                return

    def _keep(self, data: bytes, upto: int) -> bool:
        """Write and sync, again and again until it succeeds or the journal is closed."""
        wait = 0.05
        while True:
            try:
                self._roll()
                if data:
                    self._write(data)
            except OSError as error:
                with self._lock:
                    self.trouble = os.strerror(error.errno or errno.EIO)
                    self._attempts += 1
                    self._done.notify_all()
                    if self._closing:
                        return False
                    self._hurry.clear()
                self._hurry.wait(wait)
                wait = min(wait * 2, 1.0)
                continue
            with self._lock:
                self._synced = upto
                self._attempts += 1
                self.trouble = None
                self._done.notify_all()
            return True

    def _write(self, data: bytes) -> None:
        view, offset = memoryview(data), self._offset
        try:
            while view:
                written = os.pwrite(self._file, view, offset)
                offset += written
                view = view[written:]
            os.fsync(self._file)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, self._offset)
            # After a failed sync the kernel may have let go of pages and call them clean, and a
            # file at its largest takes no more: both go on in a new file.
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                self._opened = -math.inf
            raise
        self._offset = offset

    def _roll(self) -> None:
        """Begin a new file where this one is old or large and holds an event."""
        if self._offset == self._header:
            return
        young = time.monotonic() - self._opened < self._roll_seconds
        if young and self._offset < self._roll_bytes:
            return
        old = self._file
        self._start_file(self._synced)
        os.close(old)

    def _start_file(self, first: int) -> None:
        import fcntl

        place = self.folder / FOLDER
        path = place / f"{self._writer}-{first:020d}{SUFFIX}"
        made = path.with_suffix(f".{os.getpid()}.new")
        file = -1
        try:
            place.mkdir(parents=True, exist_ok=True)
            file = os.open(made, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            # Locked before it has its name, so that nobody sees the file of a living writer free.
            fcntl.flock(file, fcntl.LOCK_EX)
            head: dict[str, object] = {"journal": 1, "writer": self._writer, "columns": COLUMNS}
            head |= {"first": first, "start": self._first}
            header = frames([msgspec.msgpack.encode(head)])
            if os.write(file, header) != len(header):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(file)
            made.rename(path)
            sync_folder(place)
        except OSError as error:
            if file >= 0:
                os.close(file)
                made.unlink(missing_ok=True)
            if self._file < 0:
                raise _refused(path, os.strerror(error.errno or errno.EIO)) from error
            raise
        self._file, self._path, self._opened = file, path, time.monotonic()
        self._offset = self._header = len(header)


def used(folder: Path, writer: str) -> bool:
    """Return whether a writer has written to a place before."""
    if any((folder / FOLDER).glob(f"{writer}-*{SUFFIX}")):
        return True
    return any(span.writer == writer for span in Leaves(folder).spans())


def _pieces(payloads: Sequence[bytes]) -> Iterator[tuple[int, int]]:
    begin = size = 0
    for place, payload in enumerate(payloads):
        size += len(payload)
        if size >= _PIECE or place == len(payloads) - 1:
            yield begin, place + 1
            begin, size = place + 1, 0


def _packed(event: Event) -> bytes:
    try:
        return pack(event)
    except (TypeError, OverflowError, UnicodeEncodeError, AttributeError, ValueError) as error:
        # One event that cannot be written must not take the others with it.
        note = f"event {event.sequence} could not be written: {error}"
        note = note.encode("utf-8", "backslashreplace").decode()[:500]
        stub = Event(
            writer=event.writer, sequence=event.sequence, at=0, kind="gap", lost=1, note=note
        )
        try:
            return pack(msgspec.structs.replace(stub, at=event.at))
        except (TypeError, OverflowError):
            return pack(stub)


def _refused(path: Path, why: str) -> StoreError:
    return StoreError(
        f"cannot write {path}: {why}",
        hint="free some space, or name another place for the telemetry; what is kept stays",
    )


def _watch_forks(journal: Journal) -> None:
    known = weakref.ref(journal)

    def cut() -> None:
        there = known()
        if there is not None:
            # The thread is not in the child, and the lock may be held for ever.
            there._lock = threading.Lock()  # noqa: SLF001
            there._forked = True  # noqa: SLF001
            # Else the child's copy would hold the lock that says its writer is alive.
            os.close(there._file)  # noqa: SLF001

    os.register_at_fork(after_in_child=cut)
