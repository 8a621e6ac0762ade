"""Verify: is the telemetry what was written, and where is it not?

Reads everything, changes nothing, and needs no private key. What it says of an event is as strong
as the public key it is given: one that lies beside the log proves only that the log fits itself.
"""

from __future__ import annotations

import fcntl
import os
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from casemate.errors import StoreError, UsageError
from casemate.store.telemetry import merkle
from casemate.store.telemetry.checkpoint import FIRST, Checkpoint, parse
from casemate.store.telemetry.columns import KIND, NOTE, form
from casemate.store.telemetry.journals import WriterJournal, with_gaps, writers
from casemate.store.telemetry.keys import public_pem, read_public
from casemate.store.telemetry.leaves import FILE, FOLDER, SEGMENTS, Expiry, Segment, Span
from casemate.store.telemetry.leaves import parse as parse_leaf
from casemate.store.telemetry.segment import file_digest, read_payloads
from casemate.store.telemetry.witness import PUBLIC, Notes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

CHANGED = {
    "checkpoint-unreadable": "a checkpoint is not one",
    "checkpoint-forged": "a checkpoint is not signed by the key",
    "checkpoint-missing": "a checkpoint was taken out or put in",
    "log-truncated": "the log is shorter than a signed checkpoint says",
    "log-rewritten": "the leaves are not those that were signed",
    "leaf-unreadable": "a leaf is not one",
    "leaf-misplaced": "a leaf does not stand where its number says",
    "segment-missing": "a segment is gone that was not let go of",
    "segment-truncated": "a segment is shorter than it was",
    "segment-edited": "a segment is not what it was",
    "segment-moved": "a segment stands in the place of another",
    "segment-inserted": "a file stands among the segments that no leaf names",
    "events-unproven": "the events of a segment are not those its leaf was made for",
    "sequence-broken": "events are missing or twice, and no gap says so",
    "writer-vanished": "a writer neither ended nor has a journal",
    "key-replaced": "the public key in the log is another one",
    "witness-differs": "the witness has seen another log",
}
"""Faults that mean that somebody, or a failing disk, changed the telemetry."""
INCOMPLETE = {
    "unsigned": "no checkpoint covers a leaf: a sealer was interrupted, or somebody added it",
    "torn": "a file ends in the middle of an entry: a sealer was interrupted, or somebody cut it",
    "journal-damaged": "bytes of a journal are no events",
    "unwitnessed": "no second place confirms that the log was not cut back",
    "key-unconfirmed": "the public key was taken from beside the log it is to confirm",
    "nothing-sealed": "no event is protected yet",
}
"""What keeps the answer from being a yes."""
REMARKS = {
    "unsealed": "events are in a journal only: nothing protects them until they are sealed",
    "gap": "events were lost, or may have been, and a gap event says which",
    "noticed": "what the sealer noticed when it made a segment",
}
"""What to know besides."""


class Fault(NamedTuple):
    """One thing that is not as it should be, or a remark."""

    kind: str
    where: str
    """File, leaf or writer."""
    what: str

    @property
    def weight(self) -> str:
        """`changed`, `incomplete` or `remark`."""
        if self.kind in CHANGED:
            return "changed"
        return "incomplete" if self.kind in INCOMPLETE else "remark"


class Verification(NamedTuple):
    """What was looked at and what was found."""

    faults: tuple[Fault, ...]
    segments: int
    events: int
    """Sealed events whose files were read."""
    unsealed: int
    bytes: int
    checkpoints: int

    @property
    def answer(self) -> str:
        """`whole`, `changed` or `incomplete`."""
        weights = {fault.weight for fault in self.faults}
        if "changed" in weights:
            return "changed"
        return "incomplete" if "incomplete" in weights else "whole"


def verify(
    folder: Path,
    *,
    witness: Path | None = None,
    public_key: Path | None = None,
    events: bool = False,
    progress: Callable[[str, int, int], None] | None = None,
) -> Verification:
    """Check the telemetry of a place against its log, and the log against its witness.

    Args:
        folder: Place of the telemetry.
        witness: The second place of its checkpoints.
        public_key: PEM file with the key that signs the log; by default the witness's.
        events: Also hash every event on its own, against the root in its leaf.
        progress: Told what is done, of how much.

    Raises:
        UsageError: There is no telemetry, or the key cannot be read.
    """
    if not (folder / FOLDER).is_dir() and not (folder / "journal").is_dir():
        raise UsageError(f"there is no telemetry in {folder}")
    return _Verifying(folder, witness, public_key).run(events, progress)


