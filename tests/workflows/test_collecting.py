"""Evidence frozen and copied: files that change or go, the suspects' events, the legal hold."""

from __future__ import annotations

import json
import time

import pytest

from casemate.case import evidence
from casemate.errors import StoreError
from casemate.records.codec import decode
from casemate.store.cases import CaseBook
from casemate.store.telemetry.query import Telemetry
from casemate.workflows import cases, checks, collecting, sources, triaging


@pytest.fixture
def workspace(scene):
    with scene.open() as opened:
        yield opened


def test_files_and_the_suspects_events_are_copied(scene, workspace):
    case = CaseBook(workspace).get("latest")
    collecting.collect(scene.loaded, workspace, case, by="ana")
    items = {one.name: one for one in cases.view(workspace, case.id).items}
    folder = collecting.folder_of(workspace, case.id)
    assert (folder / "items" / items["artifacts/rows.csv"].copy).read_text() == "a,b\n1,2\n"
    lines = (folder / "items" / items["events/suspects.jsonl"].copy).read_bytes().splitlines()
    events = [decode(line) for line in lines]
    assert {one.principal for one in events} == {"mallory"}
    assert len(events) == 300
    position = json.loads((folder / "items" / items["log/position.json"].copy).read_text())
    assert sum(one["events"] for one in position) == 600
    assert collecting.collect(scene.loaded, workspace, case, by="ana") == []


def test_what_changed_or_went_since_is_said(scene, workspace):
    case = CaseBook(workspace).get("latest")
    (scene.root / "rows.csv").write_text("a,b\n9,9\n")
    (scene.root / "weights" / "w.bin").unlink()
    made = {one.name: one for one in collecting.collect(scene.loaded, workspace, case, by="ana")}
    assert made["artifacts/rows.csv"].state == "changed"
    assert made["artifacts/weights/w.bin"].state == "absent"
    last = CaseBook(workspace).log(case.id).actions[-1]
    assert (last.kind, last.outcome) == ("collected", "failed")
    assert "w.bin" in last.text


def test_the_bulk_is_copied_in_the_background(scene, workspace):
    case = cases.open_case(scene.loaded, workspace, ["latest"], by="ana")
    folder = collecting.folder_of(workspace, case.id)
    end = time.monotonic() + 60
    while time.monotonic() < end:
        states = {one.name: one.state for one in evidence.read(folder)}
        log = CaseBook(workspace).log(case.id).actions
        if log[-1].kind == "collected":
            break
        time.sleep(0.2)
    assert states["artifacts/weights/w.bin"] == "copied", (folder / "collect.log").read_text()


def test_what_an_open_case_rests_on_is_held(scene, workspace):
    case = CaseBook(workspace).get("latest")
    assert collecting.held_since(workspace) < case.triage.began
    cases.close(workspace, case.id, "over", by="ana")
    assert collecting.held_since(workspace) is None


def test_a_hostile_file_name_stays_inside_the_case(scene, workspace):
    odd = scene.root / "weights" / "..\\..\\x\n<b>\x1b[2J"
    odd.write_bytes(b"!")
    case = cases.open_case(scene.loaded, workspace, ["latest"], by="ana", copy="now")
    names = [one.name for one in cases.view(workspace, case.id).items]
    assert all(name.isprintable() and ".." not in name.split("/") for name in names)
    assert any(one.source.endswith("x\n<b>\x1b[2J") for one in cases.view(workspace, case.id).items)


