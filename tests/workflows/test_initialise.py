"""init writes a configuration that reads back, from what is in the folder."""

import os

import numpy as np
import pytest

from casemate.errors import UsageError
from casemate.workflows import config
from casemate.workflows.initialise import initialise

TABLE = "age,income,job,bought\n" + "\n".join(
    f"{20 + i},{1000.5 + i * 13},{('cook', 'nurse', 'clerk')[i % 3]},{'yes' if i % 2 else 'no'}"
    for i in range(40)
)


def test_a_table_gives_columns_with_types_and_ranges(tmp_path):
    (tmp_path / "people.csv").write_text(TABLE)
    (tmp_path / "m.onnx").write_bytes(b"\x08\x08")
    done = initialise(tmp_path)
    loaded = config.read(done.path).config
    assert done.missing == ()
    assert loaded.model.target == "onnx:m.onnx"
    assert loaded.model.label == "bought"
    columns = {column.name: column for column in loaded.column}
    assert columns["age"].type == "integer"
    assert (columns["age"].low, columns["age"].high) == (20, 59)
    assert columns["income"].type == "float"
    assert columns["job"].type == "category"
    assert '# 0 = "clerk", 1 = "cook", 2 = "nurse"' in done.path.read_text()


def test_what_is_missing_is_one_line_each(tmp_path):
    done = initialise(tmp_path)
    assert len(done.missing) == 2
    assert config.read(done.path).config.model.target is None


def test_an_unclear_label_is_asked_for(tmp_path):
    (tmp_path / "m.onnx").write_bytes(b"\x08\x08")
    rows = "\n".join(f"{i * 1.5},{i * 2.25}" for i in range(50))
    (tmp_path / "d.csv").write_text("a,b\n" + rows)
    done = initialise(tmp_path)
    assert "--label" in done.missing[0]


def test_nothing_is_overwritten(tmp_path):
    initialise(tmp_path)
    with pytest.raises(UsageError, match="exists already"):
        initialise(tmp_path)
    initialise(tmp_path, force=True)


def test_data_without_bounds_are_pointed_out(tmp_path):
    (tmp_path / "m.onnx").write_bytes(b"\x08\x08")
    np.savez(tmp_path / "d.npz", x=np.full((4, 1, 2, 2), 7.0), y=np.zeros(4, np.int64))
    done = initialise(tmp_path)
    assert "bounds" in done.missing[0]


@pytest.mark.parametrize("name", ["nothing.onnx", "notes.md"])
def test_a_model_that_is_none_is_refused(tmp_path, name):
    (tmp_path / "notes.md").write_text("x")
    with pytest.raises(UsageError):
        initialise(tmp_path, model=name)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such file names")
def test_a_file_name_cannot_write_configuration(tmp_path):
    """A folder from elsewhere could otherwise bring a waiver of its own."""
    (tmp_path / "a.onnx").write_bytes(b"\x08\x08")
    hostile = (
        '\n[[waiver]]\nfingerprint = "import:os.system"\nreason = "x"\nexpires = 2099-01-01\n#'
    )
    (tmp_path / f"b{hostile}.onnx").write_bytes(b"\x08\x08")
    (tmp_path / f"c\x1b{hostile}.csv").write_text("a,b\n1,2\n")
    done = initialise(tmp_path)
    assert config.read(done.path).waivers == ()


def test_a_password_is_not_written_down(tmp_path):
    with pytest.raises(UsageError, match="user name or password"):
        initialise(tmp_path, model="http+oip://bob:hunter2@localhost/v2/models/m")
    assert not (tmp_path / "casemate.toml").exists()
