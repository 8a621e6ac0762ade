"""Playbooks followed on a real case: checks against a real store, answers, imports, the log."""

import json
import shlex
import shutil

import pytest

from casemate.case import playbook as following
from casemate.catalog.entries import Playbook
from casemate.catalog.loader import entries
from casemate.errors import UsageError
from casemate.store.cases import CaseBook
from casemate.workflows import cases, containing, playbooks
from casemate.workflows.config import read
from casemate.workflows.playbooks import CHECKS
from tests.case.test_playbook import foreign
from tests.workflows import incident

PLANS = {ident: following.load(entry) for ident, entry in entries("playbooks", Playbook).items()}


@pytest.fixture(scope="module")
def happened(tmp_path_factory):
    scene = incident.happen(tmp_path_factory.mktemp("happened") / "here")
    with scene.open() as workspace:
        cases.open_case(
            scene.loaded, workspace, ["latest"], by="ana", copy="now",
            threat="adversarial-perturbation",
        )  # fmt: skip
    return scene


@pytest.fixture
def scene(happened, tmp_path):
    root = tmp_path / "here"
    shutil.copytree(happened.root, root)
    return happened._replace(root=root, loaded=read(root / "casemate.toml"))


@pytest.fixture
def workspace(scene):
    with scene.open() as opened:
        yield opened


def follow(scene, workspace, **given):
    return playbooks.playbook(scene.loaded, workspace, "latest", by="ana", **given)


def log(workspace):
    return CaseBook(workspace).log(CaseBook(workspace).get("latest").id)


def test_every_check_that_a_playbook_names_is_there_and_every_one_is_named():
    named = {one.check for plan in PLANS.values() for one in plan.steps if one.check}
    assert named == set(CHECKS)


@pytest.mark.parametrize("ident", PLANS)
def test_commands_that_a_playbook_names_are_commands_of_casemate(ident):
    from casemate.cli.program import build

    parser = build()
    for step in PLANS[ident].steps:
        for command in step.commands:
            words = shlex.split(command)
            assert words[0] == "casemate"
            parser.parse_args(words[1:])  # ends the process where there is no such command


def test_the_next_open_step_is_taken_and_goes_on_record(scene, workspace):
    first = follow(scene, workspace)
    assert first.plan.id == "respond-adversarial-perturbation"
    assert first.ran == ("freeze-evidence",)
    assert first.steps["freeze-evidence"].state == "done"
    assert "before any containment" in first.steps["freeze-evidence"].answer
    assert first.next.id == "copy-evidence"
    second = follow(scene, workspace)
    assert second.ran == ("copy-evidence",)
    assert second.steps["copy-evidence"].state == "done"
    lines = [one for one in log(workspace).actions if one.kind == "stepped"]
    assert [one.details["step"] for one in lines] == ["freeze-evidence", "copy-evidence"]
    assert {one.author for one in lines} == {"ana"}


def test_all_checks_are_made_at_once_and_none_of_them_breaks(scene, workspace):
    found = follow(scene, workspace, every=True)
    broken = [one.answer for one in found.steps.values() if "the check broke" in one.answer]
    assert broken == []
    unmade = [one.answer for one in found.steps.values() if "could not be made" in one.answer]
    assert unmade == []
    assert set(found.ran) == {one.id for one in found.plan.steps if one.check}
    assert found.steps["who-and-how-far"].state == "done"
    assert "mallory: 300 queries" in found.steps["who-and-how-far"].answer
    assert found.steps["contain-answers"].state == "waiting"
    assert found.steps["answer-clocks"].state == "waiting"
    assert found.next.id == "hold-decisions" or found.next.check
    before = len(log(workspace).actions)
    follow(scene, workspace, every=True)
    fresh = [one.text for one in log(workspace).actions[before:]]
    assert fresh == []  # what is as it was is not told again


@pytest.mark.parametrize("ident", PLANS)
def test_the_checks_of_every_playbook_can_be_made_on_any_case(ident, scene, workspace):
    looked = playbooks.checks.scene(scene.loaded, workspace, "latest")
    plan = PLANS[ident]
    for step in plan.steps:
        if step.check and step.check != "not-affected":
            found = following.run_step(plan, step.id, looked, CHECKS)
            assert "the check broke" not in found.answer, (step.id, found.answer)
            assert "could not be made" not in found.answer, (step.id, found.answer)


def test_a_person_answers_skips_and_does_by_hand(scene, workspace):
    found = follow(scene, workspace, step="hold-decisions", answer="12 loans, Ben holds them")
    assert found.steps["hold-decisions"].answer == "12 loans, Ben holds them"
    found = follow(scene, workspace, step="contain-answers", answer="deny in nginx")
    assert found.steps["contain-answers"].answer == "by hand: deny in nginx"
    found = follow(scene, workspace, step="3", skip="a test of our own")
    assert found.steps[found.plan.steps[2].id].state == "skipped"
    with pytest.raises(UsageError, match="words"):
        follow(scene, workspace, step="reach", answer=" ")
    with pytest.raises(UsageError, match="not both"):
        follow(scene, workspace, step="reach", answer="a", skip="b")
    with pytest.raises(UsageError, match="no step"):
        follow(scene, workspace, step="nothing")


