import pytest

from casemate.gate.regressions import compare, doubts, falls
from casemate.records.target import Target
from casemate.records.trial import Measure
from tests.gate.made import DATA, trial
from tests.gate.test_baseline import accepted

MOSTLY = [True] * 90 + [False] * 10
LESS = [True] * 75 + [False] * 25
OTHER_DATA = Target(kind="dataset", uri="test.npz", digest="sha256:" + "e" * 64)


def found(before, now, allowed=0.0):
    return falls(compare(accepted(trials=before), now), allowed=allowed)


def test_the_same_again_is_no_regression():
    assert found([trial(MOSTLY)], [trial(MOSTLY)]) == []


def test_a_fall_on_the_same_inputs_is_told_with_its_numbers():
    (fall,) = found([trial(MOSTLY)], [trial(LESS)])
    assert "fell from 90.0% to 75.0% on the same 100 inputs" in fall.reason
    assert fall.comparison.change.paired


def test_a_rise_is_no_regression():
    assert found([trial(LESS)], [trial(MOSTLY)]) == []


def test_one_lost_input_is_chance_five_are_not():
    held = [True] * 100
    assert found([trial(held)], [trial([False, *held[1:]])]) == []
    assert len(found([trial(held)], [trial([False] * 5 + held[5:])])) == 1


def test_churn_without_a_fall_is_no_regression():
    """Twelve lost and eight won back: a fall of four points that chance explains."""
    before = [True] * 12 + [False] * 8 + [True] * 80
    now = [False] * 12 + [True] * 8 + [True] * 80
    assert found([trial(before)], [trial(now)]) == []


def test_the_allowance_has_to_be_exceeded_beyond_chance():
    assert found([trial(MOSTLY)], [trial(LESS)], allowed=0.05) != []
    assert found([trial(MOSTLY)], [trial(LESS)], allowed=0.14) == []
    assert found([trial(MOSTLY)], [trial(LESS)], allowed=0.2) == []


def test_other_data_is_compared_as_two_samples():
    (fall,) = found([trial(MOSTLY)], [trial(LESS[::-1], data=OTHER_DATA)])
    assert not fall.comparison.change.paired
    small = ([True] * 9 + [False], [True] * 7 + [False] * 3)
    assert found([trial(small[0])], [trial(small[1], data=OTHER_DATA)]) == []


def test_rows_in_common_are_compared_when_a_run_attacks_fewer():
    now = trial(LESS[25:], rows=list(range(25, 100)))
    (comparison,) = compare(accepted(trials=[trial(MOSTLY)]), [now])
    assert comparison.change.paired
    assert comparison.change.n == 75


def test_inputs_an_attack_did_not_finish_neither_pass_nor_fail():
    """Ten unfinished among a hundred could hide a fall; two could not; a fall stays a fall."""
    baseline = accepted(trials=[trial(MOSTLY)])
    for now, doubtful, fell in (
        ([None] * 10 + [True] * 80 + [False] * 10, True, False),
        ([None] * 2 + [True] * 88 + [False] * 10, False, False),
        ([None] * 10 + [False] * 20 + [True] * 60 + [False] * 10, False, True),
    ):
        comparisons = compare(baseline, [trial(now)])
        assert bool(doubts(comparisons, allowed=0.0)) is doubtful
        assert bool(falls(comparisons, allowed=0.0)) is fell


def test_inputs_unfinished_in_the_baseline_are_not_held_against_the_model():
    baseline = accepted(trials=[trial([None] * 30 + [True] * 70)])
    for data in (DATA, OTHER_DATA):
        comparisons = compare(baseline, [trial([False] * 30 + [True] * 70, data=data)])
        assert falls(comparisons, allowed=0.0) == []


def test_a_higher_fidelity_is_a_regression():
    def copy(value):
        return trial([], robust=None, measures=(Measure(name="fidelity", value=value, n=500),))

    (fall,) = found([copy(0.6)], [copy(0.8)])
    assert "fidelity rose from 60.0% to 80.0%" in fall.reason
    assert found([copy(0.8)], [copy(0.6)]) == []


def test_looking_at_twenty_figures_does_not_make_one_chance_fall_an_alarm():
    """Five of five changes lost has p = 0.031: enough alone, not as one of twenty."""
    steady = [trial(MOSTLY, eps=i / 100) for i in range(1, 20)]
    held = [True] * 100
    lost = [False] * 5 + held[5:]
    assert len(found([trial(held)], [trial(lost)])) == 1
    assert found([*steady, trial(held, eps=0.5)], [*steady, trial(lost, eps=0.5)]) == []


@pytest.mark.parametrize(
    ("now", "says"),
    [
        ([], "did not try it"),
        ([trial(LESS, attack="evasion-fgsm")], "did not try it"),
        ([trial(LESS, target=Target(kind="model", uri="torch:other.py:load"))], "did not try it"),
        ([trial(LESS, eps=0.2)], "no evasion-pgd (linf, eps 0.1) with that norm and radius"),
        ([trial(LESS, params={"steps": 10})], "other settings: steps 40 -> 10"),
        ([trial(LESS, budget=100)], "other settings: budget None -> 100"),
        ([trial(LESS, state="interrupted")], "did not come to its end"),
        ([trial(LESS, robust=Measure(name="accuracy", value=None))], "no accuracy to compare"),
        (
            [trial(LESS, outcomes=False, robust=Measure(name="accuracy", value=0.5))],
            "does not say how many inputs",
        ),
    ],
)
def test_what_cannot_be_compared_is_said(now, says):
    (comparison,) = compare(accepted(trials=[trial(MOSTLY)]), now)
    assert comparison.change is None
    assert says in comparison.problem
