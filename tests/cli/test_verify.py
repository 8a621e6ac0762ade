"""`casemate verify`: exit codes and words."""

import json

import pytest

from casemate.cli.program import main
from casemate.store.telemetry.journal import Journal
from tests.store.telemetry.places import sealed
from tests.store.telemetry.samples import WRITER, events
from tests.workflows.bundled import case


@pytest.fixture
def made(tmp_path):
    return sealed(tmp_path, rounds=2, each=9)[0]


def verify(capsys, *args):
    code = main(["verify", "-q", *map(str, args)])
    seen = capsys.readouterr()
    return code, seen.out + seen.err


def test_whole_changed_and_open(made, capsys):
    full = made.folder, "--witness", made.witness, "--public-key", made.public
    code, text = verify(capsys, *full, "--events")
    assert (code, text.startswith("whole: 18 sealed events in 2 segments")) == (0, True)
    code, text = verify(capsys, made.folder)
    assert code == 3
    assert "unwitnessed" in text
    assert "key-unconfirmed" in text
    path = made.folder / "segments" / "0000000001.parquet"
    data = bytearray(path.read_bytes())
    data[999] ^= 1
    path.write_bytes(data)
    code, text = verify(capsys, *full)
    assert code == 1
    assert "segment-edited  segments/0000000001.parquet" in text
    code, text = verify(capsys, *full, "--json")
    assert code == 1
    body = json.loads(text)
    assert body["answer"] == "changed"
    assert [fault["kind"] for fault in body["faults"]] == ["segment-edited"]


def test_a_recorded_gap_and_unsealed_events_are_remarks(made, capsys):
    journal = Journal(made.folder, WRITER)
    journal.append(events(3))
    journal.flush()
    code, text = verify(capsys, made.folder, "--witness", made.witness)
    journal.close()
    assert code == 0
    assert "3 events are in journals only" in text


def test_a_workspace_or_project_is_named_as_well(made, tmp_path, capsys):
    (tmp_path / "project" / ".casemate").mkdir(parents=True)
    made.folder.rename(tmp_path / "project" / ".casemate" / "telemetry")
    for path in ("project", "project/.casemate", "project/.casemate/telemetry"):
        assert verify(capsys, tmp_path / path, "--witness", made.witness)[0] == 0
    code, text = verify(capsys, tmp_path / "keys")
    assert code == 2
    assert "there is no telemetry" in text


def test_a_proof_is_written_and_verified(made, tmp_path, capsys):
    code, text = verify(capsys, made.folder, "--prove", f"{WRITER[:-1]}1:4")
    assert code == 0
    proof = tmp_path / "proof.json"
    assert verify(capsys, made.folder, "--prove", f"{WRITER[:-1]}1:4", "-o", proof) == (0, "")
    assert proof.read_text() == text
    nowhere = tmp_path / "no" / "where"
    assert verify(capsys, made.folder, "--prove", f"{WRITER[:-1]}1:4", "-o", nowhere)[0] == 2
    code, said = verify(capsys, proof, "--public-key", made.public)
    assert code == 0
    assert said == f"whole: event {WRITER[:-1]}1:4 by user-4 is in the log\n"
    body = json.loads(text)
    body["index"] += 1
    proof.write_text(json.dumps(body))
    code, said = verify(capsys, proof, "--public-key", made.public)
    assert code == 1
    assert said == "changed: the proof's event is not in the segment\n"
    assert verify(capsys, proof)[0] == 2
    assert verify(capsys, made.folder, "--prove", "x")[0] == 2
    assert verify(capsys, made.folder, "--prove", f"{WRITER[:-1]}1:99")[0] == 2


@pytest.fixture
def bundled(tmp_path, monkeypatch):
    (tmp_path / "bundled").mkdir()
    found = case(tmp_path / "bundled", monkeypatch)
    yield found.bundle()
    found.workspace.close()


def test_a_bundle_is_whole_open_or_changed(bundled, capsys, monkeypatch, tmp_path):
    code, text = verify(capsys, bundled.folder, "--public-key", bundled.key)
    assert code == 0
    assert "absent: vulnerability" in text
    assert f"Proved: whoever holds {bundled.key} sealed it." in text
    monkeypatch.setenv("CASEMATE_KEYS", str(tmp_path / "another"))
    code, text = verify(capsys, bundled.folder)
    assert (code, "unpinned" in text, "Not proved: by whom." in text) == (3, True, True)
    path = bundled.folder / "data/items/artifacts/model.bin"
    data = bytearray(path.read_bytes())
    data[5000] ^= 1
    path.write_bytes(data)
    code, text = verify(capsys, bundled.folder, "--public-key", bundled.folder / "seal/case.pub")
    assert code == 1
    assert "file-edited  data/items/artifacts/model.bin" in text
    assert "This is not what was sealed." in text
    code, text = verify(capsys, bundled.folder, "--json")
    body = json.loads(text)
    assert (code, body["answer"], body["case"]) == (1, "changed", "case-2026-0001")
    (bundled.folder / "bagit.txt").unlink()
    assert verify(capsys, bundled.folder, "--public-key", bundled.key)[0] == 1


def test_one_item_of_a_bundle_is_proved_to_somebody_else(bundled, capsys, tmp_path):
    proof = tmp_path / "people.tlog-proof"
    name = "items/artifacts/people.csv"
    assert verify(capsys, bundled.folder, "--prove", name, "-o", proof)[0] == 0
    assert proof.stat().st_size <= 2048
    file = bundled.folder / "data" / name
    given = proof, "--public-key", bundled.key
    assert verify(capsys, *given, "--file", file)[0] == 0
    assert verify(capsys, *given, "--file", bundled.folder / "bagit.txt")[0] == 1
    assert verify(capsys, proof, "--public-key", "ed25519:" + "A" * 43 + "=")[0] == 1
    assert verify(capsys, proof)[0] == 2
    code, text = verify(capsys, bundled.folder, "--prove", "items/nothing")
    assert (code, "no item of" in text) == (2, True)


def test_the_one_file_verifier_is_written_for_others(bundled, capsys, tmp_path):
    assert verify(capsys, bundled.folder, "--verifier", tmp_path / "v.py")[0] == 0
    assert (tmp_path / "v.py").read_bytes() == (bundled.folder / "verify_bundle.py").read_bytes()


@pytest.mark.parametrize("key", ["ed25519:no", "no.pub", "ed25519:" + "A" * 43])
def test_a_key_that_is_none_is_a_usage_error(bundled, capsys, key):
    assert verify(capsys, bundled.folder, "--public-key", key)[0] == 2
