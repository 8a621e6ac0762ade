import numpy as np
import pytest

from casemate.errors import UsageError
from casemate.lineage.columns import INFORMATIVE, marks_of


def write(path, columns):
    names = list(columns)
    rows = zip(*columns.values(), strict=True)
    path.write_text("\n".join([",".join(names), *(",".join(map(str, row)) for row in rows)]) + "\n")
    return path


def column(marks, name):
    (found,) = (one for one in marks.columns if one.name == name)
    return found


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    return {
        "score": rng.normal(size=200),
        "number": np.arange(200),
        "kind": np.sort(rng.integers(0, 3, 200)),
        "name": [f"n{value}" for value in rng.integers(0, 1 << 40, 200)],
    }


def test_what_a_chance_order_holds_is_told_from_counters_and_sorted_columns(tmp_path, table):
    marks = marks_of(write(tmp_path / "a.csv", table))
    assert marks.total == len(marks.rows) == 200
    assert column(marks, "score").bits > 10 * INFORMATIVE
    assert column(marks, "name").bits > 10 * INFORMATIVE
    assert column(marks, "number").bits < INFORMATIVE
    assert column(marks, "kind").bits < INFORMATIVE


def test_ranks_stay_when_a_column_is_scaled_or_turned_round(tmp_path, table):
    first = column(marks_of(write(tmp_path / "a.csv", table)), "score")
    for way in (lambda x: 3 * x + 1, lambda x: -x, np.exp):
        other = column(
            marks_of(write(tmp_path / "b.csv", {**table, "score": way(table["score"])})), "score"
        )
        assert other.ranks == first.ranks
        assert other.order != first.order
    shuffled = table["score"][np.random.default_rng(1).permutation(200)]
    other = column(marks_of(write(tmp_path / "c.csv", {"score": shuffled})), "score")
    assert other.ranks != first.ranks
    assert other.values == first.values


def test_values_that_others_have_too_are_no_mark(tmp_path, table):
    marks = marks_of(write(tmp_path / "a.csv", table))
    assert len(column(marks, "name").values) == 200
    assert column(marks, "number").values == frozenset()
    assert column(marks, "kind").values == frozenset()


def test_a_table_of_one_row_and_one_that_is_none(tmp_path):
    (tmp_path / "a.csv").write_text("a,b\n1,x\n")
    assert len(marks_of(tmp_path / "a.csv").columns) == 2
    (tmp_path / "b.csv").write_text("a,b\n")
    assert marks_of(tmp_path / "b.csv").columns == ()
    (tmp_path / "c.txt").write_text("hello")
    with pytest.raises(UsageError):
        marks_of(tmp_path / "c.txt")
