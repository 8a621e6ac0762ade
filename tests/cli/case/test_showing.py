"""A case on the terminal: hostile names are shown, never sent to it."""

from datetime import UTC, datetime

from casemate.cli.case import showing
from casemate.records.incident import Action, Incident, Suspect, Triage
from casemate.records.severity import Confidence, Severity
from casemate.workflows.cases import View

NOW = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
EVIL = "\x1b[2J\x1b]0;owned\x07<script>\u202e"


def a_view(tmp_path, **triage):
    suspect = Suspect(
        principal=EVIL, queries=3, began=0, ended=1, confidence=Confidence.FIRM, because=EVIL
    )
    found = Triage(
        assessment=triage.pop("assessment", "attack"), confidence=Confidence.FIRM,
        suspects=(suspect,), models=(EVIL,), reasons=(EVIL,), next_steps=(EVIL,), **triage,
    )  # fmt: skip
    case = Incident(
        id="case-2026-0001", title=EVIL, severity=Severity.LOW, opened=NOW, opened_by=EVIL,
        aware=NOW, owner=EVIL, triage=found, facts={"a": EVIL},
    )  # fmt: skip
    action = Action(case=case.id, number=0, at=NOW, author=EVIL, kind="noted", text=EVIL)
    return View(case, (action,), (EVIL,), (), (EVIL,), (), (), tmp_path)


def test_no_name_and_no_note_reaches_the_terminal_as_it_is(tmp_path, capsys):
    showing.case(a_view(tmp_path), log=True, items=True)
    told = capsys.readouterr().out
    assert "owned" in told
    assert all(c.isprintable() or c == "\n" for c in told)
    assert "WARNING: the custody log is not whole" in told


def test_json_is_json_whatever_the_names(tmp_path):
    import json

    whole = json.loads(showing.as_json(a_view(tmp_path)))
    assert whole["incident"]["title"] == EVIL


def test_what_cannot_be_told_is_not_given_a_probability(tmp_path, capsys):
    from casemate.records.incident import Guess

    guesses = (Guess(threat="benign", share=1.0, because="nothing speaks for anything"),)
    showing.case(a_view(tmp_path, assessment="cannot-tell", guesses=guesses))
    assert "100%" not in capsys.readouterr().out
