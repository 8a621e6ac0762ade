"""Checkpoints as notes in files: strict, torn ends mended, the second place only added to."""

import pytest

from casemate.errors import StoreError
from casemate.store.telemetry.checkpoint import FIRST, parse, sign, split
from casemate.store.telemetry.durable import append, cut, sync_folder
from casemate.store.telemetry.keys import public_pem, signing_key
from casemate.store.telemetry.leaves import Expiry, Leaves, Segment, line
from casemate.store.telemetry.leaves import parse as parse_leaf
from casemate.store.telemetry.witness import Notes, tell
from tests.store.telemetry.places import sealed

ORIGIN = f"casemate/telemetry/{'0' * 32}"


@pytest.fixture
def key(tmp_path):
    return signing_key(tmp_path / "keys" / "log.pem", tmp_path / "telemetry")


def chain(key, count):
    found, before = [], FIRST
    for size in range(1, count + 1):
        found.append(sign(key, ORIGIN, size, bytes([size]) * 32, before))
        before = found[-1].digest
    return found


def test_a_checkpoint_is_read_as_it_was_signed(key):
    for one in chain(key, 3):
        assert parse(one.note) == one
        assert one.signed_by(key.public_key())


def test_every_bit_of_a_checkpoint_counts(key):
    note = chain(key, 1)[0].note
    for at in range(len(note) * 8):
        bad = bytearray(note)
        bad[at // 8] ^= 1 << at % 8
        try:
            one = parse(bytes(bad))
        except StoreError:
            continue
        assert not one.signed_by(key.public_key())


def test_a_torn_end_is_cut_off_and_nothing_else(key, tmp_path):
    own = chain(key, 3)
    notes = Notes(tmp_path)
    notes.add(own)
    whole = notes.path.read_bytes()
    third = whole.rindex(b"casemate/telemetry", 0, whole.rindex("\N{EM DASH}".encode()))
    for size in range(third + 1, len(whole), 7):
        notes.path.write_bytes(whole[:size])
        assert notes.mend() == own[:2]
        assert split(notes.path.read_bytes()) == ([one.note for one in own[:2]], b"")
    notes.add(own[2:])
    assert notes.mend() == own


def test_the_witness_is_brought_up_to_date_and_never_back(key, tmp_path):
    own, public = chain(key, 4), public_pem(key.public_key())
    place = tmp_path / "witness"
    assert tell(place, own[:2], public) is None
    assert tell(place, own, public) is None
    assert Notes(place).mend() == own
    with pytest.raises(StoreError, match="does not go on"):
        tell(place, own[:3], public)
    with pytest.raises(StoreError, match="does not go on"):
        tell(place, [*own[:3], sign(key, ORIGIN, 4, bytes(32), own[2].digest)], public)


def test_writing_is_whole_or_has_not_happened(tmp_path):
    path = tmp_path / "file"
    append(path, b"one")
    append(path, b"two")
    cut(path, 4)
    sync_folder(tmp_path)
    assert path.read_bytes() == b"onet"
    full = tmp_path / "full"
    full.symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space"):
        append(full, b"x")


def test_leaves_are_read_on_and_what_expired_is_gone(tmp_path):
    made, _ = sealed(tmp_path, rounds=2, each=5)
    leaves = Leaves(made.folder)
    assert [one.number for one in leaves.segments()] == [0, 1]
    path = made.folder / "log" / "leaves.jsonl"
    gone = Expiry(number=2, segments=(0,), sealed=0, reason="old")
    assert parse_leaf(line(gone)) == gone
    append(path, line(gone) + b"\n" + b'{"leaf":"torn')
    assert [one.number for one in leaves.segments()] == [1]
    assert isinstance(leaves.segments()[0], Segment)
    cut(path, 10)
    with pytest.raises(StoreError, match="shorter"):
        leaves.refresh()
    with pytest.raises(StoreError, match="not a leaf"):
        parse_leaf(b"\xff{}")
