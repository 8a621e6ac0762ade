"""Each verb from the command line, in process, on a small real project."""

import json
import pickle

import pytest

from casemate.cli import assess, attack, init, main, options, report, scan, terminal

VERBS = (assess, attack, init, report, scan)


@pytest.fixture
def model(tmp_path, monkeypatch):
    import joblib
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression

    monkeypatch.chdir(tmp_path)
    source = load_iris()
    names = source.target_names[source.target]
    joblib.dump(LogisticRegression(max_iter=500).fit(source.data, names), tmp_path / "m.joblib")
    rows = ["a,b,c,d,species"]
    rows += [",".join([*map(str, row), name]) for row, name in zip(source.data, names, strict=True)]
    (tmp_path / "test.csv").write_text("\n".join(rows))
    return tmp_path


def test_the_way_of_a_new_user(model, capsys):
    assert main(["init"]) == 0
    assert "sklearn:m.joblib" in capsys.readouterr().out
    assert main(["scan", "--quiet", "m.joblib"]) == 0
    assert "1 clean" in capsys.readouterr().out
    words = ["--attack", "evasion-tabular", "--inputs", "10", "--quiet"]
    assert main(["attack", *words]) == 0
    assert "evasion-tabular" in capsys.readouterr().out
    assert main(["assess", "--time", "5s", "--quiet"]) in (0, 1)
    said = capsys.readouterr()
    assert "sklearn:m.joblib" in said.out
    assert (model / ".casemate").exists()
    assert main(["report", "--list"]) == 0
    assert capsys.readouterr().out.count("run-") == 3
    assert main(["report", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["schema"] == "report/1"
    assert main(["report"]) == 0
    assert list((model / ".casemate").glob("*.html"))


class Runs:
    def __reduce__(self):
        return eval, ("1",)


def test_scan_writes_what_it_is_asked_for(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.pkl").write_bytes(pickle.dumps(Runs()))
    assert main(["scan", "bad.pkl", "--format", "sarif", "-o", "out.sarif", "-q"]) == 1
    assert json.loads((tmp_path / "out.sarif").read_text())["version"] == "2.1.0"
    assert main(["scan", "bad.pkl", "-q", "--no-store"]) == 1
    assert "eval" in capsys.readouterr().out
    assert main(["scan", "bad.pkl", "-q", "-o", "no/such/folder/x"]) == 2


def test_a_hostile_name_does_not_reach_the_terminal_raw(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a\x1b[31mred\n.pkl").write_bytes(pickle.dumps(Runs()))
    main(["scan", ".", "-q"])
    assert "\x1b[31m" not in capsys.readouterr().out
    assert terminal.printable("a\x1b[0m\n\u202e") == "a\\x1b[0m\\n\\u202e"


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("90s", 90), ("5m", 300), ("1h", 3600)])
def test_durations(text, seconds):
    assert options.duration(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "-5m", "0", "nan", "inf", "m"])
def test_what_is_no_duration(text):
    import argparse

    with pytest.raises(argparse.ArgumentTypeError):
        options.duration(text)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_the_same_two_functions(verb):
    assert callable(verb.add_parser)
    assert callable(verb.run)
