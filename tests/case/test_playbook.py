"""Playbooks: complete, specific, followed step by step, whatever a step does."""

import json
from datetime import UTC, datetime

import pytest

from casemate.case import playbook
from casemate.case.cacao import EXTENSION
from casemate.case.playbook import Result
from casemate.catalog.entries import Playbook, ThreatKind
from casemate.catalog.loader import ROOT, entries
from casemate.errors import CatalogError, UsageError
from casemate.records.incident import Step
from tests.case.made import incident
from tests.case.schemas import cacao_faults
from tests.case.test_cacao import action, document, step

ENTRIES = entries("playbooks", Playbook)
PLANS = {ident: playbook.load(entry) for ident, entry in ENTRIES.items()}
NOW = datetime(2026, 11, 2, 3, 0, tzinfo=UTC)


def test_there_is_one_for_each_type_of_attack_and_for_what_is_none():
    kinds = entries("threats", ThreatKind)
    assert set(PLANS) == {
        *(f"respond-{kind}" for kind in kinds),
        "respond-drift",
        "respond-unknown",
    }
    assert sorted(kind for entry in ENTRIES.values() for kind in entry.threats) == sorted(kinds)
    assert len(PLANS) == 13


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_every_step_has_a_check_or_a_question_and_says_what_answers_mean(plan):
    assert [one.phase for one in plan.steps] == sorted(
        (one.phase for one in plan.steps), key=playbook.PHASES.index
    )
    assert {one.phase for one in plan.steps} == set(playbook.PHASES)
    assert len({one.id for one in plan.steps}) == len(plan.steps)
    assert plan.notes == ()
    for one in plan.steps:
        assert (one.check is None) != (one.question is None)
        assert one.text
        assert one.good
        assert one.bad
        assert one.good != one.bad
    for phase in ("freeze", "contain"):
        assert any(one.check for one in plan.steps if one.phase == phase)
    first = [one.phase for one in plan.steps if one.id != "make-safe"]
    assert first[0] == "freeze"


def test_playbooks_differ_where_the_attacks_differ():
    """Of the words for a responder, most belong to one playbook alone."""
    texts = {ident: {one.text for one in plan.steps} for ident, plan in PLANS.items()}
    for ident, own in texts.items():
        others = set().union(*(texts[other] for other in texts if other != ident))
        assert len(own - others) / len(own) > 0.7, ident


def test_its_machine_tag_is_of_the_taxonomy():
    tags = [entry.tag for entry in ENTRIES.values() if entry.tag]
    assert len(set(tags)) == len(tags) >= 12
    assert all(tag.startswith("failure-mode-in-machine-learning:") for tag in tags)


def test_a_body_that_is_missing_is_a_fault_of_the_entry():
    import msgspec

    entry = msgspec.structs.replace(ENTRIES["respond-drift"], body="nothing.json")
    with pytest.raises(CatalogError, match="respond-drift"):
        playbook.load(entry)


CHECK = "casemate case check __case__:value"
PLAN = PLANS["respond-adversarial-perturbation"]


def test_a_step_is_found_by_id_or_number():
    assert PLAN.step("1") is PLAN.steps[0]
    assert PLAN.step("reach").phase == "scope"
    with pytest.raises(UsageError, match="has no step 'nothing'") as error:
        PLAN.step("nothing")
    assert "reach" in error.value.hint


@pytest.mark.parametrize(
    ("check", "state", "answer"),
    [
        (lambda c, a: Result("done", f"{c} {sorted(a)}"), "done", "scene ['actions']"),
        (lambda c, a: Result("waiting", "later"), "waiting", "later"),
        (lambda c, a: 1 / 0, "failed", "ZeroDivisionError"),
    ],
)
def test_a_check_is_made_and_whatever_happens_is_the_answer(check, state, answer):
    found = playbook.run_step(PLAN, "contain-answers", "scene", {"order-in-force": check}, now=NOW)
    assert found.state == state
    assert answer in found.answer
    assert found.at == NOW


