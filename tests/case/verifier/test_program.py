"""The verifier on hostile bundles: a fault for each, no crash, nothing read that is elsewhere."""

import json
import os
import random

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from casemate.case.bundle.packing import Packing
from casemate.case.bundle.piece import Piece
from casemate.case.bundle.writing import Writer
from casemate.case.verifier import faults, folder, items, program, proof, records, statements
from casemate.case.verifier.curve import name_key
from casemate.store.telemetry.columns import pack, row
from tests.store.telemetry.samples import events

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
RAW = KEY.public_key().public_bytes_raw()


@pytest.fixture
def bundle(tmp_path):
    pieces = [Piece(name=f"items/{n}", kind="artifact", producer="artifact", data=b"%d" % n)
              for n in range(3)]  # fmt: skip
    with Writer(tmp_path / "b", "case-2026-0001") as writer:
        Packing(pieces).pack(writer, "ada")
        writer.finish(KEY, by="ada", tool="casemate")
    return tmp_path / "b"


def kinds(bundle, **given):
    found = program.check(str(bundle), [RAW], **given)
    return {one.kind for one in found.faults if one.weight == "changed"}


def test_every_fault_has_one_weight_and_words():
    tables = (faults.CHANGED, faults.INCOMPLETE, faults.REMARKS)
    names = [name for table in tables for name in table]
    assert len(names) == len(set(names))
    assert all(words for table in tables for words in table.values())


def test_a_folder_that_is_no_bundle_is_not_called_whole(tmp_path):
    assert program.check(str(tmp_path)).answer == "changed"
    assert program.check(str(tmp_path / "nothing")).answer == "changed"


@pytest.mark.parametrize(
    "line",
    [
        b"", b"null", b"[]", b"{}", b"1e999", b"\xff", b"[" * 200_000, b'"x"',
        b'{"number":0,"producer":"a","sequence":0,"leaf":"zz"}',
        b'{"number":0,"producer":"a","sequence":0,"leaf":"' + b"0" * 64 + b'","kind":1 }',
        b'{"number":0,"producer":[],"sequence":0}',
        b'{"number":0,"producer":"a","sequence":0,"salt":"","path":"data/x"}',
        *(
            b'{"number":0,"producer":"a","sequence":0,"salt":"%s","path":%s,"sha256":"%s","bytes":1}'
            % (b"0" * 32, json.dumps(path).encode(), b"0" * 64)
            for path in ("../x", "/etc/passwd", "data/../../x", "", "data//x", "data\\x", 5, ["a"])
        ),
        b"x" * (3 << 20),
    ],
)  # fmt: skip
def test_a_hostile_line_is_a_fault(bundle, line):
    leaves = bundle / items.LEAVES
    leaves.write_bytes(line + b"\n" + leaves.read_bytes())
    assert "leaf-unreadable" in kinds(bundle)


@pytest.mark.parametrize("path", [statements.COLLECTED, statements.CHECKPOINT, program.KEY])
@pytest.mark.parametrize(
    "data", [b"", b"null", b"{}", b"[" * 200_000, b"\xff\0", b'{"payloadType":1,"signatures":[1]}']
)
def test_a_hostile_seal_is_a_fault(bundle, path, data):
    (bundle / path).write_bytes(data)
    assert kinds(bundle) & {
        "statement-unreadable", "checkpoint-unreadable", "key-replaced", "file-truncated",
        "file-edited",
    }  # fmt: skip


def test_it_opens_no_pipe_and_follows_no_link(bundle, tmp_path):
    (bundle / "data/items/0").unlink()
    os.mkfifo(bundle / "data/items/0")
    (bundle / "seal/more").symlink_to("/")
    (tmp_path / "outside").mkdir()
    (bundle / "data/out").symlink_to(tmp_path / "outside")
    found = program.check(str(bundle), [RAW])
    assert {one.where for one in found.faults if one.kind == "link-inserted"} == {
        "data/items/0", "seal/more", "data/out",
    }  # fmt: skip


def test_names_that_are_no_text_are_faults_and_printed_safely(bundle, capsys):
    (bundle / os.fsdecode(b"data/\xff\x1b[31m\n.txt")).write_text("x")
    assert "file-inserted" in kinds(bundle)
    assert program.main([str(bundle), "--key", name_key(RAW)]) == 1
    said = capsys.readouterr().out
    assert "\x1b" not in said
    assert "\\x1b[31m\\n" in said


