"""Figures and their uncertainty, against definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from casemate.attack.measure import distances, margins, share, threshold_at


def test_margins_are_true_class_less_best_other():
    scores = np.array([[1.0, 3.0, 2.0], [5.0, 0.0, 4.5]])
    assert margins(scores, np.array([1, 2])).tolist() == [1.0, -0.5]


@pytest.mark.parametrize(
    ("norm", "expected"), [("linf", 4.0), ("l2", 5.0), ("l1", 7.0), ("l0", 2.0)]
)
def test_distances(norm, expected):
    x = np.zeros((2, 1, 3))
    moved = x.copy()
    moved[1, 0, :2] = 3, -4
    assert distances(moved, x, norm).tolist() == [0.0, expected]
    assert distances(x[:0], x[:0], norm).shape == (0,)


def test_a_missing_value_that_stays_missing_has_not_moved():
    x = np.array([[np.nan, 1.0]])
    assert distances(x, x, "l2").tolist() == [0.0]


@settings(deadline=None)
@given(st.integers(1, 2000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_holds_the_figure_and_agrees_with_scipy(pair):
    from scipy.stats import binomtest

    hits, n = pair
    measure = share("accuracy", hits, n)
    reference = binomtest(hits, n).proportion_ci(method="wilson")
    assert measure.low == pytest.approx(reference.low, abs=1e-9)
    assert measure.high == pytest.approx(reference.high, abs=1e-9)
    assert measure.low <= measure.value <= measure.high


def test_nothing_measured_is_none():
    assert share("accuracy", 0, 0).value is None


@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=60),
    st.sampled_from([0.0, 0.01, 0.05, 0.1, 0.5]),
)
def test_the_threshold_alarms_on_at_most_the_rate_and_no_lower_one_would_do(scores, rate):
    scores = np.array(scores)
    negative = np.ones(len(scores), bool)
    threshold = threshold_at(scores, negative, rate)
    assert (scores >= threshold).mean() <= rate + 1e-12
    below = scores[scores < threshold]
    if len(below):
        assert (scores >= below.max()).mean() > rate
