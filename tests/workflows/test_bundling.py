"""Bundles of cases: what is in them, and that stock Python, bagit and casemate agree on them."""

import json

import bagit
import pytest
from securesystemslib.dsse import Envelope
from securesystemslib.signer import SSlibKey

from casemate.errors import StoreError, UsageError
from casemate.store.cases import CaseBook
from casemate.workflows import bundling, verifying
from tests.workflows.bundled import CSV, case, verify


@pytest.fixture
def made(tmp_path, monkeypatch):
    found = case(tmp_path, monkeypatch)
    yield found
    found.workspace.close()


def leaves(folder):
    return [json.loads(one) for one in (folder / "seal/leaves.jsonl").read_text().splitlines()]


def everything(folder):
    """Every byte of a bundle, names of files included."""
    paths = [one for one in folder.rglob("*") if one.is_file()]
    return b"\n".join(str(one.relative_to(folder)).encode() + b"\n" + one.read_bytes()
                      for one in paths)  # fmt: skip


def test_stock_python_bagit_dsse_and_casemate_agree_that_it_is_whole(made):
    done = made.bundle()
    code, said = verify(done.folder, "--key", done.key)
    assert (code, said.splitlines()[-4]) == (0, "whole"), said
    assert "3 events are in the log of events" in said
    found = verifying.verify_bundle(done.folder, keys=[done.key])
    assert (found.answer, found.items) == ("whole", done.items)
    assert bagit.Bag(str(done.folder)).is_valid()
    envelope = Envelope.from_dict(
        json.loads((done.folder / "seal/collection.dsse.json").read_text())
    )
    raw = bytes.fromhex(verifying._key(done.key).hex())
    key = SSlibKey(done.key, "ed25519", "ed25519", {"public": raw.hex()})
    assert envelope.verify([key], 1)


def test_without_a_key_it_says_what_is_not_proved(made):
    done = made.bundle()
    code, said = verify(done.folder)
    assert code == 3
    assert "unpinned" in said
    assert "Not proved: by whom." in said
    assert done.key in said


def test_who_made_it_needs_no_key_to_recognise_it(made):
    assert verifying.verify_bundle(made.bundle().folder).answer == "whole"


def test_everything_the_case_has_is_in_it_or_missing_with_a_reason(made):
    done = made.bundle()
    shown = {one["name"]: one for one in leaves(done.folder)}
    data = done.folder / "data"
    assert (data / "items/artifacts/people.csv").read_bytes() == CSV
    assert (data / "papers/handover.md").is_file()
    log = CaseBook(made.workspace).lines(made.case.id)
    assert (data / "case/custody.jsonl").read_bytes().splitlines() == log[:-1]
    assert {"case/incident.json", "case/items.jsonl", "log/log.pub"} <= set(shown)
    remarks = {(one.kind, one.where) for one in verifying.verify_bundle(done.folder).faults}
    assert {("absent", "detection"), ("absent", "vulnerability")} <= remarks


def test_what_could_not_be_collected_is_listed_with_the_reason(made):
    kept = made.keep("artifacts/gone.onnx", b"weights")
    (made.folder / "items" / kept.copy).unlink()
    made.keep("artifacts/odd.onnx", b"as it was")
    (made.folder / "items" / made.keep("artifacts/late.onnx", b"a").copy).write_bytes(b"b")
    done = made.bundle()
    shown = {one["name"]: one for one in leaves(done.folder)}
    assert "gone from the case's folder" in shown["items/artifacts/gone.onnx"]["why"]
    assert "no longer what was collected" in shown["items/artifacts/late.onnx"]["why"]
    assert "why" not in shown["items/artifacts/odd.onnx"]
    assert verify(done.folder, "--key", done.key)[0] == 0