def test_evidence_that_cannot_be_frozen_is_on_the_log(scene, workspace, monkeypatch):
    target = collecting.folder_of(workspace, "case-2026-0001").parent
    target.mkdir(exist_ok=True)

    def full(*_, **__):
        from casemate.errors import StoreError

        raise StoreError("evidence cannot be written: No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(evidence, "keep", full)
        case = cases.open_case(scene.loaded, workspace, ["latest"], by="ana", copy="later")
    log = CaseBook(workspace).log(case.id).actions
    assert log[2].kind == "triaged"
    assert "could not be kept" in log[2].text
    assert (log[1].kind, log[1].outcome) == ("frozen", "failed")
    assert "No space left" in log[1].text
    collecting.collect(scene.loaded, workspace, case, by="ana")
    again = [one for one in CaseBook(workspace).log(case.id).actions if one.kind == "frozen"]
    assert [one.outcome for one in again] == ["failed", "done"]
    items = {one.name: one for one in cases.view(workspace, case.id).items}
    assert items["config/casemate.toml"].copy
    assert items["log/position.json"].copy
    collecting.collect(scene.loaded, workspace, case, by="ana")
    frozen = [one for one in CaseBook(workspace).log(case.id).actions if one.kind == "frozen"]
    assert frozen == again
    seen = checks.scene(scene.loaded, workspace, case.id)
    assert checks.evidence_frozen(seen, {}).state == "done"


def test_what_still_cannot_be_frozen_is_told(scene, workspace, monkeypatch):
    def gone(*_, **__):
        raise StoreError("the server does not answer")

    with monkeypatch.context() as patched:
        patched.setattr(collecting, "_position", gone)
        case = cases.open_case(scene.loaded, workspace, ["latest"], by="ana", copy="later")
        made = {
            one.name: one for one in collecting.collect(scene.loaded, workspace, case, by="ana")
        }
    assert made["log position"].state == "failed"
    assert made["artifacts/rows.csv"].state == "copied"
    frozen = [one for one in CaseBook(workspace).log(case.id).actions if one.kind == "frozen"]
    assert [one.outcome for one in frozen] == ["failed", "failed"]
    assert frozen[1].details["failed"] == "log position"


def test_names_that_look_alike_stay_apart(scene, workspace):
    names = ("a b.csv", "a_b.csv", "A_b.csv", "\xe4_b.csv", "\xf6_b.csv")
    for name in names:
        (scene.root / "weights" / name).write_text(name)
    case = cases.open_case(scene.loaded, workspace, ["latest"], by="ana", copy="now")
    items = cases.view(workspace, case.id).items
    kept = {one.source: one for one in items if one.source.endswith("_b.csv") or " b" in one.source}
    assert set(kept) == {f"weights/{name}" for name in names}
    assert len({one.name.casefold() for one in kept.values()}) == len(names)
    folder = collecting.folder_of(workspace, case.id) / "items"
    assert {(folder / one.copy).read_text() for one in kept.values()} == set(names)


def test_configurations_of_one_name_stay_apart(scene, workspace):
    (scene.root / "old").mkdir()
    (scene.root / "old" / "casemate.toml").write_text("old")
    beside = [scene.root / "old" / "casemate.toml"]
    folder = collecting.folder_of(workspace, "case-2026-0001")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(collecting, "_beside", lambda _: beside)
        found = collecting._configuration(scene.loaded, folder)
    assert len({one.name for one in found}) == 3


def test_a_file_that_cannot_be_read_loses_no_other(scene, workspace, monkeypatch):
    whole = evidence.digest_within

    def refuse(path, until):
        if path.name == "rows.csv":
            raise PermissionError(13, "Permission denied")
        return whole(path, until)

    monkeypatch.setattr(evidence, "digest_within", refuse)
    case = cases.open_case(scene.loaded, workspace, ["latest"], by="ana", copy="later")
    items = {one.name: one for one in cases.view(workspace, case.id).items}
    assert (items["artifacts/rows.csv"].state, items["artifacts/rows.csv"].why) == (
        "failed", "Permission denied",
    )  # fmt: skip
    assert items["artifacts/weights/w.bin"].frozen_digest
    frozen = next(one for one in CaseBook(workspace).log(case.id).actions if one.kind == "frozen")
    assert frozen.outcome == "done"
    assert "artifacts/rows.csv" in frozen.text
    made = {one.name: one for one in collecting.collect(scene.loaded, workspace, case, by="ana")}
    assert made["artifacts/rows.csv"].state == "copied"


def test_hashing_ends_at_the_deadline(scene, workspace, monkeypatch):
    monkeypatch.setattr(collecting, "SECONDS", 0.0)
    case = cases.open_case(scene.loaded, workspace, ["latest"], by="ana", copy="later")
    items = {one.name: one for one in cases.view(workspace, case.id).items}
    weights = items["artifacts/weights/w.bin"]
    assert (weights.state, weights.frozen_digest, weights.how) == ("frozen", None, "noted")
    assert weights.bytes


def test_telemetry_that_breaks_off_is_on_the_log(scene, workspace, monkeypatch):
    def broken(*_, **__):
        raise StoreError("the server has gone away")

    case = CaseBook(workspace).get("latest")
    with monkeypatch.context() as patched:
        patched.setattr(Telemetry, "scan", broken)
        made = {
            one.name: one for one in collecting.collect(scene.loaded, workspace, case, by="ana")
        }
    assert made["events/suspects.jsonl"].state == "failed"
    last = CaseBook(workspace).log(case.id).actions[-1]
    assert (last.kind, last.outcome) == ("collected", "failed")
    assert "gone away" in last.text
    made = collecting.collect(scene.loaded, workspace, case, by="ana")
    assert [(one.name, one.state) for one in made] == [("events/suspects.jsonl", "copied")]


def test_what_interrupts_the_copy_is_on_the_log(scene, workspace):
    def interrupt(*_):
        raise KeyboardInterrupt

    case = CaseBook(workspace).get("latest")
    with pytest.raises(KeyboardInterrupt):
        collecting.collect(scene.loaded, workspace, case, by="ana", progress=interrupt)
    last = CaseBook(workspace).log(case.id).actions[-1]
    assert (last.kind, last.outcome) == ("collected", "failed")
    assert "broken off" in last.text


def test_only_where_there_is_no_telemetry_there_are_no_events(tmp_path):
    assert collecting.query_at(str(tmp_path / "none")) is None
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match="cannot be read"):
        collecting.query_at(str(tmp_path / "file"))
    assert collecting.query_at(str(tmp_path)) is not None


def test_events_that_cannot_be_read_are_told_by_freezing_and_triage(scene, workspace, monkeypatch):
    def gone(*_, **__):
        raise StoreError("the server does not answer")

    found = CaseBook(workspace).get("latest")
    monkeypatch.setattr(collecting, "query_at", gone)
    named = sources.find(workspace, found.sources)
    collecting.freeze(scene.loaded, workspace, found, by="ana", sources=named)
    case = triaging.triage(scene.loaded, workspace, found, by="ana")
    assert case.triage.assessment == "cannot-tell"
    assert "does not answer" in case.triage.reasons[0]
    log = CaseBook(workspace).log(case.id).actions
    assert (log[-2].kind, log[-2].outcome) == ("frozen", "failed")
    assert "does not answer" in log[-2].text
    assert checks.scene(scene.loaded, workspace, case.id).query is None
