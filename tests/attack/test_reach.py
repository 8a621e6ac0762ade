"""Putting rows right: bounds rounded inward, nearest values, groups, retreats."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from casemate.attack.columns import compile_rules, holds
from casemate.attack.reach import inward, place, project, reach
from casemate.records.column import Column

INF = float("inf")


@given(st.floats(-1e30, 1e30), st.sampled_from([1, -1]))
def test_a_bound_is_rounded_into_the_box(bound, side):
    got = inward(bound, np.dtype(np.float32), side)
    assert got.dtype == np.float32
    assert (float(got) - bound) * side >= 0
    outward = np.nextafter(got, np.float32(-side * INF))
    assert (float(outward) - bound) * side < 0


def test_infinite_bounds_stay():
    assert inward(-INF, np.dtype(np.float32), 1) == -INF


def test_the_nearest_of_few_values_within_reach():
    rules = compile_rules([Column(name="v", values=(0.0, 1.0, 5.0, 9.0))], -INF, INF)
    value = np.array([-4.0, 0.4, 3.0, 8.0, 100.0])
    ends = np.full(5, -INF), np.full(5, INF)
    assert place(rules, 0, value, *ends).tolist() == [0, 0, 1, 9, 9]
    assert place(rules, 0, value, np.full(5, 1.0), np.full(5, 5.0)).tolist() == [1, 1, 1, 5, 5]


def test_reach_follows_mutability_and_direction():
    rules = compile_rules(
        [
            Column(name="still", mutable=False, low=0, high=9),
            Column(name="up", direction="up", low=0, high=9),
            Column(name="down", direction="down", low=0, high=9),
        ],
        -INF,
        INF,
    )
    low, high = reach(rules, np.array([[3.0, 4.0, 5.0]]))
    assert low.tolist() == [[3, 4, 0]]
    assert high.tolist() == [[3, 9, 5]]


def test_a_move_that_cannot_be_put_right_is_taken_back_in_part():
    # The total is frozen at 10 and both parts are whole: what one gains the other must lose.
    rules = compile_rules(
        [
            Column(name="total", type="integer", mutable=False, sum_of=("a", "b")),
            Column(name="a", type="integer", low=0, high=10),
            Column(name="b", type="integer", low=4, high=10),
        ],
        -INF,
        INF,
    )
    origin = np.array([[10.0, 3, 7]])
    out = project(rules, np.array([[10.0, 5, 7]]), origin)
    assert holds(rules, out, origin).all()
    assert out[0, 1] + out[0, 2] == 10
    limits = compile_rules(
        [Column(name="a", type="integer", at_most="b"), Column(name="b", mutable=False)], -INF, INF
    )
    assert project(limits, np.array([[50.0, 8.5]]), np.array([[2.0, 8.5]])).tolist() == [[8, 8.5]]
