"""A log of past traffic, no guard: who attacked, since when, how sure; or that nobody did.

The logs are those of KServe's logger, two lines a request; the million is for bench/hunt.py and for
a run of the slow tests.
"""

import contextlib
import gzip
import io
import json
import subprocess
import sys
import time
from contextlib import redirect_stderr, redirect_stdout
from typing import NamedTuple

import pytest

from casemate.cli import main
from tests.corpus.kserve_log import EXTRACTOR, write

EXCHANGES = 3_000


class Done(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("keys")
        patch.setenv("CASEMATE_KEYS", str(folder))
        yield folder


@pytest.fixture(scope="module")
def casemate(keys):
    """The command line in this process: to start a new one each time takes longer than the hunt."""

    def run(folder, *words):
        out, err = io.StringIO(), io.StringIO()
        with contextlib.chdir(folder), redirect_stdout(out), redirect_stderr(err):
            try:
                code = main(list(words))
            except SystemExit as left:  # argparse itself
                code = int(str(left.code))
        return Done(code, out.getvalue(), err.getvalue())

    return run


@pytest.fixture(scope="module")
def process(keys):
    """The same in a process of its own, as a user starts it."""

    def run(folder, *words):
        words = (sys.executable, "-m", "casemate", *words)
        done = subprocess.run(words, cwd=folder, capture_output=True, text=True)
        assert "Traceback" not in done.stderr, done.stderr
        return done

    return run


def hunted(casemate, folder, log):
    """Import a log and hunt in it, in a place of its own; return both answers and exit codes."""
    place = folder / f"store-{log.name}"
    words = ("--store", str(place), "--format", "json", "--quiet")
    who = ("--principal", "header:X-User")
    first = casemate(folder, "import", log.name, "--as", "kserve", *who, *words)
    second = casemate(folder, "detect", *words)
    return (json.loads(first.stdout), first.returncode), (
        json.loads(second.stdout),
        second.returncode,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("hunt")


@pytest.fixture(scope="module")
def theft(folder):
    return folder / "theft.jsonl", write(folder / "theft.jsonl", EXCHANGES, extractor=0.1)


def test_the_hidden_extractor_is_named_with_its_first_query(process, folder, theft):
    log, hidden = theft
    (imported, code), (found, verdict_code) = hunted(process, folder, log)
    assert (imported["events"], imported["unknown"], code) == (EXCHANGES, 0, 0)
    assert (found["verdict"], verdict_code) == ("attack", 1)
    attacks = [one for one in found["detections"] if one["conclusion"] == "attack"]
    assert attacks
    assert {name for one in attacks for name in one["principals"]} == {EXTRACTOR}
    worst = attacks[0]
    assert worst["confidence"] in ("firm", "tentative", "certain")
    assert worst["first_query"] <= hidden["queries"] / 2
    assert worst["first"]["known"]["source"] == f"theft.jsonl:{hidden['first']}"
    assert int(worst["first"]["source"].partition(":")[2]) >= hidden["first"]


def test_a_clean_log_holds_no_attack(casemate, folder):
    write(folder / "clean.jsonl", EXCHANGES, seed=5)
    (_, code), (found, verdict_code) = hunted(casemate, folder, folder / "clean.jsonl")
    assert (code, found["verdict"], verdict_code) == (0, "no attack", 0)
    assert [one for one in found["detections"] if one["conclusion"] == "attack"] == []


def test_a_drifted_log_is_a_drift(casemate, folder):
    write(folder / "drift.jsonl", EXCHANGES, drift=1.0, seed=6)
    _, (found, _) = hunted(casemate, folder, folder / "drift.jsonl")
    assert found["verdict"] == "drift"
    assert all(one["conclusion"] != "attack" for one in found["detections"])


def test_a_truncated_log_says_so_and_a_hunt_in_it_is_incomplete(casemate, folder):
    write(folder / "whole.jsonl.gz", EXCHANGES // 2, seed=7)
    whole = (folder / "whole.jsonl.gz").read_bytes()
    (folder / "cut.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    (imported, code), (found, verdict_code) = hunted(casemate, folder, folder / "cut.jsonl.gz")
    assert code == 3
    assert 0 < imported["events"] < EXCHANGES // 2
    assert imported["counts"][0]["reason"] == "the gzip file stops in the middle"
    assert verdict_code == 3
    assert found["gaps"] > 0


def test_text_says_it_in_words_and_repeating_changes_nothing(casemate, folder, theft):
    log, _ = theft
    place = ("--store", str(folder / f"store-{log.name}"), "--quiet")
    again = casemate(
        folder, "import", log.name, "--as", "kserve", "--principal", "header:X-User", *place
    )
    assert again.returncode == 0
    assert "imported before; no event is doubled" in again.stdout
    told = casemate(folder, "detect", *place)
    assert told.returncode == 1
    assert f"principal: {EXTRACTOR}" in told.stdout
    assert "first query: 2026-11-02" in told.stdout
    assert "verdict: attack" in told.stdout
    quiet = casemate(folder, "detect", "--since", "2026-11-02T06:00Z", "--model", "none", *place)
    assert (quiet.returncode, "verdict: cannot tell" in quiet.stdout) == (3, True)


def test_what_cannot_be_is_a_usage_error(casemate, folder):
    (folder / "one.jsonl.gz").write_bytes(gzip.compress(b"{}\n"))
    for words in (
        ("import", "one.jsonl.gz"),
        ("import", "one.jsonl.gz", "--as", "kserv"),
        ("import", "nowhere", "--as", "kserve"),
        ("import", "one.jsonl.gz", "--as", "kserve", "--map", "who=$.x"),
        ("import", "one.jsonl.gz", "--as", "kserve", "--map", "principal=$..x"),
        ("detect", "--since", "yesterday"),
        ("detect", "--from", "nowhere"),
    ):
        done = casemate(folder, *words)
        assert done.returncode == 2, (words, done.stderr)
        assert "error: " in done.stderr


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_million_rows_within_five_minutes(process, folder):
    hidden = write(folder / "million.jsonl", 500_000, extractor=0.01, users=3000, seed=8)
    begun = time.monotonic()
    (imported, code), (found, verdict_code) = hunted(process, folder, folder / "million.jsonl")
    took = time.monotonic() - begun
    assert (imported["records"], code) == (1_000_000, 0)
    assert (found["verdict"], verdict_code) == ("attack", 1)
    attacks = [one for one in found["detections"] if one["conclusion"] == "attack"]
    assert {name for one in attacks for name in one["principals"]} == {EXTRACTOR}
    assert attacks[0]["first"]["known"]["source"] == f"million.jsonl:{hidden['first']}"
    assert took < 300, f"{took:.0f} s"
