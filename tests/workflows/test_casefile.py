"""What the page of a case shows besides the case."""

import time

import pytest

from casemate.records.incident import Action
from casemate.store.workspace import Workspace
from casemate.workflows import casefile, custody
from tests.workflows.test_overview import case


@pytest.fixture
def workspace(tmp_path):
    with Workspace.open(tmp_path / ".casemate") as found:
        yield found


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("casemate case contain case-1 --action throttle --dry-run", "contain", "Contain it"),
        ("casemate case radius case-1: who and what it reaches", "radius", "Find out"),
        ("casemate case playbook case-1: respond-drift", "playbook", "respond-drift"),
        ("casemate vuln add --from case-1: keep track", "exposure", "Keep track"),
        ("GDPR: 2026-11-24 03:00 UTC at the latest", "clocks", "GDPR"),
        ("Ask whose account it is.", "", "Ask"),
    ],
)
def test_a_step_of_the_command_line_has_its_place_on_the_page(text, place, words):
    step = casefile.step_of(text)
    assert step.place == place
    assert words in step.words
    assert step.command == ("" if not text.startswith("casemate") else text.partition(": ")[0])


def test_the_span_of_a_case_covers_it(workspace):
    made = case(workspace)
    begin, end = casefile.span_of(made)
    assert begin < made.aware.timestamp() * 1e6 < end


def test_a_plot_names_what_was_done_and_not_what_failed(workspace):
    made = case(workspace)
    actions = [
        custody.action("ann", kind, "x", outcome=outcome, case=made.id)
        for kind, outcome in (
            ("opened", "done"), ("contained", "planned"), ("contained", "done"), ("noted", "done"),
        )
    ]  # fmt: skip
    assert all(isinstance(one, Action) for one in actions)
    words = [one.words for one in casefile.marks_of(made, actions)]
    assert words == ["noticed", "case opened", "contained"]
    assert casefile.marks_of(made, actions)[1].at <= time.time_ns() // 1000


def test_only_papers_are_papers(tmp_path):
    assert casefile.papers(tmp_path) == ()
    (tmp_path / "papers").mkdir()
    for name in ("b.md", "a.md", "a.html", "x"):
        (tmp_path / "papers" / name).write_text("x")
    assert casefile.papers(tmp_path) == ("a.md", "b.md")


def test_every_type_has_a_title():
    found = dict(casefile.kinds())
    assert found["model-stealing"] == "Model stealing"
