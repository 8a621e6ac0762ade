import pytest

from casemate.cli import main
from casemate.workflows.pipelines import WHERE


@pytest.mark.parametrize("kind", WHERE)
def test_it_writes_one_file_and_overwrites_none(kind, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["ci", kind]) == 0
    assert capsys.readouterr().out == f"wrote {WHERE[kind]}\n"
    written = tmp_path / WHERE[kind]
    written.write_text("mine")
    assert main(["ci", kind]) == 2
    assert "exists already" in capsys.readouterr().err
    assert written.read_text() == "mine"
    assert main(["ci", kind, "--force"]) == 0
    assert written.read_text() != "mine"


def test_print_writes_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["ci", "github", "--print"]) == 0
    assert "casemate assess" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []
