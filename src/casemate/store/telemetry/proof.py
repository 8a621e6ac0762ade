"""Proof that one event is in the log, for somebody who has neither the log nor this program.

Two inclusion paths (RFC 9162, 2.1.3): from the event to the root in its segment's leaf, and from
that leaf to the root of a signed checkpoint. SHA-256 and an Ed25519 check are all it takes.
"""

from __future__ import annotations

import binascii
from typing import TYPE_CHECKING

import msgspec

from casemate.errors import CasemateError, StoreError, UsageError
from casemate.store.telemetry import merkle
from casemate.store.telemetry.checkpoint import parse
from casemate.store.telemetry.columns import SEQUENCE, WRITER, event, form, unpack
from casemate.store.telemetry.leaves import FILE, FOLDER, Leaves, Segment
from casemate.store.telemetry.leaves import parse as parse_leaf
from casemate.store.telemetry.segment import read_payloads
from casemate.store.telemetry.witness import Notes

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    from casemate.records.event import Event


class Proof(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    tag_field="proof",
    tag="event/1",
    forbid_unknown_fields=True,
):
    """What shows that an event is in a log, as it is written to a file in JSON."""

    row: bytes
    """MessagePack of the event's row: what is hashed."""
    columns: tuple[str, ...]
    """Names of the row's values; the leaf's `form` is made of them."""
    index: int
    """Place of the event in its segment."""
    path: bytes
    """Hashes of 32 bytes each, from the event to the segment's root."""
    leaf: str
    """The segment's line in the log; its `root` and `events` count here."""
    number: int
    """Place of the leaf in the log."""
    leaf_path: bytes
    """From the leaf to the root of the checkpoint."""
    checkpoint: str
    """The signed note."""


def prove(folder: Path, writer: str, sequence: int) -> Proof:
    """Return the proof of a sealed event.

    Raises:
        UsageError: There is no such event, or it is not sealed yet.
        StoreError: The log cannot be read.
    """
    found = prove_all(folder, [(writer, sequence)])[writer, sequence]
    if isinstance(found, CasemateError):
        raise found
    return found


def prove_all(
    folder: Path, wanted: Sequence[tuple[str, int]]
) -> dict[tuple[str, int], Proof | CasemateError]:
    """Return the proof of each event, or why there is none; each segment is read once.

    Args:
        folder: Place of the telemetry.
        wanted: Writers and sequences.

    Raises:
        StoreError: The log cannot be read.
    """
    found: dict[tuple[str, int], Proof | CasemateError] = {}
    leaves = Leaves(folder)
    there: dict[int, tuple[Segment, list[tuple[str, int]]]] = {}
    segments = leaves.segments()
    for writer, sequence in wanted:
        for segment in segments:
            if any(s.writer == writer and s.first <= sequence < s.upto for s in segment.spans):
                there.setdefault(segment.number, (segment, []))[1].append((writer, sequence))
                break
        else:
            found[writer, sequence] = UsageError(
                f"no event {writer}:{sequence} is sealed in {folder}"
            )
    if not there:
        return found
    notes, _ = Notes(folder / FOLDER).read()
    if not notes:
        raise StoreError(f"the log of {folder} has no checkpoint")
    last = parse(notes[-1])
    lines = (folder / FOLDER / FILE).read_bytes().splitlines()[: last.size]
    hashes = [merkle.leaf(one) for one in lines]
    for number, (segment, events) in there.items():
        if number >= len(lines):
            error = StoreError(f"segment {number} is not signed yet")
            found.update(dict.fromkeys(events, error))
            continue
        try:
            names, payloads = read_payloads(leaves.path(segment))
            places = _places(names, payloads, set(events))
            rows = [merkle.leaf(one) for one in payloads]
            if merkle.root(rows).hex() != segment.root:
                raise StoreError("its events are not those its leaf was made for")
        except (StoreError, OSError, ValueError) as error:  # pyarrow's are ValueErrors
            found.update(dict.fromkeys(events, _broken(segment, error)))
            continue
        ways = merkle.paths(rows, list(places.values()))
        steps = b"".join(merkle.path(hashes, number))
        for (which, index), way in zip(places.items(), ways, strict=True):
            found[which] = Proof(
                row=payloads[index],
                columns=names,
                index=index,
                path=b"".join(way),
                leaf=lines[number].decode(),
                number=number,
                leaf_path=steps,
                checkpoint=last.note.decode(),
            )
        for writer, sequence in set(events) - set(places):
            found[writer, sequence] = UsageError(
                f"event {writer}:{sequence} was lost: a gap stands in its place"
            )
    return found


def _broken(segment: Segment, error: Exception) -> StoreError:
    return StoreError(
        f"segment {segment.file} is not what was sealed: {error}",
        hint="casemate verify says what was changed",
    )


def _places(
    names: tuple[str, ...], payloads: Sequence[bytes], wanted: set[tuple[str, int]]
) -> dict[tuple[str, int], int]:
    found = {}
    for place, payload in enumerate(payloads):
        row = unpack(payload, names)
        if (row[WRITER], row[SEQUENCE]) in wanted:
            found[row[WRITER], row[SEQUENCE]] = place
    return found


def check(proof: Proof, key: Ed25519PublicKey) -> Event:
    """Return the event a proof is for.

    Raises:
        StoreError: It proves nothing, or another key signed the checkpoint.
    """
    checkpoint = parse(proof.checkpoint.encode())
    if not checkpoint.signed_by(key):
        raise StoreError("the proof's checkpoint is not signed by the key")
    text = proof.leaf.encode()
    root = merkle.climb(merkle.leaf(text), proof.number, checkpoint.size, _steps(proof.leaf_path))
    if root != checkpoint.root:
        raise StoreError("the proof's leaf is not in the log")
    leaf = parse_leaf(text)
    if not isinstance(leaf, Segment):
        raise StoreError("the proof's leaf is not of a segment")
    root = merkle.climb(merkle.leaf(proof.row), proof.index, leaf.events, _steps(proof.path))
    if root is None or root.hex() != leaf.root:
        raise StoreError("the proof's event is not in the segment")
    if form(proof.columns) != leaf.form:
        raise StoreError("the proof's columns are not those of the segment")
    return event(unpack(proof.row, proof.columns))


def to_json(proof: Proof) -> bytes:
    """Return the proof as a file's bytes."""
    return msgspec.json.format(msgspec.json.encode(proof), indent=2) + b"\n"


def from_json(data: bytes) -> Proof:
    """Read a proof.

    Raises:
        UsageError: Not one.
    """
    try:
        return msgspec.json.decode(data, type=Proof)
    except (msgspec.DecodeError, UnicodeDecodeError, binascii.Error) as error:
        raise UsageError(f"not a proof of an event: {error}") from error


def _steps(path: bytes) -> list[bytes]:
    if len(path) % 32:
        raise StoreError("the proof's path is not of whole hashes")
    return [path[at : at + 32] for at in range(0, len(path), 32)]
