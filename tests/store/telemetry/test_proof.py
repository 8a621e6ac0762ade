"""The proof of one event holds for somebody who has hashlib and a key, and for nothing else."""

import base64
import hashlib
import json

import msgspec
import pytest

from casemate.errors import StoreError, UsageError
from casemate.store.telemetry.journal import Journal
from casemate.store.telemetry.keys import read_public
from casemate.store.telemetry.proof import Proof, check, from_json, prove, to_json
from tests.store.telemetry.places import sealed
from tests.store.telemetry.samples import WRITER, events


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    place, sent = sealed(tmp_path_factory.mktemp("proofs"), rounds=7, each=37)
    return place, sent


def climbed(hash_, index, size, steps):
    """RFC 9162, 2.1.3.2, written anew from its text."""
    fn, sn = index, size - 1
    for step in steps:
        assert sn != 0
        if fn % 2 == 1 or fn == sn:
            hash_ = hashlib.sha256(b"\x01" + step + hash_).digest()
            while fn % 2 == 0 and fn != 0:
                fn, sn = fn >> 1, sn >> 1
        else:
            hash_ = hashlib.sha256(b"\x01" + hash_ + step).digest()
        fn, sn = fn >> 1, sn >> 1
    assert sn == 0
    return hash_


def test_with_hashlib_alone(made):
    place, sent = made
    for event in sent[::11]:
        proof = json.loads(to_json(prove(place.folder, event.writer, event.sequence)))

        def steps(name, proof=proof):
            whole = base64.b64decode(proof[name])
            return [whole[at : at + 32] for at in range(0, len(whole), 32)]

        row = base64.b64decode(proof["row"])
        leaf = json.loads(proof["leaf"])
        root = climbed(
            hashlib.sha256(b"\x00" + row).digest(), proof["index"], leaf["events"], steps("path")
        )
        assert root.hex() == leaf["root"]
        _, size, signed, *_ = proof["checkpoint"].split("\n")
        root = climbed(
            hashlib.sha256(b"\x00" + proof["leaf"].encode()).digest(),
            proof["number"],
            int(size),
            steps("leaf_path"),
        )
        assert base64.b64encode(root).decode() == signed
        values = msgspec.msgpack.decode(row)
        assert (values[0], values[1], values[4]) == (event.writer, event.sequence, event.principal)


def test_check_returns_the_event_and_refuses_all_else(made):
    place, sent = made
    key = read_public(place.public)
    event = sent[100]
    proof = prove(place.folder, event.writer, event.sequence)
    assert check(from_json(to_json(proof)), key) == event
    other = prove(place.folder, sent[101].writer, sent[101].sequence)
    replace = msgspec.structs.replace
    for wrong in (
        replace(proof, row=other.row),
        replace(proof, index=proof.index ^ 1),
        replace(proof, path=other.path),
        replace(proof, columns=(*proof.columns[1:], proof.columns[0])),
        replace(proof, path=proof.path[:-32]),
        replace(proof, path=proof.path[:-1]),
        replace(proof, leaf=proof.leaf.replace('"events":37', '"events":38')),
        replace(proof, number=0),
        replace(proof, leaf_path=b""),
        replace(proof, checkpoint=proof.checkpoint.replace("previous ", "previous 0")),
        replace(proof, checkpoint=proof.checkpoint.replace("\n7\n", "\n8\n")),
    ):
        with pytest.raises(StoreError):
            check(wrong, key)


def test_every_bit_of_a_proof_counts(made):
    place, sent = made
    key = read_public(place.public)
    proof = prove(place.folder, sent[5].writer, sent[5].sequence)
    for name in ("row", "path", "leaf_path"):
        data = getattr(proof, name)
        for at in range(0, len(data) * 8, 61):
            bad = bytearray(data)
            bad[at // 8] ^= 1 << at % 8
            with pytest.raises(StoreError):
                check(msgspec.structs.replace(proof, **{name: bytes(bad)}), key)


def test_it_stays_under_two_kilobytes_in_a_full_log():
    hashes = bytes(32)
    proof = Proof(
        row=b"",
        columns=(),
        index=2**20 - 1,
        path=hashes * 20,  # a million events in a segment
        leaf="x" * 420,
        number=2**12 - 1,
        leaf_path=hashes * 12,  # four thousand segments: four thousand million events
        checkpoint="x" * 320,
    )
    raw = len(proof.path) + len(proof.leaf_path) + len(proof.leaf) + len(proof.checkpoint)
    assert raw < 2048


def test_what_is_not_sealed_cannot_be_proved(made, tmp_path):
    place, _ = made
    with pytest.raises(UsageError, match="no event"):
        prove(place.folder, WRITER, 10**6)
    journal = Journal(tmp_path, WRITER)
    journal.append(events(3))
    journal.close()
    with pytest.raises(UsageError, match="is sealed"):
        prove(tmp_path, WRITER, 1)
    with pytest.raises(UsageError, match="not a proof"):
        from_json(b'{"proof":"event/1","row":"\xff"}')
