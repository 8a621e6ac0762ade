"""The handover and the postmortem say what the record says, and ask for the rest."""

from datetime import timedelta

import msgspec

from casemate.case.papers import inside, render
from casemate.records.incident import Step
from tests.case.made import AWARE
from tests.case.papers.made import EVIL, action, told


def fields(paper):
    return {field.name: field.value for one in paper.sections for field in one.fields}


def test_a_handover_says_where_it_stands_and_what_is_next():
    made = inside.handover(told(steps={"freeze-evidence": Step(state="done")}))
    said = fields(made)
    assert said["State"] == "open, important"
    assert said["Handled as"] == "Adversarial perturbation"
    assert said["Containments in force"] == "1"
    assert said["Open for"] == "1 h 0 min"
    assert {one.fact for one in made.blanks} == {"next_owner", "handover_note", "who_was_called"}
    sections = {one.title: one for one in made.sections}
    steps = [row[0] for row in sections["Steps that are open"].table.rows]
    assert "freeze-evidence" not in steps
    assert "reach" in steps
    assert sections["Do this next"].items == ("casemate case show case-2026-0001",)
    assert sections["Who is involved"].table.rows[0][1] == "812"


def test_what_somebody_told_is_no_blank_any_more():
    made = inside.handover(told(facts={"next_owner": "Ben", "handover_note": "quiet"}))
    assert fields(made)["Goes to"] == "Ben"
    assert {one.fact for one in made.blanks} == {"who_was_called"}


def test_a_postmortem_counts_and_names_nobody_of_the_callers():
    made = inside.postmortem(told(facts={"people_affected": 0, "harm": "none"}))
    said = fields(made)
    assert said["Callers involved"] == "1"
    assert said["Evidence frozen"].endswith("1 min after it was learned of")
    assert said["People affected"] == "0"
    for text in (render.markdown(made), render.html(made)):
        assert "mallory" not in text
        assert "caller 1" in text


def test_a_case_that_nobody_triaged_still_has_papers():
    for write in (inside.handover, inside.postmortem):
        made = write(told(triage=None, threat=None))
        assert "what_happened" in {one.fact for one in made.blanks}
        assert render.markdown(made)
        assert render.html(made)


def test_a_paper_without_names_has_none_in_what_people_wrote():
    given = told(facts={"root_cause": f"{EVIL} was let in by 'bo'"})
    given = given._replace(callers=("bo",))
    made = given.unnamed(inside.postmortem(given))
    for text in (render.markdown(made), render.html(made)):
        assert "mallory" not in text
        assert "caller 1 was let in by 'caller 2'" in text.replace("&#39;", "'")


def test_what_a_check_found_says_when_and_that_more_was_done_since():
    at = AWARE + timedelta(minutes=2, seconds=30)
    step = Step(state="failed", answer="none is tracked", by="ada", at=at)
    for now, said in (
        (AWARE + timedelta(minutes=9), f"as of {at:%H:%M} UTC; on the log since: scoped)"),
        (AWARE + timedelta(days=3), f"as of {at:%Y-%m-%d %H:%M} UTC; on the log since: scoped)"),
    ):
        made = inside.handover(told(now=now, steps={"reach": step}))
        (table,) = (one.table for one in made.sections if one.title == "Steps that are open")
        (row,) = (one for one in table.rows if one[0] == "reach")
        assert row[3] == f"none is tracked ({said}"
    quiet = msgspec.structs.replace(step, at=AWARE + timedelta(minutes=4))
    made = inside.handover(told(steps={"reach": quiet}))
    assert "on the log since" not in render.markdown(made)


def test_a_long_log_keeps_its_turns_and_counts_the_rest():
    lines = [action(0, "opened", "opened"), action(1, "contained", "throttled")]
    lines += [action(number, "noted", f"note {number}") for number in range(2, 50)]
    lines += [action(50, "stepped", "reach: done")]
    given = told()._replace(actions=tuple(lines))
    (made,) = (one for one in inside.handover(given).sections if one.title == "What was done")
    assert [row[2] for row in made.table.rows] == ["opened", "contained", *["noted"] * 20]
    assert made.text[0].startswith("29 more lines stand on the custody log")
    assert "casemate case show case-2026-0001 --log" in made.text[0]
    (made,) = (one for one in inside.postmortem(given).sections if one.title == "Timeline")
    assert made.text[0].startswith("1 more line stands")
    (made,) = (one for one in inside.handover(told()).sections if one.title == "What was done")
    assert made.text == ()
