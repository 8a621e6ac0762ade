"""`casemate console`: what is wrong with its arguments is said before anything listens."""

import pytest

from casemate.cli import main


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--listen", "0.0.0.0:0"], "nothing says who may come in"),
        (["--listen", "nowhere"], "is no host:port"),
        (["--new-token", "ann:responder"], "a token is kept in a file"),
        (["--new-token", "ann:king", "--tokens", "t"], "is no role"),
        (["--tokens", "missing.toml"], "cannot be read"),
        (["--tls-cert", "c", "--tls-key", "k"], "no certificate"),
    ],
)
def test_what_cannot_be_is_refused(words, says, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["console", *words]) == 2
    assert says in capsys.readouterr().err


def test_a_token_is_printed_once_and_let_in_by_its_file(tmp_path, monkeypatch, capsys):
    from casemate.console.tokens import Tokens

    monkeypatch.chdir(tmp_path)
    (tmp_path / "casemate.toml").write_text('version = 1\n[console]\ntokens = "keys/t.toml"\n')
    assert main(["console", "--new-token", "ann:viewer"]) == 0
    token = capsys.readouterr().out.strip()
    assert Tokens(tmp_path / "keys" / "t.toml").person(token).role == "viewer"


def test_the_configuration_names_what_it_does_not_know(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "casemate.toml").write_text('version = 1\n[console]\ntoken = "t"\n')
    assert main(["console"]) == 2
    assert "did you mean 'tokens'?" in capsys.readouterr().err
