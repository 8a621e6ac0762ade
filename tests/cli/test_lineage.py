"""`casemate lineage` on the command line, as a person types it."""

import json
import sys
from pathlib import Path

import pytest

from casemate.cli import lineage, main


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CASEMATE_USER", "ada")
    Path("train.csv").write_text("a,b\n" + "1,2\n" * 40)
    Path("train.py").write_text("open('model.pkl', 'w').write(open('train.csv').read()[::-1])\n")
    return tmp_path


def told(capfd, *words, code=0):
    assert main(["lineage", *words]) == code
    return capfd.readouterr()


def test_from_a_recording_to_a_deployment(capfd):
    assert lineage.add_parser
    assert "nothing is known yet" in told(capfd, "show").out
    said = told(capfd, "record", "--row-digests", "--", sys.executable, "train.py").err
    assert "recorded run:run-" in said
    shown = told(capfd, "show", "model.pkl").out
    assert "dataset train.csv" in shown
    assert "led to: nothing on record" in shown
    assert "1 dataset, " in told(capfd, "show").out
    said = told(capfd, "deploy", "model.pkl", "--as", "fraud", "--version", "3").out
    assert said.startswith("fraud:3 answers with model.pkl since 20")
    body = json.loads(told(capfd, "show", "train.csv", "--format", "json").out)
    assert [one["node"]["kind"] for one in body["down"]] == ["run", "model", "deployment"]
    assert body["down"][-1]["edge"]["by"] == "ada"
    assert json.loads(told(capfd, "show", "--format", "json").out)["counts"]["deployment"] == 1


def test_the_code_of_the_command_is_ours(capfd):
    Path("train.py").write_text("import sys; open('train.csv').read(); sys.exit(7)\n")
    assert told(capfd, "record", "-q", "--", sys.executable, "train.py", code=7).err == ""
    said = told(
        capfd, "record", "--", sys.executable, "-c", "import os; os.kill(os.getpid(), 9)", code=137
    )
    assert "recorded" in said.err


def test_what_was_not_seen_is_said(capfd):
    said = told(capfd, "record", "--watch", "python", "--", sys.executable, "train.py").err
    assert "not seen: files opened by native code" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["record"], "no command is given"),
        (["record", "--", "no-such-program"], "there is no program 'no-such-program'"),
        (["record", "--data", "none.csv", "--", "true"], "does not exist"),
        (["record", "--parent", "none.pt", "--", "true"], "no node 'none.pt'"),
        (["show", "none"], "no node 'none'"),
        (["deploy", "none", "--as", "x"], "no node 'none'"),
        (["import", "mlflow", "none.db"], "none.db"),
    ],
    ids=lambda one: "-".join(one)[:30] if isinstance(one, list) else None,
)
def test_usage_says_what_to_do(capfd, words, said):
    err = told(capfd, *words, code=2).err
    assert said in err
    assert "Traceback" not in err


def test_hostile_names_do_not_reach_the_terminal(capfd):
    name = "evil\x1b[2J\nmodel.pkl"
    Path("train.py").write_text(f"open({name!r}, 'w').write(open('train.csv').read()[::-1])\n")
    told(capfd, "record", "--", sys.executable, "train.py")
    for words in (["show"], ["show", "train.csv"], ["show", name]):
        out = told(capfd, *words).out
        assert "\x1b" not in out
        assert "evil\\x1b[2J\\nmodel.pkl" in out


def test_an_import_is_kept(capfd):
    bom = {"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1, "components": []}
    Path("bom.json").write_text(json.dumps(bom))
    pytest.importorskip("casemate.lineage.mlbom")
    assert main(["lineage", "import", "mlbom", "bom.json"]) in (0, 3)
    assert "0 nodes" in capfd.readouterr().out
