"""Packing and writing: many items, large ones, what is withheld, and what goes wrong."""

import errno
import os
import shutil

import bagit
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from casemate.case.bundle import sealing
from casemate.case.bundle.packing import Packing
from casemate.case.bundle.piece import Piece
from casemate.case.bundle.proving import prove_item
from casemate.case.bundle.writing import Writer
from casemate.case.verifier.program import check
from casemate.case.verifier.proof import check_proof
from casemate.errors import StoreError, UsageError
from casemate.records.statement import Statement, Subject
from tests.case.bundle.test_paths import HOSTILE

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
RAW = KEY.public_key().public_bytes_raw()


def piece(name, data=b"data", **given):
    body = {"kind": "artifact", "producer": "artifact", "data": data, **given}
    return Piece(name=name, **body)


def written(out, pieces, *, withhold=(), **given):
    with Writer(out, "case-2026-0001", **given) as writer:
        Packing(pieces, withhold=withhold).pack(writer, "ada")
        return writer.finish(KEY, by="ada", tool="casemate")


def test_hostile_names_are_packed_checked_and_proved(tmp_path):
    names = [one.replace("\ud800", "") for one in HOSTILE]
    names = [f"items/{number}/{one}" if number % 2 else one for number, one in enumerate(names)]
    written(tmp_path / "b", [piece(one, one.encode()) for one in dict.fromkeys(names)])
    found = check(str(tmp_path / "b"), [RAW])
    assert found.answer == "whole", found.faults
    assert bagit.Bag(str(tmp_path / "b")).is_valid()
    proof = prove_item(tmp_path / "b", "../../etc/passwd")
    assert check_proof(proof, [RAW])["name"] == "../../etc/passwd"
    inside = (tmp_path / "b").resolve()
    assert all(inside in one.resolve().parents for one in inside.rglob("*"))


