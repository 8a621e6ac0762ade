"""Clocks of the law: they run from awareness, and not knowing does not stop them."""

import re
from datetime import timedelta

import pytest

from casemate.case import clocks
from casemate.catalog.entries import Deadline
from casemate.catalog.loader import entries
from tests.case.made import AWARE, incident

DEADLINES = entries("deadlines", Deadline)
HOUR = timedelta(hours=1)
GDPR = {"personal_data": True, "risk_to_people": True}


def clock(ident, facts=(), hours=1.0):
    found = clocks.clocks(incident(facts=dict(facts)), DEADLINES, AWARE + hours * HOUR)
    return next(one for one in found if one.id == ident)


def test_a_clock_runs_where_its_facts_hold():
    found = clock("gdpr-authority", GDPR)
    assert found.state == "running"
    assert found.due == AWARE + 72 * HOUR
    assert found.needs == ()
    assert "supervisory authority must be told" in found.because


@pytest.mark.parametrize("said", [False, "no", "No ", 0, "false"])
def test_it_does_not_start_where_one_fact_does_not_hold(said):
    found = clock("gdpr-authority", {**GDPR, "personal_data": said})
    assert found.state == "not-started"
    assert found.due is None
    assert found.because.startswith("does not apply: personal_data is ")


def test_what_nobody_said_is_unknown_with_the_hour_it_would_end():
    found = clock("gdpr-authority", {"personal_data": "yes"})
    assert found.state == "unknown"
    assert found.due == AWARE + 72 * HOUR
    assert found.needs == ("risk_to_people",)
    late = clock("gdpr-authority", {}, hours=73)
    assert late.state == "unknown"
    assert "passed" in late.because


def test_an_hour_that_passed_is_missed_unless_somebody_was_told_before():
    assert clock("gdpr-authority", GDPR, hours=73).state == "missed"
    told = {**GDPR, "told_gdpr_authority": (AWARE + 70 * HOUR).isoformat()}
    assert clock("gdpr-authority", told, hours=100).state == "met"
    late = {**GDPR, "told_gdpr_authority": (AWARE + 80 * HOUR).isoformat()}
    assert clock("gdpr-authority", late, hours=100).state == "missed"
    assert "after the deadline" in clock("gdpr-authority", late, hours=100).because


@pytest.mark.parametrize(
    ("said", "state"),
    [("yes", "met"), (True, "met"), ("no", "running"), (False, "running"), ("2026-11-02", "met")],
)
def test_telling_may_be_said_in_words(said, state):
    assert clock("gdpr-authority", {**GDPR, "told_gdpr_authority": said}).state == state


def test_what_is_planned_is_not_told():
    told = {**GDPR, "told_gdpr_authority": (AWARE + 20 * HOUR).isoformat()}
    assert clock("gdpr-authority", told, hours=1).state == "running"


def test_a_duty_without_hours_runs_without_an_end():
    found = clock("gdpr-persons", {"personal_data": True, "high_risk_to_people": True}, hours=5000)
    assert found.state == "running"
    assert found.due is None


@pytest.mark.parametrize(
    ("ident", "hours"),
    [
        ("ai-act-serious-incident", 15 * 24), ("ai-act-death", 10 * 24), ("ai-act-widespread", 48),
        ("ai-act-infrastructure", 48), ("gdpr-authority", 72), ("gdpr-persons", None),
        ("nis2-early-warning", 24), ("nis2-notification", 72), ("dora-initial", 24),
        ("dora-intermediate", 96), ("cra-early-warning", 24), ("cra-notification", 72),
    ],
)  # fmt: skip
def test_the_hours_are_those_of_the_law(ident, hours):
    assert DEADLINES[ident].hours == hours


def test_the_most_pressing_comes_first_and_each_fact_is_asked_once():
    facts = {**GDPR, "nis2_entity": True, "significant_incident": True, "financial_entity": False}
    found = clocks.clocks(incident(facts=facts), DEADLINES, AWARE + 30 * HOUR)
    states = [one.state for one in found]
    assert states == sorted(states, key=clocks._ORDER.index)
    assert found[0].id == "nis2-early-warning"
    assert found[0].state == "missed"
    assert found[1].id in ("gdpr-authority", "nis2-notification")
    asked = clocks.unanswered(found)
    assert len(set(asked)) == len(asked)
    assert "high_risk_ai_system" in asked
    assert "major_incident" not in asked


@pytest.mark.parametrize("ident", DEADLINES)
def test_each_fact_is_a_question_somebody_can_answer(ident):
    entry = DEADLINES[ident]
    assert set(entry.asks) == set(entry.applies_when)
    assert all(text.endswith(("?", "yes.", "counts.")) for text in entry.asks.values())
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", name) for name in entry.asks)
    for other in DEADLINES.values():
        for name in set(entry.asks) & set(other.asks):
            assert entry.asks[name] == other.asks[name]
