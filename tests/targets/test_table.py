from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from casemate.attack.domain import Domain
from casemate.errors import UsageError
from casemate.targets.data import open_data
from casemate.targets.encoding import decode_all
from casemate.targets.table import label_column, learn_columns, read_table

if TYPE_CHECKING:
    from pathlib import Path

    from casemate.targets.data import Data


def table(folder: Path, text: str, name: str = "t.csv", label: str | None = None) -> Data:
    (folder / name).write_text(text, encoding="utf-8")
    return open_data(name, label=label, root=folder)


def refused(folder: Path, text: str, *words: str, label: str | None = None) -> None:
    with pytest.raises(UsageError) as caught:
        table(folder, text, label=label)
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in f"{caught.value} | {caught.value.hint}"


def test_every_type_of_column(tmp_path: Path) -> None:
    data = table(
        tmp_path,
        "age,rate,city,member,seen,label\n"
        "30,1.5,Oslo,true,0,good\n"
        "40,2,Bergen,False,1,bad\n"
        '50,3e2,"Oslo, west",TRUE,1,good\n',
    )
    assert data.x.dtype == np.float64
    assert data.x[:, 2].tolist() == [1, 0, 2]
    assert data.x[:, 3].tolist() == [1, 0, 1]
    assert [c.type for c in data.columns] == ["integer", "float", "category", "boolean", "boolean"]
    assert data.columns[2].values == (0, 1, 2)
    assert (data.columns[0].low, data.columns[0].high) == (30, 50)
    assert [e.dtype for e in data.encodings] == ["integer", "float", "string", "boolean", "integer"]
    assert data.encodings[2].strings == ("Bergen", "Oslo", "Oslo, west")
    assert data.classes == ("bad", "good")
    assert data.y.tolist() == [1, 0, 1]
    assert decode_all(data.x, data.encodings)[1].tolist() == [40, 2.0, "Bergen", False, 1]
    assert Domain(data.lower, data.upper, data.columns).holds(data.x, data.x).all()


def test_codes_do_not_depend_on_the_limit(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("city,n,y\nOslo,1,0\nBergen,2,1\n", encoding="utf-8")
    short = open_data("t.csv", root=tmp_path, limit=1)
    assert short.x[0, 0] == 1
    assert short.encodings[0].strings == ("Bergen", "Oslo")


@pytest.mark.parametrize(("name", "separator"), [("t.csv", ";"), ("t.tsv", "\t"), ("t.csv", "\t")])
def test_separators(tmp_path: Path, name: str, separator: str) -> None:
    text = "a,b,label\n1,2,0\n3,4,1\n".replace(",", separator)
    assert table(tmp_path, text, name).x.tolist() == [[1, 2], [3, 4]]


def test_byte_order_mark_and_blank_lines(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b"\xef\xbb\xbfa,label\r\n1,0\r\n\r\n2,1\r\n")
    assert open_data("t.csv", root=tmp_path).x.tolist() == [[1], [2]]


def test_rows_with_gaps_are_left_out_and_counted(tmp_path: Path) -> None:
    data = table(tmp_path, "a,b,label\n1,x,0\n,y,1\n3,NA,0\n4,x,1\n")
    assert data.x[:, 0].tolist() == [1, 4]
    assert data.notes == ("2 of 4 rows have missing values and are left out",)


def test_gaps_everywhere(tmp_path: Path) -> None:
    refused(tmp_path, "a,b,label\n1,,0\n2,,1\n", "every row", "'b'")


def test_the_label_column(tmp_path: Path) -> None:
    assert label_column(("a", "Target"), None, "t") == "Target"
    assert label_column(("y", "label"), None, "t") == "label"
    refused(tmp_path, "a,b\n1,2\n", "which column of t.csv", "--label")
    refused(tmp_path, "age,b\n1,2\n", "did you mean 'age'", label="agee")


def test_numbers_as_labels_in_a_table(tmp_path: Path) -> None:
    data = table(tmp_path, "a,label\n1,-1\n2,1\n")
    assert data.y.tolist() == [0, 1]
    assert data.classes == ("-1", "1")


def test_identifiers_too_long_for_a_float_stay_text(tmp_path: Path) -> None:
    data = table(tmp_path, "id,label\n99999999999999999999,0\n99999999999999999998,1\n")
    assert data.columns[0].type == "category"


def test_underscores_are_no_numbers(tmp_path: Path) -> None:
    assert table(tmp_path, "code,label\n1_0,0\n2_0,1\n").columns[0].type == "category"


def test_infinite_values_are_refused(tmp_path: Path) -> None:
    refused(tmp_path, "a,label\ninf,0\n1,1\n", "1 of 2 inputs", "at row 0, a")


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "empty"),
        ("a,label\n", "no rows"),
        ("a,label\n1,2,3\n", "line 2 has 3 cells"),
        ("a,label\n1,0\n2", "line 3 has 1 cells"),
        ("a,a,label\n1,2,3\n", "two columns called 'a'"),
        ("label\n1\n", "no column beside"),
        ('a,label\n"1,0\n2,1\n', "not a CSV"),
        ("a,label\n1,0.5\n2,1\n", "fractions"),
    ],
)
def test_bad_tables(tmp_path: Path, text: str, word: str) -> None:
    refused(tmp_path, text, word)


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b"a,label\n\xff\xfe,1\n")
    with pytest.raises(UsageError, match="not a CSV"):
        open_data("t.csv", root=tmp_path)


def test_one_hot_groups_are_seen() -> None:
    names = ["size", "city_a", "city_b", "city_c", "flag=x", "flag=y", "is_new", "is_old"]
    x = np.array(
        [[1.5, 1, 0, 0, 0, 1, 1, 1], [2, 0, 1, 0, 1, 0, 0, 0], [3, 0, 0, 1, 0, 1, 0, 1]], float
    )
    columns = learn_columns(x, names)
    assert [c.group for c in columns] == [None, *["city"] * 3, *["flag"] * 2, None, None]
    assert [c.type for c in columns] == ["float", *["boolean"] * 7]


def test_columns_without_names() -> None:
    columns = learn_columns(np.array([[1.0, 2.5], [3.0, 4.5]]))
    assert [c.name for c in columns] == ["f0", "f1"]
    assert [c.type for c in columns] == ["integer", "float"]


def test_parquet_like_csv(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    rows = {
        "age": [30, None, 50],
        "rate": [1.5, 2.0, 3.0],
        "city": ["Oslo", "Bergen", "Oslo"],
        "member": [True, False, True],
        "label": ["good", "bad", "bad"],
    }
    pq.write_table(pa.table(rows), tmp_path / "t.parquet")
    data = open_data("t.parquet", root=tmp_path)
    assert data.x.tolist() == [[30, 1.5, 0, 1], [50, 3, 0, 1]]
    assert data.classes == ("bad", "good")
    assert data.notes
    (tmp_path / "t.parquet").write_bytes((tmp_path / "t.parquet").read_bytes()[:-20])
    with pytest.raises(UsageError, match="damaged"):
        open_data("t.parquet", root=tmp_path)


def test_reading_a_table_runs_nothing(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,label\n__import__('os'),0\n2,1\n", encoding="utf-8")
    raw = read_table(tmp_path / "t.csv", None)
    assert raw.encodings[0].strings[1].startswith("__import__")
