"""Curves against what can be worked out by hand."""

import pytest

from casemate.export.curves import MAX_POINTS, counted, fooled_within, quantile, robustness
from casemate.records.make import make
from casemate.records.trial import Cost, Outcome
from tests.export.bundles import share, trial


def outcome(index, distance, *, clean=True, label=0, queries=0, success=None):
    fooled = distance is not None if success is None else success
    return make(
        Outcome,
        index=index,
        label=label,
        clean=clean,
        success=fooled,
        distance=distance,
        queries=queries,
    )


def of(*outcomes, eps=None, **changes):
    return trial("evasion-fmn", eps=eps, n=len(outcomes), outcomes=outcomes, **changes)


def shares(points):
    return [(one.x, one.share) for one in points]


def test_the_curve_falls_at_each_distance_and_starts_at_what_the_model_has_right():
    rows = [
        outcome(0, 0.1),
        outcome(1, 0.2),
        outcome(2, None),
        outcome(3, 0.0, clean=False, success=True),
    ]
    curve = robustness([of(*rows)], "linf")
    assert shares(curve.worst) == [(0.0, 0.75), (0.1, 0.5), (0.2, 0.25)]
    assert curve.n == 4
    assert curve.lines[0][0] == "evasion-fmn"


def test_the_union_takes_the_worst_case_of_each_input():
    first = of(outcome(0, 0.3), outcome(1, None))
    second = of(outcome(0, None), outcome(1, 0.1))
    curve = robustness([first, second], "linf")
    assert shares(curve.worst) == [(0.0, 1.0), (0.1, 0.5), (0.3, 0.0)]


def test_attacks_on_different_inputs_are_drawn_over_all_of_them():
    curve = robustness([of(outcome(0, 0.1)), of(outcome(5, None))], "linf")
    assert curve.n == 2
    assert curve.worst[-1].share == 0.5


def test_an_attack_at_a_fixed_radius_is_a_dot_there():
    fixed = of(outcome(0, 0.1), outcome(1, None), eps=0.1)
    curve = robustness([fixed], "linf")
    assert curve.lines == []
    assert (curve.dots[0].point.x, curve.dots[0].point.share) == (0.1, 0.5)
    assert curve.worst[-1].x == 0.1


def test_an_unknown_outcome_counts_as_holding_as_in_the_trials_own_figure():
    rows = [outcome(0, 0.1), make(Outcome, index=1, label=0, clean=True, success=None)]
    assert shares(robustness([of(*rows)], "linf").worst) == [(0.0, 1.0), (0.1, 0.5)]


def test_inputs_no_search_tried_do_not_look_safe_at_small_radii():
    search = of(*(outcome(i, 0.01) for i in range(10)))
    fixed = of(*(outcome(i, 0.1) for i in range(15)), eps=0.1)
    curve = robustness([search, fixed], "linf")
    assert curve.n == 10
    assert shares(curve.worst)[:2] == [(0.0, 1.0), (0.01, 0.0)]


def test_one_small_trial_does_not_shrink_the_curve_to_its_few_inputs():
    search = of(*(outcome(i, 0.01) for i in range(100)))
    small = of(*(outcome(i, 0.1) for i in range(10)), eps=0.1)
    assert robustness([search, small], "linf").n == 100
    large = of(*(outcome(i, 0.1) for i in range(60)), eps=0.1)
    assert robustness([search, large], "linf").n == 60


def test_without_a_search_the_curve_is_known_at_the_radii_alone():
    rows = [outcome(0, 0.03), outcome(1, 0.09), outcome(2, None)]
    curve = robustness([of(*rows, eps=0.1), of(*rows, eps=0.2)], "linf")
    assert not curve.known_between
    assert [one.x for one in curve.worst] == [0.0, 0.1, 0.2]


def test_recall_counts_the_rare_class_alone():
    rows = [outcome(0, 0.1, label=1), outcome(1, 0.2, label=0), outcome(2, None, label=1)]
    found = of(*rows, clean=share("recall-at-fpr", 2, 2))
    assert [one.index for one in counted(found)] == [0, 2]
    assert shares(robustness([found], "linf").worst) == [(0.0, 1.0), (0.1, 0.5)]


def test_the_interval_holds_the_share_and_is_wilsons():
    rows = [outcome(i, 0.1 if i < 50 else None) for i in range(100)]
    last = robustness([of(*rows)], "linf").worst[-1]
    assert last.share == 0.5
    assert (last.low, last.high) == pytest.approx((0.4038, 0.5962), abs=1e-4)


def test_a_large_trial_stays_a_small_curve():
    rows = [outcome(i, 0.001 * (i + 1)) for i in range(3000)]
    curve = robustness([of(*rows)], "linf")
    assert len(curve.worst) <= MAX_POINTS
    assert curve.worst[0].share == 1.0


def test_another_norm_is_another_curve():
    assert robustness([of(outcome(0, 0.1))], "l2") is None


def test_queries_are_counted_against_inputs_the_model_had_right():
    rows = [
        outcome(0, 0.1, queries=30),
        outcome(1, 0.1, queries=10),
        outcome(2, None, queries=99),
        outcome(3, 0.0, clean=False, success=True, queries=1),
    ]
    points = fooled_within(of(*rows, cost=make(Cost, forward=140, queries=140)))
    assert points == [(10.0, pytest.approx(1 / 3)), (30.0, pytest.approx(2 / 3))]


def test_a_search_that_spends_its_allowance_on_each_input_has_no_cost_curve():
    rows = [outcome(i, 0.1, queries=1000 - i) for i in range(20)]
    assert fooled_within(of(*rows, cost=make(Cost, queries=20_000))) == []
    assert len(fooled_within(of(*rows, eps=0.1, cost=make(Cost, queries=20_000)))) == 20


def test_queries_of_an_attack_with_gradients_are_no_outsiders_cost():
    assert fooled_within(of(outcome(0, 0.1, queries=5), cost=make(Cost, backward=3))) == []


@pytest.mark.parametrize(
    ("values", "part", "expected"),
    [([], 0.5, None), ([3], 0.5, 3), ([1, 2, 3, 4], 0.5, 2), ([5, 1], 1.0, 5), ([5, 1], 0.0, 1)],
)
def test_a_quantile_is_one_of_the_values(values, part, expected):
    assert quantile(values, part) == expected
