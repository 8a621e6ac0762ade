"""`casemate redteam` asks for a scope and a target before it does anything."""

import pytest

from casemate.cli import main, redteam


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "needs a scope"),
        (["--scope", "s.toml"], "no endpoint"),
        (["--scope", "s.toml", "--target", "torch:m.py:load"], "no endpoint"),
        (["--scope", "s.toml", "--budget", "0"], "--budget 0"),
        (["--sign", "missing.toml"], "cannot be read"),
        (
            ["--scope", "s.toml", "--target", "http+oip://h:1/m", "--attack", "evasion-square"],
            "cannot be read",
        ),
    ],
)
def test_wrong_words_are_usage(words, says, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CASEMATE_KEYS", str(tmp_path / "keys"))
    assert main(["redteam", *words]) == 2
    assert says in capsys.readouterr().err
    assert redteam.run