def test_it_goes_on_the_case_s_log_and_the_next_one_names_it(made):
    first = made.bundle("one")
    last = CaseBook(made.workspace).log(made.case.id).actions[-1]
    assert (last.kind, last.outcome, last.records) == ("bundled", "done", (f"sha256:{first.root}",))
    second = made.bundle("two")
    witness = made.folder / "bundles" / "checkpoints"
    newest = verifying.verify_bundle(second.folder, witness=witness)
    older = verifying.verify_bundle(first.folder, witness=witness)
    assert newest.answer == "whole"
    assert [one.kind for one in older.faults if one.weight == "changed"] == ["rolled-back"]
    code, said = verify(first.folder, "--key", first.key, "--witness", witness)
    assert code == 1
    assert "rolled-back" in said
    assert "it is not the last bundle of the case" in said


def test_an_edited_custody_log_is_packed_and_named(made):
    made.note("the second look")
    with made.workspace.writing() as database:
        database.execute("UPDATE actions SET body = replace(body, 'first', 'worst')")
    done = made.bundle()
    assert done.notes == ("custody log: line 1 was changed",)
    code, said = verify(done.folder, "--key", done.key)
    assert code == 1
    assert "custody-broken: data/case/custody.jsonl, line" in said


def test_an_item_can_be_withheld_and_proved_later(made, tmp_path):
    done = made.bundle(withhold=["artifacts/*.bin"])
    assert done.withheld == 1
    assert not (done.folder / "data/items/artifacts/model.bin").exists()
    code, said = verify(done.folder, "--key", done.key)
    assert code == 0
    assert "withheld by ada" in said
    assert bagit.Bag(str(done.folder)).is_valid()
    number = next(one["number"] for one in leaves(done.folder) if "leaf" in one)
    with pytest.raises(UsageError, match="is withheld"):
        verifying.prove_item(done.folder, str(number))
    proof = bundling.disclose(made.workspace, made.case, done.folder, "items/artifacts/model.bin")
    (tmp_path / "one.tlog-proof").write_bytes(proof)
    (tmp_path / "model.bin").write_bytes(bytes(range(256)) * 40)
    given = (tmp_path / "one.tlog-proof", "--key", done.key, "--file", tmp_path / "model.bin")
    program = done.folder / "verify_bundle.py"
    assert verify(*given, program=program)[0] == 0
    (tmp_path / "model.bin").write_bytes(b"another")
    assert verify(*given, program=program)[0] == 1


def test_a_name_that_matches_nothing_is_refused_before_anything_is_written(made):
    with pytest.raises(UsageError, match=r"nothing in the bundle is called 'artifacts/model.bun'"):
        made.bundle(withhold=["artifacts/model.bun"])
    assert not (made.root / "bundle").exists()


def test_a_folder_that_is_there_is_left_alone(made):
    (made.root / "bundle").mkdir()
    (made.root / "bundle" / "mine").write_text("mine")
    with pytest.raises(UsageError, match="is there already"):
        made.bundle()
    assert (made.root / "bundle" / "mine").read_text() == "mine"


def test_a_full_disk_leaves_nothing_behind_and_is_on_record(made, monkeypatch):
    import errno
    import os

    real = os.write

    def write(handle, data):
        if len(data) == 10240:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(handle, data)

    monkeypatch.setattr("casemate.case.bundle.writing.os.write", write)
    before = set(made.root.iterdir())
    with pytest.raises(StoreError, match="No space left"):
        made.bundle()
    monkeypatch.undo()
    assert set(made.root.iterdir()) == before
    last = CaseBook(made.workspace).log(made.case.id).actions[-1]
    assert (last.kind, last.outcome) == ("bundled", "failed")


PERSONAL = ("Alice Meyer", "Bob Stone", "user-3", "user-4", "user-5")


