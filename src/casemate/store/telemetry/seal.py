"""The sealer: finished journals become Parquet segments, and each a signed leaf of the log.

One sealer works at a time, under a lock. The order of its steps is such that a crash between any
two loses nothing and adds nothing: segment, leaf, checkpoint, witness, and only then the journal
goes. What no checkpoint covers is done again; nothing unsigned is ever taken over.
"""

from __future__ import annotations

import fcntl
import gc
import os
import re
import time
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from casemate.errors import StoreError
from casemate.store.telemetry import merkle
from casemate.store.telemetry.checkpoint import FIRST, Checkpoint, sign
from casemate.store.telemetry.columns import AT, SEQUENCE, Row, following, form
from casemate.store.telemetry.durable import append, cut, sync_folder
from casemate.store.telemetry.journals import WriterJournal, with_gaps, writers
from casemate.store.telemetry.keys import public_pem
from casemate.store.telemetry.leaves import (
    FILE,
    FOLDER,
    SEGMENTS,
    Expiry,
    Leaf,
    Segment,
    Span,
    line,
    parse,
)
from casemate.store.telemetry.segment import CHUNK, SegmentWriter, read_rows
from casemate.store.telemetry.witness import PUBLIC, Notes, tell

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

LARGEST = 1_048_576
"""Events of a segment, at most."""
_BACK = 60_000_000
"""Microseconds a clock may go back without a note: requests end in another order than they come."""


class Sealed(NamedTuple):
    """What a sealing did."""

    segments: tuple[Segment, ...]
    checkpoint: Checkpoint | None
    """The newest one, None when nothing has ever been sealed."""
    unwitnessed: str | None
    """Why the second place did not take the checkpoint; tried again at the next sealing."""


def seal(
    folder: Path,
    key: Ed25519PrivateKey,
    *,
    witness: Path | None = None,
    clock: Callable[[], int] = time.time_ns,
    largest: int = LARGEST,
) -> Sealed | None:
    """Seal every finished journal of a place; None when another sealer is at it.

    Args:
        folder: Place of the telemetry.
        key: Signs the log; from keys.signing_key.
        witness: Second place for checkpoints, best on another machine.
        clock: Nanoseconds since the epoch.
        largest: Events of a segment, at most.

    Raises:
        StoreError: The disk is full, or the log is not as it was last signed. Journals stay.
    """
    with _alone(folder) as free:
        return _Sealing(folder, key, witness, clock, largest).seal() if free else None


def expire(
    folder: Path,
    key: Ed25519PrivateKey,
    before: int,
    *,
    reason: str,
    witness: Path | None = None,
    clock: Callable[[], int] = time.time_ns,
) -> int | None:
    """Delete the segments whose every event is older, and say so in the log.

    Args:
        folder: Place of the telemetry.
        key: Signs the log.
        before: Microseconds since the epoch.
        reason: In words, kept in the log.
        witness: As for `seal`.
        clock: As for `seal`.

    Returns:
        How many were deleted; None when another sealer is at work.
    """
    with _alone(folder) as free:
        sealing = _Sealing(folder, key, witness, clock, LARGEST)
        return sealing.expire(before, reason) if free else None


