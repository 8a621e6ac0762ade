"""`casemate guard` says what is missing before it serves anything."""

import pytest

from casemate.cli import guard, main


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "--upstream"),
        (["--upstream", "ftp://h"], "upstream"),
        (["--upstream", "http://127.0.0.1:1", "--principal", "x-user"], "header:X-User"),
        (["--upstream", "http://127.0.0.1:1", "--listen", "nowhere"], "listen"),
    ],
)
def test_wrong_words_are_usage(words, says, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CASEMATE_KEYS", str(tmp_path / "keys"))
    assert main(["guard", "--no-analysis", *words]) == 2
    assert says in capsys.readouterr().err
    assert guard.run


def test_erasing_nobody_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CASEMATE_KEYS", str(tmp_path / "keys"))
    assert main(["guard", "--erase", "nobody"]) == 0
    assert "erased 0 payloads" in capsys.readouterr().out
