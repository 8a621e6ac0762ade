"""Evidence frozen and copied: files that change or go, the suspects' events, the legal hold."""

from __future__ import annotations

import json
import time

import pytest

from casemate.case import evidence
from casemate.records.codec import decode
from casemate.store.cases import CaseBook
from casemate.workflows import cases, collecting


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
