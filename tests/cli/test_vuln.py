"""`casemate vuln` on the command line, as a person types it."""

import json

import pytest

from casemate.cli import affected, main, vuln
from tests.vuln.test_inventory import installed


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CASEMATE_USER", "ada")
    (tmp_path / "casemate.toml").write_text("version = 1\n")
    return tmp_path


def told(capsys, *words, code=0):
    assert main(["vuln", *words]) == code
    out = capsys.readouterr()
    return out.out if code in (0, 1, 3) else out.err


def test_from_a_report_to_an_export(capsys, place):
    assert vuln.run_list
    assert "nothing is tracked" in told(capsys, "list")
    said = told(
        capsys, "add", "--threat", "model-stealing", "--affects", "fraud\x1b[2J",
        "--title", "a copy", "--fact", "success=92%", "--fact", "access=network",
    )  # fmt: skip
    assert "tracked" in said
    assert "\x1b" not in said
    assert "history" in said
    assert "already tracked" in told(
        capsys, "add", "--threat", "model-stealing", "--affects", "fraud\x1b[2J",
        "--fact", "access=network",
    )  # fmt: skip
    assert "a copy" in told(capsys, "list", "--state", "reported")
    assert "active" in told(capsys, "score", "1", "--fact", "exploited=active")
    assert "reported -> confirmed" in told(capsys, "set", "1", "--state", "confirmed", "--why", "x")
    record = json.loads(told(capsys, "show", "--json"))
    assert (record["state"], record["facts"]["exploited"]) == ("confirmed", "active")
    assert len(json.loads(told(capsys, "list", "--json"))) == 1
    told(capsys, "export", "1", "--to", "csaf", "--publisher", "Example", "-o", "out.json")
    body = json.loads((place / "out.json").read_text())
    assert body["document"]["publisher"]["name"] == "Example"
    assert json.loads(told(capsys, "export", "latest", "--to", "osv"))["id"].startswith("x_")


def test_what_is_wrong_is_said_with_what_to_do(capsys):
    assert "hint:" in told(capsys, "show", code=2)
    assert "no fact" in told(capsys, "add", "--threat", "model-stealing", "--affects", "m",
                             "--fact", "success", code=2)  # fmt: skip
    assert "hint:" in told(capsys, "export", "case-2026-0001", "--to", "stix", code=2)


def test_whether_we_are_affected_is_the_exit_code(capsys, place):
    assert affected.run
    installed(place / "env", "torch", "2.5.1")
    said = told(capsys, "affected", "--environment", "env", "-q", code=1)
    assert "CVE-2025-32434" in said
    assert "upgrade torch to 2.6.0 or later" in said
    assert "not affected" in said.splitlines()[-2]
    assert len(told(capsys, "affected", "--environment", "env", "-q", "--all", code=1)) > len(said)
    (place / "r.txt").write_text("torch\n")
    said = told(capsys, "affected", "--requirements", "r.txt", "-q", code=3)
    assert "nothing says which torch" in said
    assert len(said.splitlines()) < 8
    body = json.loads(told(capsys, "affected", "--environment", "env", "--json", code=1))
    assert {"applies", "looked_at", "open"} == set(body)
    told(capsys, "affected", "--environment", "env", "--vex", "-o", "vex.json", code=1)
    assert json.loads((place / "vex.json").read_text())["document"]["category"] == "csaf_vex"
