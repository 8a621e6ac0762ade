"""Drafts for authorities and users: what the law asks is there, and nobody is named."""

from datetime import timedelta

import pytest

from casemate.case.papers import outside, render
from tests.case.made import AWARE
from tests.case.papers.made import told
from tests.case.papers.test_inside import fields

WRITERS = (outside.serious_incident, outside.data_breach, outside.advisory_note)


@pytest.mark.parametrize("write", WRITERS, ids=lambda w: w.__name__)
def test_no_caller_and_no_responder_is_named(write):
    for text in (render.markdown(write(told())), render.html(write(told()))):
        assert "mallory" not in text
        assert "javascript" not in text


def test_a_serious_incident_asks_for_each_kind_of_article_3_49():
    made = outside.serious_incident(told(facts={"death": False, "serious_harm": True}))
    said = fields(made)
    assert said["(a) Death"] == "no"
    assert said["(a), (c), (d) Serious harm"] == "yes"
    asked = {one.fact: one.question for one in made.blanks}
    assert "Member State" in asked["authority"]
    assert "critical infrastructure" in asked["critical_infrastructure"].lower()
    assert "Article 73" in made.note
    text = render.markdown(made)
    assert "custody log" in text
    assert "first containment" in text


def test_a_data_breach_asks_for_what_article_33_lists_and_why_it_is_late():
    early = outside.data_breach(told())
    assert "delay_reason" not in {one.fact for one in early.blanks}
    late = outside.data_breach(told(now=AWARE + timedelta(hours=73)))
    asked = {one.fact for one in late.blanks}
    assert {
        "delay_reason", "dpo_contact", "people_affected", "records_affected", "consequences",
        "corrective_action",
    } <= asked  # fmt: skip


def test_what_the_type_means_for_people_is_said_where_it_is_known():
    made = outside.data_breach(told(threat="membership-inference"))
    assert any("used in training" in str(one) for part in made.sections for one in part.text)
    other = outside.data_breach(told())
    assert "breach_kind" in {one.fact for one in other.blanks}