class _Verifying:
    def __init__(self, folder: Path, witness: Path | None, public_key: Path | None) -> None:
        self._folder = folder
        self._log = folder / FOLDER
        self._segments = folder / SEGMENTS
        self._witness = witness
        self._faults: list[Fault] = []
        self._key = self._read_key(public_key)
        self._roots: dict[int, bytes] = {}
        self._size = 0
        self._leaves: dict[int, Segment] = {}
        self._expired: set[int] = set()
        self._spans: dict[str, Span] = {}

    def run(self, events: bool, progress: Callable[[str, int, int], None] | None) -> Verification:
        with _no_sealer(self._log):
            ours = self._checkpoints(Notes(self._log), "log/checkpoints")
            theirs = self._theirs()
            self._read_leaves({one.size for one in (*ours, *theirs)})
            self._strangers()
            unsealed = self._journals()
        for place, checkpoints in (("log/checkpoints", ours), ("witness", theirs)):
            for number, one in enumerate(checkpoints):
                self._compare(f"{place} {number}", one)
        self._chain(ours)
        covered = max((one.size for one in ours), default=0)
        if self._size > covered:
            self._fault("unsigned", f"leaves {covered} to {self._size - 1}")
        if self._witness is None:
            self._fault("unwitnessed", "log/checkpoints")
        else:
            self._against_witness(ours, theirs)
        if not self._size:
            self._fault("nothing-sealed", str(self._folder))
        read = self._files(events, progress)
        return Verification(
            tuple(self._faults),
            len(self._leaves),
            sum(leaf.events for leaf in self._leaves.values()),
            unsealed,
            read,
            len(ours),
        )

    def _fault(self, kind: str, where: str, what: str = "") -> None:
        words = what or CHANGED.get(kind) or INCOMPLETE.get(kind) or REMARKS[kind]
        self._faults.append(Fault(kind, where, words))

    def _read_key(self, named: Path | None) -> Ed25519PublicKey | None:
        places = [named, self._witness and self._witness / PUBLIC, self._log / PUBLIC]
        for place in places:
            if place is None or (place is not named and not place.exists()):
                continue
            try:
                key = read_public(place)
            except UsageError as error:
                if place is named:
                    raise
                self._fault("key-replaced", str(place), str(error))
                continue
            if place == self._log / PUBLIC:
                self._fault("key-unconfirmed", "log/log.pub")
            else:
                self._other_keys(key, [other for other in places if other and other != place])
            return key
        return None

    def _other_keys(self, key: Ed25519PublicKey, places: list[Path]) -> None:
        for place in places:
            if place.exists() and place.read_bytes() != public_pem(key):
                self._fault("key-replaced", str(place))

    def _checkpoints(self, notes: Notes, where: str) -> list[Checkpoint]:
        texts, torn = notes.read()
        found: list[Checkpoint] = []
        for number, text in enumerate(texts):
            try:
                one = parse(text)
            except StoreError:
                self._fault("checkpoint-unreadable", f"{where} {number}", f"{number} is not one")
                continue
            if self._key is None or not one.signed_by(self._key):
                self._fault("checkpoint-forged", f"{where} {number}")
                continue
            found.append(one)
        if torn:
            self._fault("torn", where)
        return found

    def _chain(self, ours: list[Checkpoint]) -> None:
        before, size = FIRST, 0
        for number, one in enumerate(ours):
            if one.previous != before or one.size <= size or one.origin != ours[0].origin:
                self._fault(
                    "checkpoint-missing",
                    f"log/checkpoints {number}",
                    f"the checkpoint of {one.size} leaves does not follow the one before it",
                )
            before, size = one.digest, one.size

    def _theirs(self) -> list[Checkpoint]:
        if self._witness is None:
            return []
        return self._checkpoints(Notes(self._witness), "witness")

    def _against_witness(self, ours: list[Checkpoint], theirs: list[Checkpoint]) -> None:
        mine = [one.note for one in ours]
        for number, one in enumerate(theirs):
            if one.note not in mine[number : number + 1]:
                self._fault(
                    "witness-differs",
                    f"witness {number}",
                    f"the checkpoint of {one.size} leaves is not what the log has in its place",
                )
                break
        if len(ours) > len(theirs):
            sizes = f"{theirs[-1].size if theirs else 0} to {ours[-1].size - 1}"
            self._fault("unwitnessed", f"leaves {sizes}", "the witness has not seen them")

    def _read_leaves(self, sizes: set[int]) -> None:
        path = self._log / FILE
        data = path.read_bytes() if path.exists() else b""
        *lines, torn = data.split(b"\n")
        tree = merkle.Growing()
        for number, text in enumerate(lines):
            tree.add(merkle.leaf(text))
            if tree.size in sizes:
                self._roots[tree.size] = tree.root()
            try:
                leaf = parse_leaf(text)
            except StoreError as error:
                self._fault("leaf-unreadable", f"leaf {number}", str(error))
                continue
            if leaf.number != number:
                self._fault("leaf-misplaced", f"leaf {number}", f"it says it is {leaf.number}")
            if isinstance(leaf, Expiry):
                self._expired.update(leaf.segments)
                for gone in leaf.segments:
                    self._leaves.pop(gone, None)
            else:
                self._leaves[leaf.number] = leaf
                self._follow(leaf)
        self._size = tree.size
        if torn:
            self._fault("torn", f"log/{FILE}")

    def _follow(self, leaf: Segment) -> None:
        for span in leaf.spans:
            before = self._spans.get(span.writer)
            if before is not None and span.first != before.upto:
                self._fault(
                    "sequence-broken",
                    f"leaf {leaf.number}",
                    f"{span.writer} goes on at {span.first}, and {before.upto} was to come",
                )
            self._spans[span.writer] = span
        for note in leaf.notes:
            self._fault("noticed", f"leaf {leaf.number}", note)

    def _compare(self, place: str, one: Checkpoint) -> None:
        root = self._roots.get(one.size)
        if root is None and one.size > self._size:
            self._fault(
                "log-truncated", place, f"{one.size} leaves were signed, {self._size} are there"
            )
        elif root != one.root:
            self._fault("log-rewritten", place, f"the first {one.size} leaves are not those signed")

    def _files(self, events: bool, progress: Callable[[str, int, int], None] | None) -> int:
        total = sum(leaf.bytes for leaf in self._leaves.values())
        digests = {leaf.sha256: leaf.number for leaf in self._leaves.values()}
        read = 0
        for leaf in self._leaves.values():
            path = self._segments / leaf.file
            where = f"segments/{leaf.file}"
            try:
                size, digest = file_digest(path)
            except OSError as error:
                self._fault("segment-missing", where, error.strerror or "it cannot be read")
                continue
            read += size
            if progress is not None:
                progress("verifying", read, total)
            if digest != leaf.sha256:
                self._fault(*_misfit(where, leaf, size, digests.get(digest)))
            elif events and _contents(path) != (leaf.form, leaf.root, leaf.events):
                self._fault("events-unproven", where)
        return read

    def _strangers(self) -> None:
        known = {leaf.file for leaf in self._leaves.values()}
        known |= {f"{number:010d}.parquet" for number in self._expired}
        if not self._segments.is_dir():
            return
        for path in sorted(self._segments.iterdir()):
            if path.name in known:
                continue
            next_one = re.fullmatch(r"([0-9]{10})\.parquet(\.part)?", path.name)
            if next_one and (next_one[2] or int(next_one[1]) >= self._size):
                self._fault("unsigned", f"segments/{path.name}", "no leaf names it, as yet")
            else:
                self._fault("segment-inserted", f"segments/{path.name}")

    def _journals(self) -> int:
        unsealed = 0
        present = writers(self._folder)
        for writer in present:
            journal = WriterJournal(self._folder, writer)
            span = self._spans.get(writer)
            journal.closed = span is not None and span.ended
            for row in with_gaps(journal, journal.read(), span.upto if span else None):
                unsealed += 1
                if row[KIND] == "gap":
                    self._fault("gap", writer, str(row[NOTE]))
            for note in journal.notes:
                self._fault("journal-damaged", writer, note)
        if unsealed:
            self._fault("unsealed", "journal", f"{unsealed} events are in journals only")
        for writer, span in self._spans.items():
            if not span.ended and writer not in present:
                self._fault(
                    "writer-vanished", writer, f"after {span.upto - 1} neither end nor journal"
                )
        return unsealed


@contextmanager
def _no_sealer(log: Path) -> Iterator[None]:
    """Wait for a sealer at work and keep others off; copies without a lock are just read."""
    try:
        handle = os.open(log / "lock", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        yield
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_SH)
        yield
    finally:
        os.close(handle)


def _contents(path: Path) -> tuple[str, str, int] | None:
    import pyarrow as pa

    try:
        names, payloads = read_payloads(path)
    except (pa.ArrowException, OSError, LookupError, TypeError, ValueError):
        return None
    return form(names), merkle.root(list(map(merkle.leaf, payloads))).hex(), len(payloads)


def _misfit(where: str, leaf: Segment, size: int, other: int | None) -> Fault:
    if other is not None:
        return Fault("segment-moved", where, f"it is segment {other}")
    if size < leaf.bytes:
        return Fault("segment-truncated", where, f"{size} of {leaf.bytes} bytes")
    return Fault("segment-edited", where, f"its SHA-256 is not {leaf.sha256}")
