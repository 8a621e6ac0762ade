"""Every row a domain returns obeys every constraint, whatever the columns and its origin."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from casemate.attack.domain import Domain
from casemate.errors import UsageError
from casemate.records.column import Column

INF = float("inf")


def check(columns, x, origin):
    """An independent reading of the constraints, row by row in plain Python."""
    place = {column.name: j for j, column in enumerate(columns)}
    for row, start in zip(x, origin, strict=True):
        for column in columns:
            value, before = row[place[column.name]], start[place[column.name]]
            assert column.low is None or value >= column.low or value == before
            assert column.high is None or value <= column.high or value == before
            assert column.type not in ("integer", "boolean") or float(value).is_integer()
            assert column.type != "boolean" or value in (0, 1)
            assert not column.values or value in np.asarray(column.values, x.dtype)
            assert column.mutable or value == before
            assert column.direction != "up" or value >= before
            assert column.direction != "down" or value <= before
            if column.at_most:
                assert value <= row[place[column.at_most]]
            if column.sum_of:
                parts = [float(row[place[name]]) for name in column.sum_of]
                assert float(value) == pytest.approx(sum(parts), rel=1e-5, abs=1e-4)
        for group in {column.group for column in columns} - {None}:
            members = [row[place[c.name]] for c in columns if c.group == group]
            assert sorted(members) == [0] * (len(members) - 1) + [1]


@st.composite
def tables(draw):
    """Columns of every sort with rows that obey them, and rows that need not."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.integers(1, 6))
    columns: list[Column] = []
    data: list[np.ndarray] = []
    free = st.tuples(st.booleans(), st.sampled_from(["any", "up", "down"]))

    def add(name, cells, **rest):
        mutable, direction = draw(free)
        mutable = mutable or draw(st.booleans())
        columns.append(Column(name=name, mutable=mutable, direction=direction, **rest))
        data.append(np.asarray(cells, float))

    for k in range(draw(st.integers(0, 2))):
        low = draw(st.sampled_from([-1.7, 0.0, 0.1]))
        add(f"f{k}", rng.uniform(low, low + 3, n), low=low, high=low + 3)
    for k in range(draw(st.integers(0, 2))):
        low = draw(st.sampled_from([None, 0, -5.5]))
        add(f"i{k}", rng.integers(0, 40, n), type="integer", low=low, high=40)
    if draw(st.booleans()):
        add("b", rng.integers(0, 2, n), type="boolean")
    if draw(st.booleans()):
        allowed = (-0.3, 0.1, 2.0, 7.5)
        add("v", rng.choice(allowed, n), type="category", values=allowed)
    if draw(st.booleans()):
        hot = np.eye(3)[rng.integers(0, 3, n)]
        for k in range(3):
            add(f"g{k}", hot[:, k], type="boolean", group="g")
    if draw(st.booleans()):
        small = rng.integers(0, 10, n)
        add("small", small, type="integer", low=0, at_most="big")
        add("big", small + rng.integers(0, 10, n), type="integer", high=30)
    if draw(st.booleans()):
        kind = draw(st.sampled_from(["integer", "float"]))
        parts = [rng.integers(0, 9, n) if kind == "integer" else rng.uniform(0, 9, n)] * 3
        parts = [rng.permutation(part) for part in parts]
        for k, part in enumerate(parts):
            add(f"p{k}", part, type=kind, low=0, high=draw(st.sampled_from([9, 20])))
        add("total", sum(parts), type=kind, sum_of=("p0", "p1", "p2"), high=30)
        if draw(st.booleans()):
            add("cap", sum(parts) + 1, type=kind)
            columns[-2] = Column(**{**_fields(columns[-2]), "at_most": "cap"})
    if not columns:
        add("only", rng.uniform(0, 1, n), low=0, high=1)
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    origin = np.stack(data, axis=1).astype(dtype)
    scale = draw(st.sampled_from([0.3, 3.0, 100.0]))
    x = (origin + rng.normal(0, scale, origin.shape)).astype(dtype)
    keep = rng.random(origin.shape) < draw(st.sampled_from([0.0, 0.5, 0.9]))
    return tuple(columns), np.where(keep, origin, x), origin


def _fields(column):
    return {name: getattr(column, name) for name in column.__struct_fields__}