class _Sealing:
    """One sealing, under the lock."""

    def __init__(
        self,
        folder: Path,
        key: Ed25519PrivateKey,
        witness: Path | None,
        clock: Callable[[], int],
        largest: int,
    ) -> None:
        self._folder = folder
        self._log = folder / FOLDER
        self._segments = folder / SEGMENTS
        self._key = key
        self._public = public_pem(key.public_key())
        self._witness = witness
        self._clock = clock
        self._largest = largest
        self._notes = Notes(self._log)
        self._tree = merkle.Growing()
        self._checkpoints: list[Checkpoint] = []
        self._kept: dict[int, Segment] = {}
        self._spans: dict[str, Span] = {}
        self._file: SegmentWriter | None = None
        self._open: dict[str, Span] = {}
        self._remarks: list[str] = []
        self._made: list[Segment] = []

    def seal(self) -> Sealed:
        self._recover()
        done: list[Path] = []
        # Millions of short-lived tuples: looking for cycles among them costs a quarter of the time.
        collects = gc.isenabled()
        gc.disable()
        try:
            for writer in writers(self._folder):
                done += self._writer(writer)
            self._finish()
        finally:
            if collects:
                gc.enable()
            if self._file is not None:
                self._file.abandon()
        unwitnessed = self._sign()
        for path in done:
            path.unlink(missing_ok=True)
        return Sealed(
            tuple(self._made), self._checkpoints[-1] if self._checkpoints else None, unwitnessed
        )

    def expire(self, before: int, reason: str) -> int:
        self._recover()
        old = [segment for segment in self._kept.values() if segment.ended < before]
        if old:
            numbers = tuple(segment.number for segment in old)
            self._add(
                Expiry(number=self._tree.size, segments=numbers, sealed=self._now(), reason=reason)
            )
            self._sign()
        for segment in old:
            (self._segments / segment.file).unlink(missing_ok=True)
        return len(old)

    def _recover(self) -> None:
        """Go back to what the last checkpoint covers, and refuse to go on from anything else."""
        self._segments.mkdir(exist_ok=True)
        self._checkpoints = self._notes.mend()
        last = self._checkpoints[-1] if self._checkpoints else None
        if last is not None and not last.signed_by(self._key.public_key()):
            raise _changed(self._folder, "its last checkpoint is not signed by this key")
        path = self._log / FILE
        lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
        size = last.size if last else 0
        for text in lines[:size]:
            leaf = parse(text.rstrip(b"\n"))
            self._tree.add(merkle.leaf(text.rstrip(b"\n")))
            self._take(leaf)
        if last is not None and (self._tree.size, self._tree.root()) != (size, last.root):
            raise _changed(self._folder, "its leaves are not those that were signed")
        if self._witness is not None:
            tell(self._witness, self._checkpoints, self._public)
        if len(lines) > size:
            cut(path, sum(map(len, lines[:size])))
        for orphan in self._segments.iterdir():
            match = re.fullmatch(r"([0-9]{10})\.parquet(\.part)?", orphan.name)
            if match and (match[2] or int(match[1]) >= size):
                if not match[2]:
                    self._check_orphan(orphan)
                orphan.unlink()
        if not (self._log / PUBLIC).exists():
            append(self._log / PUBLIC, self._public)

    def _check_orphan(self, path: Path) -> None:
        """Refuse to make a segment anew whose events are in no journal: then it is no leftover."""
        there = set(writers(self._folder))
        try:
            if all(row[0] in there for row in read_rows(path)):
                return
        except (OSError, ValueError) as error:  # pyarrow's errors are of both kinds
            raise _changed(self._folder, f"{path.name} is in no leaf: {error}") from error
        raise _changed(self._folder, f"{path.name} is in no leaf")

    def _writer(self, writer: str) -> list[Path]:
        """Seal what one writer has finished; return the files that then can go."""
        journal = WriterJournal(self._folder, writer)
        done = journal.finished()
        if not done:
            return []
        before = self._spans.get(writer)
        journal.closed = before is not None and before.ended
        told = journal.closed
        rows = with_gaps(journal, journal.read(finished=True), before.upto if before else None)
        latest: int | None = None
        while block := list(islice(rows, min(CHUNK, self._room()))):
            self._block(writer, block)
            latest = self._watch_clock(writer, block, latest)
        if journal.closed and not told:
            upto = journal.expected or 0
            empty = Span(writer=writer, first=upto, upto=upto, events=0)
            self._begin()
            self._open[writer] = msgspec.structs.replace(self._open.get(writer, empty), ended=True)
        self._remarks += journal.notes
        return done

    def _room(self) -> int:
        """Return how many events the open segment still takes."""
        if self._file is not None and self._file.events >= self._largest:
            self._finish()
        return self._largest - (self._file.events if self._file else 0)

    def _block(self, writer: str, rows: list[Row]) -> None:
        self._begin().add(rows)
        span = self._open.get(writer)
        self._open[writer] = Span(
            writer=writer,
            first=rows[0][SEQUENCE] if span is None else span.first,
            upto=following(rows[-1]),
            events=len(rows) + (span.events if span else 0),
        )

    def _watch_clock(self, writer: str, rows: list[Row], latest: int | None) -> int | None:
        for row in rows:
            if latest is not None and row[AT] < latest - _BACK:
                back = (latest - row[AT]) // 1_000_000
                self._remarks.append(
                    f"the clock of {writer} went back by {back} s at {row[SEQUENCE]}"
                )
                latest = row[AT]
            elif latest is None or row[AT] > latest:
                latest = row[AT]
        return latest

    def _begin(self) -> SegmentWriter:
        if self._file is None:
            self._file = SegmentWriter(self._segments / f"{self._tree.size:010d}.parquet.part")
        return self._file

    def _finish(self) -> None:
        if self._remarks:
            self._begin()
        file = self._file
        if file is None:
            return
        size, digest, root = file.close()
        now = self._now()
        previous = max((segment.sealed for segment in self._kept.values()), default=now)
        if now < previous:
            self._remarks.append(
                f"the sealer's clock went back by {(previous - now) // 1_000_000} s"
            )
        leaf = Segment(
            number=self._tree.size,
            bytes=size,
            sha256=digest,
            root=root,
            form=form(),
            events=file.events,
            began=file.began,
            ended=file.ended,
            sealed=now,
            spans=tuple(self._open.values()),
            notes=tuple(self._remarks[:100]),
        )
        file.path.rename(self._segments / leaf.file)
        sync_folder(self._segments)
        self._file, self._open, self._remarks = None, {}, []
        self._add(leaf)
        self._made.append(leaf)

    def _add(self, leaf: Leaf) -> None:
        text = line(leaf)
        append(self._log / FILE, text + b"\n")
        self._tree.add(merkle.leaf(text))
        self._take(leaf)

    def _take(self, leaf: Leaf) -> None:
        if isinstance(leaf, Segment):
            self._kept[leaf.number] = leaf
            self._spans |= {span.writer: span for span in leaf.spans}
        else:
            for number in leaf.segments:
                self._kept.pop(number, None)

    def _sign(self) -> str | None:
        last = self._checkpoints[-1] if self._checkpoints else None
        if self._tree.size > (last.size if last else 0):
            origin = last.origin if last else f"casemate/telemetry/{os.urandom(16).hex()}"
            previous = last.digest if last else FIRST
            new = sign(self._key, origin, self._tree.size, self._tree.root(), previous)
            self._notes.add([new])
            self._checkpoints.append(new)
        if self._witness is None:
            return None
        return tell(self._witness, self._checkpoints, self._public)

    def _now(self) -> int:
        return self._clock() // 1000


@contextmanager
def _alone(folder: Path) -> Iterator[bool]:
    """Yield whether this is the only sealer; explain what the disk refuses."""
    log = folder / FOLDER
    try:
        log.mkdir(parents=True, exist_ok=True)
        handle = os.open(log / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            yield True
        finally:
            os.close(handle)
    except OSError as error:
        raise StoreError(
            f"{folder} cannot be sealed: {error.strerror or error}",
            hint="free some space; the events stay in their journals",
        ) from error


def _changed(folder: Path, what: str) -> StoreError:
    return StoreError(
        f"the log of {folder} was changed: {what}",
        hint="casemate verify names every fault; nothing was sealed and the journals stay",
    )