def test_nothing_personal_is_left_in_a_redacted_bundle(made):
    made.note("Alice Meyer called; it was user-4 (alice%20meyer)", by="Bob Stone")
    made.keep("payloads/Alice Meyer.json", b'{"to": "ALICE MEYER", "n": 1}', "payload")
    (made.folder / "papers" / "breach.html").write_text("<p>Bob Stone &amp; user-5</p>")
    made.keep("data/caf\u00e9.json", b'{"name": "Jos\\u00e9 Ruiz", "by": ["Bob Stone"]}')
    made.keep("records/note.txt", "Jos\u00e9 Ruiz wrote; jose\u0301 ruiz too".encode(), "record")
    done = made.bundle(redact=["principal", "name"], by="Bob Stone")
    shown = everything(done.folder).decode("utf-8", "replace").lower()
    for one in (*PERSONAL, "jos\u00e9 ruiz", "jose\u0301 ruiz", "jos\\u00e9", "alice%20meyer"):
        assert one.lower() not in shown
    code, said = verify(done.folder, "--key", done.key)
    assert code == 0, said
    assert bagit.Bag(str(done.folder)).is_valid()


def test_a_redacted_copy_says_what_it_stands_for_and_pseudonyms_agree(made):
    done = made.bundle(redact=["name", "principal"])
    copies = {one["name"]: one for one in leaves(done.folder) if "instead_of" in one}
    people = (done.folder / copies["items/artifacts/people.csv"]["path"]).read_text().splitlines()
    assert people[0] == "name,age,score"
    assert people[1].startswith("name-")
    assert people[1].endswith(",41,0.5")
    statement = (done.folder / "seal/redaction.dsse.json").read_text()
    said = bundling.dsse.opened(statement.encode())[0]
    numbers = {one["number"]: one for one in json.loads(said)["predicate"]["withheld"]}
    instead = copies["items/artifacts/people.csv"]
    assert numbers[instead["instead_of"]]["instead"] == instead["number"]
    event = json.loads((done.folder / "data/events/w-0123456789abcde0-3.json").read_text())
    assert event["principal"].startswith("principal-")
    assert not (done.folder / "data/events/w-0123456789abcde0-3.proof.json").exists()
    secret = json.loads((made.folder / "bundles" / done.root[:16] / "pseudonyms.json").read_text())
    assert secret[event["principal"]] == "user-3"


def test_no_digest_that_a_name_could_be_guessed_from_is_left(made):
    made.note("Alice Meyer again")
    made.note("nothing more")
    done = made.bundle(redact=["name"])
    import hashlib

    shown = everything(done.folder)
    for original in (CSV, *CaseBook(made.workspace).lines(made.case.id)[2:4]):
        assert hashlib.sha256(original).hexdigest().encode() not in shown
    custody = [
        json.loads(one)
        for one in (done.folder / "data/case/custody.jsonl").read_text().splitlines()
    ]
    assert [one["previous"] == "withheld" for one in custody] == [False, False, False, True]
    faults = verifying.verify_bundle(done.folder).faults
    assert "custody-cut" in {one.kind for one in faults}


def test_what_cannot_be_searched_is_withheld_and_says_so(made):
    done = made.bundle(redact=["name"])
    assert not (done.folder / "data/items/artifacts/model.bin").exists()
    faults = verifying.verify_bundle(done.folder).faults
    assert [one for one in faults if one.kind == "withheld" and "cannot be told" in one.what]


def test_a_redaction_that_would_break_what_proves_the_rest_is_refused(made):
    with pytest.raises(UsageError, match="'previous' is part of what proves") as error:
        made.bundle(redact=["previous"])
    assert "items/*:previous" in error.value.hint
    assert made.bundle(redact=["items/*:id"]).items


