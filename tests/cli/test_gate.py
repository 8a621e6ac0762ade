"""gate from the outside: a scan's run is judged, accepted, compared; each with its exit code."""

import json
import pickle

import pytest

from casemate.cli import main

BAD = b"cos\nsystem\n(S'true'\ntR."


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.pkl").write_bytes(pickle.dumps({"weights": [1.0, 2.0]}))
    assert main(["scan", "model.pkl", "--quiet"]) == 0
    return tmp_path


def test_a_clean_scan_passes_and_can_be_accepted(folder, capsys):
    assert main(["gate"]) == 0
    assert capsys.readouterr().out.splitlines()[-3].startswith("PASS")
    assert main(["gate", "accept", "--reason", "first", "--by", "Ada"]) == 0
    kept = json.loads((folder / "casemate-baseline.json").read_bytes())
    assert (kept["accepted_by"], kept["reason"], kept["findings"]) == ("Ada", "first", [])


def test_nothing_is_accepted_without_a_reason(folder, capsys):
    assert main(["gate", "accept"]) == 2
    assert "needs a reason" in capsys.readouterr().err
    assert not (folder / "casemate-baseline.json").exists()


def test_a_critical_finding_fails_until_it_is_waived_and_again_when_that_ends(folder, capsys):
    (folder / "model.pkl").write_bytes(BAD)
    assert main(["scan", "model.pkl", "--quiet"]) == 1
    capsys.readouterr()
    assert main(["gate", "--format", "json"]) == 1
    report = json.loads(capsys.readouterr().out)
    prints = {found["fingerprint"] for found in report["findings"]}
    for last, code in (("2999-12-31", 0), ("2020-01-01", 1)):
        waivers = "".join(
            f'[[waiver]]\nfingerprint = "{one}"\nreason = "inert sample"\nexpires = {last}\n'
            for one in prints
        )
        (folder / "casemate.toml").write_text("version = 1\n" + waivers)
        assert main(["gate"]) == code
    assert "expired on 2020-01-01 (inert sample)" in capsys.readouterr().out


def test_a_baseline_that_is_no_baseline_is_exit_2(folder, capsys):
    (folder / "casemate-baseline.json").write_text("{}")
    assert main(["gate"]) == 2
    assert "is not a baseline" in capsys.readouterr().err
