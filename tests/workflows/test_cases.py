"""A case from its opening to its closing, on a workspace in which a search was detected."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from casemate.errors import UsageError
from casemate.store.cases import CaseBook
from casemate.workflows import cases


@pytest.fixture
def workspace(scene):
    with scene.open() as opened:
        yield opened


def opened(scene, workspace, *wanted, **more):
    return cases.open_case(
        scene.loaded, workspace, wanted or ["latest"], by="ana", copy="later", **more
    )


def test_a_case_says_what_who_and_since_when(scene, workspace):
    case = CaseBook(workspace).get("latest")
    assert case.id == f"case-{datetime.now(UTC).year}-0001"
    assert case.triage.assessment in ("attack", "probe")
    assert [one.principal for one in case.triage.suspects] == ["mallory"]
    assert case.threat == "adversarial-perturbation"
    assert case.playbook == "respond-adversarial-perturbation"
    assert "mallory" in case.title
    assert case.owner == case.opened_by == "ana"
    assert case.aware <= case.opened
    view = cases.view(workspace, "latest")
    assert [one.kind for one in view.actions] == ["opened", "frozen", "triaged"]
    assert all(one.outcome == "done" for one in view.actions)
    assert view.faults == ()
    assert 1 <= len(view.next_steps) <= 3
    assert "contain" in view.next_steps[0]


def test_evidence_is_frozen_before_anything_else(scene, workspace):
    case = CaseBook(workspace).get("latest")
    items = {one.name: one for one in cases.view(workspace, case.id).items}
    assert items["config/casemate.toml"].state == "copied"
    assert items["log/position.json"].state == "copied"
    assert items["events/evidence.jsonl"].state == "copied"
    assert items["artifacts/rows.csv"].state == "frozen"
    assert items["artifacts/weights/w.bin"].digest.startswith("sha256:")
    assert "log/checkpoints" in items
    assert any(name.startswith("records/det-") for name in items)


def test_a_case_of_an_event_or_of_a_time_is_looked_at_alike(scene, workspace):
    event = scene.detections[0].events[0]
    one = opened(scene, workspace, event)
    other = cases.open_case(scene.loaded, workspace, [], by="bo", since=0, copy="later")
    for case in (one, other):
        assert [who.principal for who in case.triage.suspects] == ["mallory"], case.triage
    assert one.id != other.id


def test_nothing_to_open_from_is_said(scene, workspace):
    with pytest.raises(UsageError, match="nothing to open"):
        cases.open_case(scene.loaded, workspace, [], by="ana")
    with pytest.raises(UsageError, match="no entry"):
        opened(scene, workspace, threat="no-such-threat")
    with pytest.raises(UsageError, match="not in the telemetry"):
        opened(scene, workspace, "w-0000000000000000:7")
    assert len(CaseBook(workspace).all()) <= 1


def test_without_telemetry_nothing_can_be_told(scene, workspace, tmp_path):
    case = opened(scene, workspace, scene.detections[0].id, place=str(tmp_path / "nowhere"))
    assert case.triage.assessment == "cannot-tell"
    assert "no events" in case.triage.reasons[0]


def test_notes_owners_and_facts_go_on_the_log(scene, workspace):
    case = CaseBook(workspace).get("latest")
    cases.note(workspace, case.id, "called the customer", by="bo")
    cases.assign(workspace, case.id, "cy", by="bo")
    cases.tell(workspace, case.id, {"personal_data": True, "people_affected": 120}, by="bo")
    view = cases.view(workspace, case.id)
    assert view.incident.owner == "cy"
    assert view.incident.facts == {"personal_data": True, "people_affected": 120}
    assert [one.author for one in view.actions[3:]] == ["bo"] * 3
    for text in ("", " ", "x" * 4001):
        with pytest.raises(UsageError, match="characters"):
            cases.note(workspace, case.id, text, by="bo")
    for given, says in (
        ({"Bad Name": 1}, "no name of a fact"),
        ({"personal_dta": True}, "no clock asks"),
        ({"personal_data": "maybe"}, "yes or no"),
    ):
        with pytest.raises(UsageError, match=says):
            cases.tell(workspace, case.id, given, by="bo")


def test_who_decides_on_what_has_changed_since_is_told(scene, workspace):
    case = CaseBook(workspace).get("latest")
    seen = CaseBook(workspace).get(case.id).version
    cases.assign(workspace, case.id, "bo", by="bo", version=seen)
    with pytest.raises(UsageError, match="changed in the meantime by bo"):
        cases.assign(workspace, case.id, "cy", by="cy", version=seen)
    view = cases.view(workspace, case.id)
    assert view.incident.owner == "bo"
    assert view.actions[-1].outcome == "conflict"


def test_another_type_has_another_playbook(scene, workspace):
    case = CaseBook(workspace).get("latest")
    made = cases.retype(workspace, case.id, "model-stealing", by="bo")
    assert (made.threat, made.playbook) == ("model-stealing", "respond-model-stealing")


def test_a_case_is_closed_with_a_reason_and_can_be_opened_again(scene, workspace):
    case = CaseBook(workspace).get("latest")
    with pytest.raises(UsageError, match="reason"):
        cases.close(workspace, case.id, " ", by="ana")
    closed = cases.close(workspace, case.id, "it was us", by="ana")
    assert (closed.state, closed.closing) == ("closed", "it was us")
    with pytest.raises(UsageError, match="closed already"):
        cases.close(workspace, case.id, "again", by="ana")
    assert "bundle" in cases.view(workspace, case.id).next_steps[0]
    again = cases.reopen(workspace, case.id, "it was not", by="bo")
    assert (again.state, again.closed, again.closing) == ("open", None, None)
    with pytest.raises(UsageError, match="not closed"):
        cases.reopen(workspace, case.id, "", by="bo")


def test_the_clock_begins_when_it_was_detected_or_when_somebody_says(scene, workspace):
    first = CaseBook(workspace).get("latest")
    assert first.aware == min(first.aware, first.opened)
    told = datetime.now(UTC) - timedelta(hours=5)
    assert opened(scene, workspace, aware=told).aware == told
    late = opened(scene, workspace, aware=datetime.now(UTC) + timedelta(days=1))
    assert late.aware <= late.opened


def test_a_damaged_record_is_a_case_all_the_same(scene, workspace):
    for path in (scene.root / ".casemate" / "telemetry" / "journal").rglob("*"):
        if path.is_file():
            path.write_bytes(b"\xff" * 64)
    (scene.root / ".casemate" / "telemetry" / "log").mkdir(exist_ok=True)
    (scene.root / ".casemate" / "telemetry" / "log" / "leaves.jsonl").write_bytes(b"{nonsense\n")
    case = opened(scene, workspace)
    assert case.triage.assessment == "cannot-tell"
    assert case.id.endswith("-0002")
    kinds = [(one.kind, one.outcome) for one in CaseBook(workspace).log(case.id).actions]
    assert ("triaged", "failed") in kinds
    assert ("frozen", "failed") in kinds
