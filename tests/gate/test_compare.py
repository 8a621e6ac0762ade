"""The statistics against scipy, against worked examples, and against their own promises."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from casemate.gate.compare import holm, paired, unpaired, wilson


def rows(both, lost, gained, neither):
    before = [True] * (both + lost) + [False] * (gained + neither)
    now = [True] * both + [False] * lost + [True] * gained + [False] * neither
    return before, now


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 30), st.integers(0, 30))
def test_paired_p_value_is_the_exact_binomial_one(both, lost, gained, neither):
    if both + lost + gained + neither == 0:
        return
    change = paired(*rows(both, lost, gained, neither))
    if lost + gained:
        right = stats.binomtest(lost, lost + gained, alternative="greater").pvalue
        assert change.p == pytest.approx(right, rel=1e-9)
    else:
        assert change.p == pytest.approx(1.0)


@given(st.data())
def test_unpaired_p_value_is_the_exact_one_of_fisher(data):
    n1, n2 = data.draw(st.integers(1, 60)), data.draw(st.integers(1, 60))
    k1, k2 = data.draw(st.integers(0, n1)), data.draw(st.integers(0, n2))
    right = stats.fisher_exact([[k1, n1 - k1], [k2, n2 - k2]], alternative="greater").pvalue
    assert unpaired(k1, n1, k2, n2).p == pytest.approx(right, rel=1e-9)


@given(st.integers(1, 500), st.data())
def test_wilson_agrees_with_scipy(n, data):
    k = data.draw(st.integers(0, n))
    right = stats.binomtest(k, n).proportion_ci(0.90, method="wilson")
    low, high = wilson(k, n)
    assert low == pytest.approx(right.low, abs=1e-9)
    assert high == pytest.approx(right.high, abs=1e-9)


def test_newcombe_unpaired_interval_of_the_published_example():
    """Newcombe 1998, example (a), 56/70 and 48/80: 95 % interval 0.0524 to 0.3339 by method 10."""
    low1, _ = wilson(56, 70, 1.959964)
    _, high2 = wilson(48, 80, 1.959964)
    assert 0.2 - math.hypot(0.8 - low1, high2 - 0.6) == pytest.approx(0.0524, abs=1e-4)
    assert 0.0524 < unpaired(56, 70, 48, 80).least < 0.2


def test_newcombe_paired_interval_narrows_with_the_correlation():
    """The same margins: where the same inputs held both times the fall is known more exactly."""
    close = paired(*rows(60, 10, 0, 30))
    loose = paired(*rows(42, 28, 18, 12))
    assert close.drop == pytest.approx(loose.drop)
    assert close.least > loose.least
    assert close.least > 0


def test_false_alarms_are_as_rare_as_promised():
    """Of two measurements of an unchanged model at most 5 % give a p-value of 5 % or less."""
    rng = random.Random(7)
    alarms = 0
    for _ in range(600):
        before = [rng.random() < 0.7 for _ in range(200)]
        now = [b if rng.random() < 0.9 else rng.random() < 0.7 for b in before]
        alarms += paired(before, now).p <= 0.05
    assert alarms / 600 <= 0.05


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []
    assert holm([0.9, 0.8]) == [1.0, 1.0]
