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


def test_a_contract_is_learned_from_the_configured_data(tmp_path, monkeypatch, capsys):
    import numpy as np

    from casemate.detect.inline.contract import breaks, read_contract

    x = np.random.default_rng(0).random((300, 1, 4, 4), dtype=np.float32)
    np.savez(tmp_path / "d.npz", x=x, y=np.zeros(300, np.int64))
    (tmp_path / "casemate.toml").write_text('version = 1\n[model]\ndata = "d.npz"\n')
    monkeypatch.chdir(tmp_path)
    assert main(["guard", "--learn-contract", "contract.json"]) == 0
    assert 'contract = "contract.json"' in capsys.readouterr().out
    contract = read_contract(tmp_path / "contract.json")
    assert breaks(contract, x[0].ravel())[0] == 0
    assert breaks(contract, x[0].ravel() + 7)[0] > 0
    (tmp_path / "casemate.toml").write_text("version = 1\n")
    assert main(["guard", "--learn-contract", "contract.json"]) == 2
