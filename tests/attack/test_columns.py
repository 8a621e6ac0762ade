"""Declared columns as arrays: what is compiled, and which rows and relations break."""

from __future__ import annotations

import numpy as np
import pytest

from casemate.attack.columns import (
    cell_faults,
    compile_rules,
    holds,
    relation_faults,
    violations,
)
from casemate.records.column import Column

INF = float("inf")


def rules(*columns):
    return compile_rules(columns, -INF, INF)


def test_ranges_are_those_of_column_type_and_box_together():
    got = compile_rules(
        [
            Column(name="i", type="integer", low=0.5, high=9.9),
            Column(name="b", type="boolean"),
            Column(name="f", low=-5, high=5),
            Column(name="v", type="category", values=(3.0, 1.0, 1.0, 40.0)),
        ],
        -1.0,
        np.array([8.0, 8, 2, 8]),
    )
    assert got.low.tolist() == [1, 0, -1, -1]
    assert got.high.tolist() == [8, 1, 2, 8]
    assert got.whole.tolist() == [True, True, False, False]
    assert got.values[3].tolist() == [1, 3]


def test_columns_that_depend_on_one_another_are_tied():
    got = rules(
        Column(name="a", at_most="b"),
        Column(name="b", at_most="c"),
        Column(name="c"),
        Column(name="free"),
        Column(name="part", group="g"),
        Column(name="rest", group="g"),
        Column(name="total", sum_of=("part", "other")),
        Column(name="other"),
    )
    assert [one.tolist() for one in got.tied] == [[0, 1, 2], [4, 5, 6, 7]]


def test_sums_of_sums_are_ordered_parts_first():
    got = rules(
        Column(name="all", sum_of=("some", "c")),
        Column(name="some", sum_of=("a", "b")),
        *(Column(name=name) for name in "abc"),
    )
    assert [one.total for one in got.sums] == [1, 0]


def test_cells_are_judged_as_numbers_of_their_own_type():
    got = rules(Column(name="v", values=(0.1,)), Column(name="up", direction="up", high=0.1))
    x = np.array([[0.1, 0.1]], np.float32)
    assert not cell_faults(got, x, x).any()
    assert cell_faults(got, x - np.float32(0.01), x).tolist() == [[True, True]]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sums_allow_for_rounding_and_no_more(dtype):
    got = rules(Column(name="t", sum_of=("a", "b")), Column(name="a"), Column(name="b"))
    good = np.array([[0.3, 0.1, 0.2], [1e8, 1e8 - 1, 1]], dtype)
    assert holds(got, good, good).all()
    bad = good + np.array([1e-3, 0, 0], dtype) * np.array([[1], [1e5]], dtype)
    assert not holds(got, bad, bad).any()
    ((text, _),) = relation_faults(got, bad)
    assert text == "t is the sum of a and b"
    assert violations(got, bad) == ("'t is the sum of a and b' is untrue in 2 rows",)