def test_parquet_is_redacted_by_column(made, tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({"name": ["Carol Fry", None], "note": ["by carol fry", "x"], "n": [1, 2],
                      "tags": [["Carol Fry"], []]})  # fmt: skip
    pq.write_table(table.replace_schema_metadata({"who": "Carol Fry"}), tmp_path / "a.parquet")
    made.keep("data/a.parquet", (tmp_path / "a.parquet").read_bytes())
    done = made.bundle(redact=["name"])
    shown = pq.read_table(done.folder / "data/items/data/a.parquet")
    assert "Carol" not in str(shown.to_pydict()) + str(shown.schema.metadata)
    assert shown["n"].to_pylist() == [1, 2]
    assert shown["name"].to_pylist()[1] is None
    name = shown["name"].to_pylist()[0]
    assert shown["note"].to_pylist() == [f"by {name}", "x"]


def test_none_of_fifty_planted_strings_is_found(tmp_path, monkeypatch):
    """In names, notes, records, papers, tables and events; by field or as a text wherever it is."""
    planted = [f"Person {chr(65 + n % 26)}{n:02d} \u00d8rsted-{n * 7919 % 997}" for n in range(50)]
    spare = iter(planted)
    take = lambda: next(spare)  # noqa: E731
    found = case(
        tmp_path, monkeypatch, title=f"query of {planted[0]}", owner=take(), opened_by=take(),
        facts={"contact": take(), "people": f"{planted[3]} and {planted[4]}"},
    )  # fmt: skip
    for _ in range(2):
        found.note(f"call {take()} soon", by=take())
    table = "name,mail,age\n" + "".join(f'"{take()}",{take()},4\n' for _ in range(6))
    found.keep("data/people.csv", table.encode())
    found.keep(
        f"data/{planted[8]}/x.json", json.dumps({"subject": {"a": take(), "b": [take()]}}).encode()
    )
    found.keep(
        "data/log.jsonl",
        "".join(json.dumps({"subject": take(), "n": 1}) + "\n" for _ in range(8)).encode(),
    )
    found.keep("data/raw.bin", b"\0\xff" + take().encode())
    found.keep("data/utf16.txt", take().encode("utf-16"))
    found.keep("data/latin.txt", f"{planted[2]}; {planted[9]}".encode("latin-1"))
    rest = list(spare)
    (found.folder / "papers" / f"{rest[0]}.md").write_text("\n".join(rest), "utf-8")
    fields = ["name", "mail", "subject", "owner", "author", "opened_by", "contact",
              *(f"={one}" for one in (*rest, *planted[3:6]))]  # fmt: skip
    done = found.bundle(redact=fields, by=planted[1])
    found.workspace.close()
    raw = everything(done.folder)
    shown = raw.decode("utf-8", "replace").lower()
    for one in planted:
        for form in ("utf-8", "latin-1", "utf-16-le"):
            assert one.encode(form) not in raw
        assert one.lower() not in shown
        assert json.dumps(one)[1:-1].lower() not in shown
    code, said = verify(done.folder, "--key", done.key)
    assert code == 0, said
    assert bagit.Bag(str(done.folder)).is_valid()


def test_a_corrupt_segment_leaves_its_events_without_proof_and_says_so(made):
    (path,) = (made.place.folder / "segments").iterdir()
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 255
    path.write_bytes(data)
    done = made.bundle()
    assert verify(done.folder, "--key", done.key)[0] == 0
    absent = [one for one in leaves(done.folder) if one["kind"] == "proof"]
    assert absent or any("could not be asked for" in one for one in done.notes)
    path.write_bytes(b"PAR1 and nothing more")
    again = made.bundle("again")
    shown = {one["name"]: one.get("why", "") for one in leaves(again.folder)}
    assert "not on record any more" in shown["events/w-0123456789abcde0-3.json"]


def test_items_whose_list_was_damaged_are_packed_all_the_same(made):
    text = (made.folder / "items.jsonl").read_bytes()
    (made.folder / "items.jsonl").write_bytes(b"{no item}\n" + text)
    done = made.bundle()
    assert "cannot be read" in done.notes[0]
    names = {one["name"] for one in leaves(done.folder)}
    assert len([one for one in names if one.startswith("items/unlisted/")]) == 3
    assert verify(done.folder, "--key", done.key)[0] == 0
