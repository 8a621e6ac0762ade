"""What `casemate detect` prints; tests/journeys/test_hunt.py has the whole story."""

import json

import pytest

from casemate.cli import detect, main
from casemate.records.detection import Detection
from casemate.records.severity import Confidence, Severity
from casemate.workflows.hunting import First, Hunted

FOUND = Detection(
    id="det-1", rule="query-graph", conclusion="probe", severity=Severity.LOW,
    confidence=Confidence.FIRM, message="sent \x1b[31m much", model="m", principals=("eve", "eva"),
    began=1_793_600_130_000_000, ended=1_793_600_131_000_000, made=1_793_600_131_000_000,
    queries=70, first_query=6, events=("w-1:2",), next_steps=("Ask.",),
)  # fmt: skip


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_who_since_when_and_how_sure(capsys):
    first = First(
        "w-1:2", FOUND.began, "a.jsonl:9", First("w-1:0", FOUND.began - 5_000_000, "a.jsonl:1")
    )
    detect._show(FOUND, first)
    told = capsys.readouterr().out
    for words in (
        "low query-graph  m", "principal: eve, eva",
        "first query: 2026-11-02 06:15:30 UTC at a.jsonl:9; noticed at query 6",
        "seen since: 2026-11-02 06:15:25 UTC at a.jsonl:1", "confidence: firm", "next: Ask.",
    ):  # fmt: skip
        assert words in told
    assert "\x1b" not in told


def test_the_verdict_says_what_is_missing(capsys):
    found = Hunted("run-1", "cannot tell", ("because",), (), {}, 12, 2, 30, 3)
    detect._print(found, whole=True)
    told = capsys.readouterr().out
    assert told == (
        "verdict: cannot tell\n  because\n12 events looked at; 30 requests missing in 2 gaps\n"
    )


def test_live_lines_are_json_where_wanted(capsys):
    detect._line_of("json")(FOUND)
    assert json.loads(capsys.readouterr().out)["rule"] == "query-graph"
    detect._line_of("text")(FOUND)
    assert "principal: eve, eva" in capsys.readouterr().out


def test_nothing_on_record_cannot_be_told(here, capsys):
    assert main(["detect", "--quiet", "--format", "json"]) == 3
    assert json.loads(capsys.readouterr().out)["verdict"] == "cannot tell"