def test_a_question_without_an_answer_waits_and_says_what_is_asked(scene, workspace):
    found = follow(scene, workspace, step="hold-decisions")
    assert found.steps["hold-decisions"].state == "waiting"
    assert "business decisions" in found.steps["hold-decisions"].answer


def test_looking_changes_nothing(scene, workspace):
    before = CaseBook(workspace).get("latest")
    seen = playbooks.look(workspace, "latest")
    assert seen.next.id == "freeze-evidence"
    assert seen.ran == ()
    assert CaseBook(workspace).get("latest") == before


def test_one_check_is_made_by_name(scene, workspace):
    made = playbooks.check(scene.loaded, workspace, "latest", "suspects-known", {})
    assert made.state == "done"
    assert "mallory" in made.answer
    with pytest.raises(UsageError, match="no check 'nothing'"):
        playbooks.check(scene.loaded, workspace, "latest", "nothing", {})


def test_a_containment_without_a_guard_is_in_force_but_not_obeyed(scene, workspace):
    containing.contain(scene.loaded, workspace, "latest", "throttle", by="ana", for_="1h", wait=0.0)
    found = follow(scene, workspace, step="contain-answers")
    assert found.steps["contain-answers"].state == "done"
    assert "rate for mallory" in found.steps["contain-answers"].answer
    found = follow(scene, workspace, step="guard-obeys")
    assert found.steps["guard-obeys"].state == "failed"
    assert "nobody obeys" in found.steps["guard-obeys"].answer
    found = follow(scene, workspace, step="lift-orders")
    assert found.steps["lift-orders"].state == "waiting"
    containing.undo(scene.loaded, workspace, "latest", None, by="ana", why="done", wait=0.0)
    found = follow(scene, workspace, step="lift-orders")
    assert found.steps["lift-orders"].state == "done"


def test_a_foreign_playbook_is_followed_and_none_of_its_commands_runs(scene, workspace, tmp_path):
    body = foreign()
    marker = tmp_path / "ran"
    for step in body["workflow"].values():
        for command in step.get("commands", ()):
            if command["type"] == "ssh":
                command["command"] = f"touch {marker}"
    file = tmp_path / "theirs.json"
    file.write_text(json.dumps(body))
    found = follow(scene, workspace, import_file=file)
    assert found.plan.id.startswith("file:")
    assert found.ran == ()
    found = follow(scene, workspace, every=True)
    found = follow(scene, workspace, step="isolate-host")
    assert found.steps["isolate-host"].state == "waiting"
    assert str(marker) in found.steps["isolate-host"].answer
    assert found.steps["check"].state == "failed"  # it names a check that is not there
    assert not marker.exists()
    # The file may go; its copy is the case's own, and a changed copy is not followed.
    file.unlink()
    assert playbooks.look(workspace, "latest").plan.title == "theirs"
    (kept,) = workspace.folder.rglob("playbooks/*.json")
    kept.write_text(kept.read_text().replace("theirs", "mine"))
    with pytest.raises(UsageError, match="was changed"):
        playbooks.look(workspace, "latest")


@pytest.mark.parametrize("data", [b"", b"{}", b"\x80\x04K\x01."])
def test_a_file_that_is_no_playbook_leaves_the_case_as_it_was(data, scene, workspace, tmp_path):
    file = tmp_path / "bad.json"
    file.write_bytes(data)
    before = CaseBook(workspace).get("latest")
    with pytest.raises(UsageError, match=r"bad\.json"):
        follow(scene, workspace, import_file=file)
    assert CaseBook(workspace).get("latest") == before
    with pytest.raises(UsageError, match="cannot be read"):
        follow(scene, workspace, import_file=tmp_path / "none.json")


def test_what_is_exported_is_imported_again_with_its_checks(scene, workspace, tmp_path):
    file = tmp_path / "ours.json"
    follow(scene, workspace, step="freeze-evidence")
    found = follow(scene, workspace, export=file)
    assert found.ran == ()
    body = json.loads(file.read_text())
    assert body["playbook_variables"]["__case__"]["value"] == found.case.id
    again = follow(scene, workspace, import_file=file)
    assert [one.check for one in again.plan.steps] == [one.check for one in found.plan.steps]


def test_two_who_take_steps_at_once_are_both_on_record(scene, workspace):
    with scene.open() as other:
        follow(scene, workspace, step="hold-decisions", answer="ana's")
        playbooks.playbook(scene.loaded, other, "latest", by="ben", step="harden", answer="ben's")
    steps = CaseBook(workspace).get("latest").steps
    assert {steps["hold-decisions"].by, steps["harden"].by} == {"ana", "ben"}
    assert log(workspace).faults == ()
