import json

from casemate.cli import main

SYSTEM = """
version = 1
[[component]]
name = "api"
kind = "endpoint"
answers = "labels"
callers = ["public"]
assets = ["decisions"]
"""


def test_a_described_system_gets_its_threats_with_the_reasons(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "casemate.toml").write_text(SYSTEM)
    assert main(["threats"]) == 0
    out = capsys.readouterr().out
    assert "critical" in out
    assert "evasion-pgd" not in out
    assert main(["threats", "--format", "json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert any("decisions can be reached by anyone" in t["why"] for t in report["threats"])
    assert {threat["component"] for threat in report["threats"]} == {"api"}
    assert report["system"]["components"][0]["name"] == "api"
