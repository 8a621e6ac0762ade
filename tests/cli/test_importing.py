"""What `casemate import` prints, for people and for machines."""

import json

import pytest

from casemate.cli import main
from tests.guard.logs import samples as s


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.setenv("CASEMATE_KEYS", str(tmp_path / "keys"))
    monkeypatch.setenv("CASEMATE_GUARD_KEY", "0123456789abcdef" * 4)
    monkeypatch.chdir(tmp_path)
    rows = [s.line(s.gateway_row(databricks_request_id=f"d{n}", requester=None)) for n in range(4)]
    (tmp_path / "f.jsonl").write_bytes(b"\n".join([*rows, b"\x1b[31m", b""]))
    return tmp_path


def test_what_is_missing_and_who_is_unknown_is_said(here, capsys):
    assert main(["import", "f.jsonl", "--as", "mlflow"]) == 3
    told = capsys.readouterr()
    assert "4 events from 5 records, 2026-11-02 06:15:30 UTC" in told.out
    assert "principals: 1; 4 events with an unknown principal" in told.out
    assert "missing  not JSON  f.jsonl:5" in told.out
    assert "incomplete" in told.out
    assert "import: kB" in told.err
    assert "\x1b" not in told.out


def test_json_carries_the_counts(here, capsys):
    words = ["import", "f.jsonl", "--as", "mlflow", "--map", "principal=ops", "--format", "json"]
    assert main([*words, "--quiet"]) == 3
    told = capsys.readouterr()
    found = json.loads(told.out)
    assert (found["events"], found["unknown"], found["exit_code"]) == (4, 0, 3)
    assert found["counts"][0] == {
        "reason": "not JSON", "times": 1, "first": "f.jsonl:5", "last": "f.jsonl:5", "lost": True,
    }  # fmt: skip
    assert told.err == ""


def test_a_second_time_it_says_that_nothing_is_doubled(here, capsys):
    main(["import", "f.jsonl", "--as", "mlflow", "-q"])
    capsys.readouterr()
    main(["import", "f.jsonl", "--as", "mlflow", "-q"])
    assert "1 of 1 files was imported before; no event is doubled" in capsys.readouterr().out
