"""What a responder does from the pages is done by the workflows and said in words."""

import threading

import pytest

from casemate.console import acting
from casemate.console.acting import ACTS, fact, status_of
from casemate.errors import Conflict, NotFound, StoreError, UsageError
from casemate.store.cases import CaseBook
from casemate.store.orders import OrderBook
from casemate.workflows import papers, playbooks
from tests.console.scene import client, enter


@pytest.fixture
def act(night, monkeypatch):
    monkeypatch.setattr(acting, "_GUARDS", 0.0)
    with client(night) as asking:
        own = enter(asking)

        def act(path, expect=303, **given):
            found = asking.post(path.replace("CASE", night.case), data={"csrf": own, **given})
            assert found.status_code == expect, found.text[:2000]
            return found

        act.case = lambda: CaseBook(night.workspace).get(night.case)
        act.last = lambda: CaseBook(night.workspace).log(night.case).actions[-1]
        act.page = lambda: asking.get(f"/cases/{night.case}").text
        act.night = night
        act.asking = asking
        yield act


def test_a_case_is_taken_told_and_closed(act):
    act("/cases/CASE/take")
    assert act.case().owner == "olga"
    act("/cases/CASE/tell", name="people_affected", value="120")
    act("/cases/CASE/tell", name="high_risk_ai_system", value="no")
    assert act.case().facts["people_affected"] == 120
    assert act.case().facts["high_risk_ai_system"] is False
    act("/cases/CASE/close", why="nothing left")
    assert (act.case().state, act.case().closing) == ("closed", "nothing left")
    act("/cases/CASE/reopen", why="it came back")
    assert act.case().state == "open"


def test_a_containment_is_shown_before_it_is_given_and_can_be_undone(act):
    orders = OrderBook(act.night.workspace)
    before = len(orders.history())
    shown = act("/cases/CASE/preview", 200, action="throttle", **{"for": "2h"})
    assert "Do it" in shown.text
    assert len(orders.history()) == before
    act("/cases/CASE/contain", action="throttle", **{"for": "2h"})
    assert act.case().state == "contained"
    (given,) = (one for _, one in orders.history() if one.id in act.case().orders)
    assert (given.action, given.scope.principal, given.author) == ("rate", "eve", "olga")
    assert "Undo" in act.page()
    act("/cases/CASE/undo", order=given.id, why="a mistake")
    assert act.case().state == "open"


def test_who_comes_second_is_told(act):
    version = act.case().version
    act("/cases/CASE/take", version=str(version))
    found = act("/cases/CASE/take", 409, version=str(version), owner="pat")
    assert "changed in the meantime" in found.text
    assert act.case().owner == "olga"
    assert act.last().outcome == "conflict"


def test_a_playbook_is_followed(act):
    act("/cases/CASE/step", step="1")
    assert len(act.case().steps) == 1
    first = next(iter(act.case().steps))
    act("/cases/CASE/step", 400, step="2", **{"as": "skip"})
    act("/cases/CASE/step", step="2", words="nothing is kept here", **{"as": "skip"})
    ids = [one.id for one in playbooks.look(act.night.workspace, act.night.case).plan.steps]
    assert act.case().steps[ids[1]].state == "skipped"
    assert f'id="step-{first}"' in act.page()


def test_a_paper_is_written_and_shown(act):
    act("/cases/CASE/paper", kind="handover")
    (name,) = {part.split('"')[0] for part in act.page().split("paper?name=")[1:]}
    shown = act.asking.get(f"/cases/{act.night.case}/paper?name={name}")
    assert "Search along a decision border" in shown.text
    for wrong in ("../items.jsonl", "nope.md", ""):
        found = act.asking.get(f"/cases/{act.night.case}/paper", params={"name": wrong})
        assert found.status_code == 400


def test_every_kind_of_paper_can_be_chosen(act):
    for kind, one in papers.KINDS.items():
        assert f'<option value="{kind}">{one.title}</option>' in act.page()
        act("/cases/CASE/paper", kind=kind)


def test_the_weakness_is_tracked(act):
    act("/cases/CASE/track")
    found = act.asking.get("/api/models").json()["models"]
    assert any(one["weaknesses"] for one in found)


def test_nobody_is_handed_the_bundle_of_another(act, monkeypatch):
    from casemate.workflows import bundling

    go, packed = threading.Event(), []

    def slow(*_, redact, by, **__):
        go.wait(30)
        packed.append((by, redact))
        raise UsageError("no more")

    monkeypatch.setattr(acting, "_WAIT", 0.0)
    monkeypatch.setattr(bundling, "bundle", slow)
    act("/cases/CASE/bundle")
    found = act("/cases/CASE/bundle", 409, redact="principals")
    assert "under way already" in found.text
    act("/cases/CASE/bundle")
    go.set()
    monkeypatch.setattr(acting, "_WAIT", 30.0)
    while act.asking.built.desk.jobs.running(f"bundle {act.night.case}"):
        pass
    act("/cases/CASE/bundle", 400, redact="principals")
    assert packed == [("olga", []), ("olga", ["principals"])]


def test_an_answer_sent_while_a_check_runs_is_not_lost_in_silence(act, monkeypatch):
    go, began, took = threading.Event(), threading.Event(), []

    def slow(*_, answer, **__):
        took.append(answer)
        began.set()
        go.wait(30)
        raise UsageError("no more")

    monkeypatch.setattr(acting, "_WAIT", 0.0)
    monkeypatch.setattr(playbooks, "playbook", slow)
    act("/cases/CASE/step", step="1")
    act("/cases/CASE/step", 409, step="1", words="it was eve", **{"as": "answer"})
    assert began.wait(30)
    go.set()
    assert took == [None]


def test_what_is_left_out_is_asked_for(act):
    for path in ("/cases/CASE/close", "/cases/CASE/note", "/cases/CASE/contain", "/open-case"):
        assert 'role="alert"' in act(path, 400).text
    found = act("/cases/CASE/contain", 400, action="explode")
    assert "there is no containment" in found.text.lower()
    act("/cases/CASE/contain", 400, action="block", reach="the moon")


def test_the_record_is_verified_on_demand(act):
    act("/verify")
    for _ in range(100):
        text = act.asking.get("/guard").text
        if "being verified" not in text:
            break
    assert "nothing" in text.lower() or "incomplete" in text


def test_what_fails_is_on_the_trail_with_its_reason(act):
    act("/cases/CASE/contain", 400, action="explode")
    failed, begun = act.asking.built.desk.trail.read().entries[:2]
    assert (begun.what, begun.outcome) == ("acted", "begun")
    assert failed.what == "failed"
    assert "explode" in failed.outcome


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", True), ("No", False), ("12", 12), ("0.5", 0.5), (" x ", "x"), ("1e400", "1e400"),
        ("nan", "nan"), ("9" * 20, "9" * 20), ("2026-11-21", "2026-11-21"),
    ],
)  # fmt: skip
def test_answers_are_taken_for_what_they_say(text, value):
    assert fact(text) == value
    assert type(fact(text)) is type(value)


def test_errors_have_the_status_programs_expect():
    assert status_of(NotFound("there is no case 'x'")) == 404
    assert status_of(Conflict("case-2026-0001 was changed by bob")) == 409
    assert status_of(UsageError("what?")) == 400
    assert status_of(StoreError("the disk is full")) == 503
    assert all(path.startswith("/") for path in ACTS)
