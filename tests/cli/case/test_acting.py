"""`casemate case` as a responder types it: what is printed, and the exit codes."""

from __future__ import annotations

import json
import re

import pytest

from casemate.cli import main


@pytest.fixture
def case(scene, monkeypatch):
    """Say `case ...` in the folder of a workspace that has one case, and return the exit code."""
    monkeypatch.chdir(scene.root)
    monkeypatch.setenv("CASEMATE_USER", "ana")
    monkeypatch.setenv("CASEMATE_KEYS", str(scene.root.parent / "keys"))

    def say(*words: str) -> int:
        return main(["case", *words, "--quiet"])

    return say


def test_a_case_is_opened_and_shown(case, capsys):
    assert case("open", "--from", "latest", "--copy", "later") == 1
    told = capsys.readouterr().out
    assert "case-" in told
    assert "who: mallory" in told
    assert "Adversarial perturbation" in told
    assert "1. casemate case contain" in told
    assert case("show", "latest", "--format", "json") == 0
    whole = json.loads(capsys.readouterr().out)
    assert whole["incident"]["triage"]["assessment"] == "attack"
    assert case("list") == 0
    assert capsys.readouterr().out.count("case-") == 2
    assert case("show", "1", "--log", "--evidence") == 0
    assert "artifacts/rows.csv" in capsys.readouterr().out


def test_a_dry_run_changes_nothing_and_the_real_one_says_that_nobody_obeys(case, capsys):
    words = ("contain", "latest", "--action", "throttle", "--set", "per_minute=2")
    assert case(*words, "--dry-run") == 0
    told = capsys.readouterr().out
    assert "rate mallory" in told
    assert "per_minute = 2" in told
    assert "300 of 600 requests" in told
    assert "nothing was done" in told
    assert case(*words) == 3
    assert "no guard of this workspace is alive" in capsys.readouterr().out
    assert case("undo", "latest", "--why", "enough") == 0
    assert "ended: ord-" in capsys.readouterr().out


def test_notes_facts_owners_and_types(case, capsys):
    assert case("note", "latest", "called the customer") == 0
    assert case("tell", "latest", "personal_data=yes", "people_affected=120") == 0
    assert case("assign", "latest", "bo") == 0
    assert case("retype", "latest", "model-stealing") == 0
    assert case("show", "latest") == 0
    told = capsys.readouterr().out
    assert "owner: bo" in told
    assert "people_affected = 120, personal_data = True" in told
    assert case("tell", "latest", "nonsense") == 2
    assert "NAME=VALUE" in capsys.readouterr().err


def test_the_playbook_is_followed_and_papers_are_written(case, capsys):
    assert case("playbook", "latest", "--all") == 3
    told = capsys.readouterr().out
    assert "respond-adversarial-perturbation" in told
    assert re.search(r" done +freeze ", told)
    assert "next: " in told
    assert case("handover", "latest") == 0
    assert "handover-1.md" in capsys.readouterr().out
    assert case("paper", "latest", "serious-incident") == 0


def test_a_playbook_exits_with_3_while_a_check_waits_or_has_failed(case):
    for step, code in (("guard-obeys", 3), ("who-and-how-far", 0), ("hold-decisions", 0)):
        assert case("playbook", "latest", "--step", step) == code, step
    assert case("playbook", "latest", "--step", "guard-obeys", "--answer", "by hand") == 0
    assert case("playbook", "latest", "--step", "contain-answers", "--skip", "a test") == 0


def test_a_closed_case_is_packed_and_verifies(case, capsys, tmp_path):
    assert case("close", "latest", "--why", "over") == 0
    out = tmp_path / "night"
    assert case("bundle", "latest", "--output", str(out)) == 0
    key = re.search(r"ed25519:\S+", capsys.readouterr().out)[0]
    assert main(["verify", str(out), "--public-key", key]) in (0, 3)
    assert (out / "verify_bundle.py").is_file()
    assert case("bundle", "latest", "--output", str(out)) == 2
    assert case("reopen", "latest", "--why", "not over") == 0
    assert case("close", "latest", "--why", "") == 2


def test_the_radius_of_a_model_nobody_recorded_still_counts_decisions(case, capsys):
    assert case("radius", "latest") in (0, 3)
    assert "600 decisions" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words",
    [
        ("open",),
        ("open", "--from", "det-none"),
        ("show", "77"),
        ("contain", "latest", "--action", "block", "--for", "soon"),
        ("contain", "latest", "--action", "coarsen", "--patch", "missing.conf"),
        ("undo", "latest", "--why", "x"),
        ("radius", "latest", "--node", "nobody"),
    ],
    ids=" ".join,
)
def test_what_cannot_be_is_explained(case, capsys, words):
    assert case(*words) == 2
    told = capsys.readouterr().err
    assert told.startswith("error: ")
    assert "Traceback" not in told