def test_faults_beyond_a_thousand_are_counted(bundle, capsys):
    (bundle / "data/many").mkdir()
    for number in range(1100):
        (bundle / f"data/many/{number}").touch()
    found = program.check(str(bundle), [RAW])
    assert len(found.faults) == 1000
    assert found.left_out >= 100
    program.main([str(bundle)])
    assert "... and " in capsys.readouterr().out


def test_an_edit_is_named_beside_a_thousand_items_that_were_not_copied(tmp_path, capsys):
    pieces = [Piece(name="items/first", kind="artifact", producer="artifact", data=b"first")]
    pieces += [Piece(name=f"items/{n}", kind="artifact", producer="artifact", why="not copied")
               for n in range(1100)]  # fmt: skip
    pieces.append(Piece(name="items/last", kind="artifact", producer="artifact", data=b"last"))
    out = tmp_path / "b"
    with Writer(out, "case-2026-0001") as writer:
        Packing(pieces).pack(writer, "ada")
        writer.finish(KEY, by="ada", tool="casemate")
    assert program.check(str(out), [RAW]).answer == "whole"
    (out / "data/items/last").write_bytes(b"lost")
    found = program.check(str(out), [RAW])
    assert found.answer == "changed"
    assert program.proved(found) == ["This is not what was sealed."]
    assert [one.where for one in found.faults if one.weight == "changed"] == ["data/items/last"]
    assert found.left_out == 100
    assert program.main([str(out), "--key", name_key(RAW)]) == 1
    assert capsys.readouterr().out.startswith("changed: file-edited: data/items/last")


def test_without_a_key_remarks_do_not_make_it_whole(bundle):
    found = folder.Bundle(str(bundle), (), ())
    for number in range(2000):
        found.fault("absent", str(number))
    found.fault("unpinned", program.KEY)
    assert found.answer == "incomplete"
    found.fault("rolled-back", statements.CHECKPOINT)
    assert found.answer == "changed"
    assert program.proved(found)[0].startswith("This ")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--key", name_key(RAW)], 0, f"Proved: whoever holds {name_key(RAW)} sealed it."),
        ([], 3, "Not proved: by whom."),
        (["--key", name_key(bytes(32))], 1, "key-replaced"),
        (["--key", "ed25519:x"], 2, "error: "),
        (["--key", "/no/such/file"], 2, "error: "),
        (["--witness", "/no/such/file"], 2, "error: "),
    ],
)
def test_what_it_says_and_its_exit_code(bundle, capsys, arguments, code, said):
    assert program.main([str(bundle), *arguments]) == code
    assert said in capsys.readouterr().out


@pytest.mark.parametrize("witness", [b"", b"x", b"\n\n\n", b"casemate/bundle/x\n\n"])
def test_a_witness_that_says_nothing_confirms_nothing(bundle, witness):
    assert "witness-differs" in kinds(bundle, witness=witness)


@pytest.mark.parametrize(
    "text",
    [b"", b"c2sp.org/tlog-proof@v1", b"c2sp.org/tlog-proof@v1\nextra !\nindex x\n\n", b"\xff\n\n"],
)
def test_a_hostile_proof_proves_nothing(text):
    with pytest.raises(ValueError, match=r"."):
        proof.check_proof(text, [RAW])


def test_values_of_events_are_read_as_they_were_packed():
    for event in events(60):
        values, end = records.unpack(pack(event), 0)
        assert end == len(pack(event))
        assert values == json.loads(json.dumps(row(event)))


def test_random_bytes_are_no_event_and_no_crash():
    rng = random.Random(0)
    for _ in range(2000):
        data = rng.randbytes(rng.randrange(30))
        try:
            records.unpack(data, 0)
        except (ValueError, LookupError, RecursionError, records.struct.error):
            continue


def test_a_file_that_vanishes_or_grows_is_seen(tmp_path):
    (tmp_path / "a").write_bytes(b"x" * (3 << 20))
    bundle = folder.Bundle(str(tmp_path), (), ())
    assert bundle.digest("a")[0] == 3 << 20
    with pytest.raises(ValueError, match="too large"):
        bundle.read("a", 1000)
    with pytest.raises(OSError, match=r"."):
        bundle.digest("b")