def test_what_it_cannot_do_goes_on_with_what_to_do():
    def refuses(context, arguments):
        raise UsageError("no telemetry", hint="casemate guard makes it")

    found = playbook.run_step(PLAN, "contain-answers", None, {"order-in-force": refuses}, now=NOW)
    assert found.state == "failed"
    assert "casemate guard makes it" in found.answer
    unknown = playbook.run_step(PLAN, "contain-answers", None, {}, now=NOW)
    assert unknown.state == "failed"
    assert "order-in-force" in unknown.answer
    asks = playbook.run_step(PLAN, "hold-decisions", None, {}, now=NOW)
    assert asks.state == "waiting"
    assert "business decisions" in asks.answer


def test_a_person_answers_in_words():
    with pytest.raises(UsageError, match="words"):
        playbook.settle("done", "  ", by="ada", now=NOW)
    found = playbook.settle("skipped", " no guard ", by="ada", now=NOW)
    assert found == Step(state="skipped", answer="no guard", by="ada", at=NOW)


def test_the_next_step_is_the_first_that_is_neither_done_nor_skipped():
    assert playbook.following(PLAN, {}) is PLAN.steps[0]
    first, second, third, *_ = PLAN.steps
    steps = {
        first.id: Step(state="done"),
        second.id: Step(state="skipped"),
        third.id: Step(state="failed"),
    }
    assert playbook.following(PLAN, steps) is third
    everything = {one.id: Step(state="done") for one in PLAN.steps}
    assert playbook.following(PLAN, everything) is None


def foreign():
    return document(
        {
            action(1): step(
                "Isolate host", {"type": "ssh", "command": "shutdown now"}, then=action(2),
                description="Cut it off.",
            ),
            action(2): step(
                "Isolate host", {"type": "manual", "command": "Who was told?"}, then=action(3)
            ),
            action(3): step("Check", {"type": "bash", "command": f"{CHECK} quiet"}),
        },
        id="playbook--00000000-0000-4000-8000-000000000000",
    )  # fmt: skip


def test_commands_of_a_foreign_playbook_become_questions():
    plan = playbook.parse(json.dumps(foreign()).encode(), "file:0123")
    assert [one.id for one in plan.steps] == ["isolate-host", "isolate-host-2", "check"]
    assert plan.steps[0].check is None
    assert plan.steps[0].question == "casemate does not run this ssh: shutdown now"
    assert plan.steps[1].question == "Who was told?"
    assert plan.steps[2].check == "quiet"
    assert {one.phase for one in plan.steps} == {"other"}


def test_an_export_is_valid_names_the_case_and_says_how_far_it_got():
    state = Step(state="done", answer="3 orders in force", by="ada", at=NOW)
    made = playbook.export(PLAN, incident(steps={"contain-answers": state}))
    body = json.loads(made)
    assert cacao_faults(body) == []
    assert body["derived_from"] == [PLAN.body["id"]]
    assert body["playbook_variables"]["__case__"]["value"] == "case-2026-0001"
    again = playbook.parse(made, "file:x")
    key = again.step("contain-answers").key
    assert body["workflow"][key]["step_extensions"][EXTENSION]["answer"] == "3 orders in force"
    assert [one.check for one in again.steps] == [one.check for one in PLAN.steps]
    assert again.notes == ()


def test_an_export_of_a_foreign_playbook_keeps_what_it_had():
    plan = playbook.parse(json.dumps(foreign()).encode(), "file:0123")
    body = json.loads(playbook.export(plan, incident()))
    assert body["workflow"] == foreign()["workflow"]
    assert body["derived_from"] == ["playbook--00000000-0000-4000-8000-000000000000"]


def test_bodies_and_entries_belong_together():
    bodies = {path.name for path in (ROOT / "playbooks").glob("*.json")}
    assert bodies == {entry.body for entry in ENTRIES.values()}
