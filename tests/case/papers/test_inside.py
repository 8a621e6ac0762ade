"""The handover and the postmortem say what the record says, and ask for the rest."""

from casemate.case.papers import inside, render
from casemate.records.incident import Step
from tests.case.papers.made import told


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
