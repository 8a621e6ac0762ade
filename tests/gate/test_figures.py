import pytest

from casemate.gate.figures import describe, figures
from casemate.records.trial import Measure
from tests.gate.made import trial


def test_rows_are_told_where_they_give_the_measured_share():
    (figure,) = figures(trial([True, True, False, True]))
    assert figure.held == {0: True, 1: True, 2: False, 3: True}
    assert (figure.value, figure.n, figure.holding) == (0.75, 4, 3)


def test_recall_rests_on_the_positive_rows():
    (figure,) = figures(trial([True, False, True, True], name="recall-at-fpr", labels=[1, 1, 0, 0]))
    assert figure.held == {0: True, 1: False}


def test_outcomes_that_contradict_the_share_are_not_used():
    other = Measure(name="accuracy", value=0.9, n=4)
    (figure,) = figures(trial([True, True, False, True], robust=other))
    assert figure.held == {}
    assert figure.value == 0.9


def test_fidelity_counts_against_the_defender():
    stolen = (Measure(name="fidelity", value=0.8, n=100), Measure(name="queries", value=3.0))
    found = figures(trial([], robust=None, measures=stolen))
    assert [f.name for f in found] == ["fidelity"]
    assert found[0].holding == 20


@pytest.mark.parametrize(
    ("norm", "eps", "text"),
    [("linf", 0.1, "a (linf, eps 0.1)"), ("l2", None, "a (l2)"), (None, None, "a")],
)
def test_description(norm, eps, text):
    assert describe("a", norm, eps) == text