@pytest.mark.parametrize("count", [0, 1, 2, 7, 700])
def test_any_number_of_items(tmp_path, count):
    done = written(tmp_path / "b", [piece(f"items/{n % 10}/{n}", b"%d" % n) for n in range(count)])
    found = check(str(tmp_path / "b"), [RAW])
    assert (found.answer, found.items) == ("whole", count + 3)
    assert done.items == count + 3
    for which in {0, count // 2, count + 2}:
        proof = prove_item(tmp_path / "b", str(which))
        assert len(proof) < 2048
        assert check_proof(proof, [RAW])["number"] == which


def test_every_withheld_item_leaves_the_rest_verifiable(tmp_path):
    pieces = [piece(f"items/{n}.bin", b"%d" % n) for n in range(9)]
    done = written(tmp_path / "b", pieces, withhold=["items/[0-4].bin", "7.bin"])
    found = check(str(tmp_path / "b"), [RAW])
    # No statement is missing: every hash is named in the signed one.
    assert found.answer == "whole"
    assert len(found.withheld) == 6
    assert len(done.withheld) == 6
    text = b"".join(one.read_bytes() for one in (tmp_path / "b").rglob("*") if one.is_file())
    assert b"items/3.bin" not in text
    for line in done.withheld:
        assert check_proof(prove_item(tmp_path / "b", _name(line), [line]), [RAW])


def _name(line):
    import json

    return json.loads(line)["name"]


def test_the_same_item_has_another_leaf_each_time(tmp_path):
    """Or whoever guesses what is in a withheld one could see that the guess is right."""
    lines = [written(tmp_path / name, [piece("a")], withhold=["a"]).withheld[0] for name in "xy"]
    assert lines[0] != lines[1]


def test_a_source_with_holes_is_copied_with_them(tmp_path):
    source = tmp_path / "weights.bin"
    with source.open("wb") as file:
        file.write(b"head")
        file.truncate(40 << 20)
    told = []
    written(
        tmp_path / "b",
        [piece("items/weights.bin", None, file=source)],
        progress=lambda *given: told.append(given),
        total=40 << 20,
    )
    copy = tmp_path / "b" / "data" / "items" / "weights.bin"
    assert copy.stat().st_size == 40 << 20
    assert copy.stat().st_blocks * 512 < 8 << 20
    assert told[-1][1:] == (40 << 20, 40 << 20)
    assert check(str(tmp_path / "b"), [RAW]).answer == "whole"


@pytest.mark.slow
def test_ten_gigabytes_are_streamed(tmp_path):
    import resource

    source = tmp_path / "weights.bin"
    with source.open("wb") as file:
        file.truncate(10 << 30)
    written(tmp_path / "b", [piece("items/weights.bin", None, file=source, size=10 << 30)])
    assert check(str(tmp_path / "b"), [RAW]).answer == "whole"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 1 << 20  # in KiB: one GiB


@pytest.mark.slow
def test_a_million_items(tmp_path):
    count = 1_000_000
    written(tmp_path / "b", [piece(f"items/{n // 1000}/{n}", b"%d" % n) for n in range(count)])
    found = check(str(tmp_path / "b"), [RAW])
    assert (found.answer, found.shown) == ("whole", count + 3)
    assert len(prove_item(tmp_path / "b", str(count - 1))) <= 2048
    shutil.rmtree(tmp_path / "b")


def test_too_little_room_is_told_before_anything_is_written(tmp_path):
    with pytest.raises(StoreError, match="the bundle needs") as error:
        written(tmp_path / "b", [piece("a")], total=1 << 60)
    assert "with -o" in error.value.hint
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("place", ["data/a", "seal/checkpoint", "bag-info.txt"])
def test_wherever_the_disk_is_full_nothing_is_left(tmp_path, monkeypatch, place):
    real_write, real_open = os.write, os.open
    full = set()

    def opened(path, *given, **more):
        handle = real_open(path, *given, **more)
        if str(path).endswith(place):
            full.add(handle)
        return handle

    def write(handle, data):
        if handle in full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real_write(handle, data)

    def write_bytes(path, data):
        if path.as_posix().endswith(place):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        with path.open("wb") as file:
            return file.write(data)

    monkeypatch.setattr("casemate.case.bundle.writing.os.open", opened)
    monkeypatch.setattr("casemate.case.bundle.writing.os.write", write)
    monkeypatch.setattr("pathlib.Path.write_bytes", write_bytes)
    with pytest.raises(StoreError, match="No space left"):
        written(tmp_path / "b", [piece("a")])
    monkeypatch.undo()
    assert list(tmp_path.iterdir()) == []


def test_a_link_in_the_place_of_a_source_is_not_followed(tmp_path):
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "copy").symlink_to(tmp_path / "secret")
    with pytest.raises(StoreError):
        written(tmp_path / "b", [piece("a", None, file=tmp_path / "copy")])
    assert not (tmp_path / "b").exists()


def test_a_statement_is_one_of_in_toto():
    import json

    statement = Statement(
        subjects=(Subject(name="a", digest="sha256:" + "0" * 64),),
        predicate_type="urn:x",
        predicate={"b": 1, "a": "\u00fc"},
    )
    text = sealing.in_toto(statement)
    assert json.loads(text) == {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "a", "digest": {"sha256": "0" * 64}}],
        "predicateType": "urn:x",
        "predicate": {"a": "\u00fc", "b": 1},
    }


def test_a_proof_of_what_is_not_there_is_refused(tmp_path):
    written(tmp_path / "b", [piece("a")])
    with pytest.raises(UsageError, match="no item of"):
        prove_item(tmp_path / "b", "c")
    (tmp_path / "b" / "seal" / "leaves.jsonl").write_bytes(b"[" * 100_000)
    with pytest.raises(StoreError, match="cannot be read"):
        prove_item(tmp_path / "b", "a")
    with pytest.raises(StoreError, match="cannot be read"):
        prove_item(tmp_path / "c", "a")
