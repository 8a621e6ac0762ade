import numpy as np
import pytest

from casemate.cli.program import main
from casemate.errors import UsageError
from casemate.store.lineage import LineageBook
from casemate.store.workspace import Workspace
from casemate.workflows.config import read
from casemate.workflows.matching import match


@pytest.fixture
def house(tmp_path):
    (tmp_path / "casemate.toml").write_text("version = 1\n")
    rng = np.random.default_rng(0)
    rows = np.column_stack([rng.normal(size=(120, 3)), rng.integers(0, 2, 120)])
    (tmp_path / "data").mkdir()

    def write(name, table):
        np.savetxt(tmp_path / "data" / name, table, delimiter=",", header="a,b,c,d", comments="")

    write("rows.csv", rows)
    write("part.csv", rows[:60])
    write("other.csv", rng.normal(size=(120, 4)))
    weights = rng.normal(size=(60, 40))
    np.savez(tmp_path / "base.npz", w=weights)
    np.savez(tmp_path / "tuned.npz", w=weights + rng.normal(0, 0.05, (60, 40)))
    np.savez(tmp_path / "stranger.npz", w=rng.normal(size=(60, 40)))
    (tmp_path / "data" / "notes.txt").write_text("no table")
    (tmp_path / "data" / "bad.csv").write_text("a,b\n1\n")
    return tmp_path


@pytest.fixture
def workspace(house):
    with Workspace.open(house / ".casemate", create=True) as opened:
        yield opened


def test_probable_steps_become_proposals_in_the_book(house, workspace):
    found = match(read(house / "casemate.toml"), workspace, [house])
    pairs = {frozenset((found.names[e.source], found.names[e.target])) for e in found.proposed}
    assert pairs == {
        frozenset(("data/rows.csv", "data/part.csv")),
        frozenset(("base.npz", "tuned.npz")),
    }
    assert found.looked == 6
    assert any("notes.txt" in note for note in found.notes)
    assert any("bad.csv" in note for note in found.notes)
    book = LineageBook(workspace)
    reached = book.reach([book.node("data/rows.csv").id])
    assert reached.exact == 1
    again = match(read(house / "casemate.toml"), workspace, [house])
    assert again.fresh == 0


def test_places_with_nothing_in_them_are_told(house, workspace):
    loaded = read(house / "casemate.toml")
    with pytest.raises(UsageError, match="nothing that can be compared"):
        match(loaded, workspace, [house / "data" / "notes.txt"])
    with pytest.raises(UsageError, match="no file or folder"):
        match(loaded, workspace, [house / "no"])


def test_the_command_prints_how_sure_and_why(house, monkeypatch, capsys):
    monkeypatch.chdir(house)
    assert main(["lineage", "match", "data/rows.csv", "data/part.csv", "-q"]) == 0
    said = capsys.readouterr().out
    assert "data/part.csv" in said
    assert "60 equal rows, 100% of the smaller table" in said
    assert "2 files compared" in said