@settings(max_examples=150, deadline=None)
@given(tables())
def test_every_projected_row_obeys_every_constraint(table):
    columns, x, origin = table
    domain = Domain(-INF, INF, columns)
    assert domain.holds(origin, origin).all(), domain.violations(origin)
    out = domain.project(x, origin)
    assert out.dtype == x.dtype
    assert domain.holds(out, origin).all()
    check(columns, out, origin)
    np.testing.assert_array_equal(domain.project(out, origin), out)
    np.testing.assert_array_equal(domain.project(origin, origin), origin)


def table(*columns):
    return Domain(-INF, INF, columns)


def test_independent_cells_go_to_the_nearest_legal_value():
    domain = table(
        Column(name="a", low=0, high=1),
        Column(name="n", type="integer", low=0.5, high=9.5),
        Column(name="v", values=(0.0, 10.0, 100.0)),
        Column(name="up", direction="up"),
        Column(name="still", mutable=False),
    )
    origin = np.array([[0.5, 3, 10, 5, 7]])
    x = np.array([[1.5, 0.2, 56, 4, 99]])
    np.testing.assert_array_equal(domain.project(x, origin), [[1, 1, 100, 5, 7]])


def test_a_one_hot_group_moves_as_one_and_respects_frozen_members():
    names = [Column(name=k, group="colour", mutable=k != "blue") for k in ("red", "green", "blue")]
    domain = table(*names)
    red, blue = np.array([[1.0, 0, 0]]), np.array([[0.0, 0, 1]])
    np.testing.assert_array_equal(domain.project(np.array([[0.2, 0.6, 5.0]]), red), [[0, 1, 0]])
    np.testing.assert_array_equal(domain.project(np.array([[9.0, 0.6, 0.0]]), blue), blue)


def test_a_total_follows_its_parts_and_parts_follow_a_total():
    domain = table(
        Column(name="a", type="integer", low=0),
        Column(name="b", type="integer", low=0),
        Column(name="sum", type="integer", sum_of=("a", "b"), high=10),
    )
    origin = np.array([[2.0, 3, 5]])
    np.testing.assert_array_equal(domain.project(np.array([[4.0, 3, 5]]), origin), [[4, 3, 7]])
    moved = domain.project(np.array([[2.0, 3, 8]]), origin)
    assert moved[0, 2] == 8
    assert moved[0, :2].sum() == 8
    capped = domain.project(np.array([[40.0, 3, 5]]), origin)
    assert capped[0, 2] == 10


def test_a_row_that_breaks_its_own_constraints_is_reported_and_not_repaired():
    domain = table(Column(name="age", type="integer", low=0, high=120), Column(name="x"))
    data = np.array([[30.0, 1.0], [300.0, 1.0], [40.5, 1.0]])
    out = domain.project(data + 1, data)
    np.testing.assert_array_equal(out[1:], data[1:])
    assert domain.holds(out, data).tolist() == [True, False, False]
    assert domain.violations(data) == (
        "column 'age' is not a whole number from 0 to 120 in 2 rows",
    )


def test_a_missing_value_stays_missing():
    domain = table(Column(name="a", low=0, high=9), Column(name="b", low=0, high=9))
    origin = np.array([[np.nan, 1.0]])
    out = domain.project(np.array([[5.0, 4.0]]), origin)
    assert np.isnan(out[0, 0])
    assert out[0, 1] == 4
    assert domain.holds(out, origin).all()
    assert not domain.holds(np.array([[5.0, 4.0]]), origin).any()


def test_the_box_is_rounded_inwards_in_the_dtype_of_the_input():
    domain = Domain(-0.1, 0.1)
    x = np.full((1, 3), 5, np.float32)
    out = domain.project(x, x)
    assert out.dtype == np.float32
    assert (out.astype(np.float64) <= 0.1).all()
    assert domain.holds(out, x).all()
    assert not domain.holds(np.full((1, 3), np.nan, np.float32), x).any()


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ([Column(name="a"), Column(name="a")], "same name"),
        ([Column(name="a", low=2, high=1)], "no value"),
        ([Column(name="a", values=(5.0,), high=1)], "no value"),
        ([Column(name="small", at_most="bgi"), Column(name="big")], "no column"),
    ],
)
def test_columns_that_contradict_one_another_are_a_usage_error(columns, says):
    with pytest.raises(UsageError, match=says):
        table(*columns).holds(np.zeros((1, len(columns))), np.zeros((1, len(columns))))
