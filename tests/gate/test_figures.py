import pytest

from casemate.gate.figures import describe, distance_in, figures
from casemate.records.make import make
from casemate.records.target import Target
from casemate.records.trial import Cost, Measure, Outcome, Trial
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


def _search(distances):
    """A search for the smallest change whose inputs fell at these distances (None: never)."""
    outcomes = tuple(
        make(Outcome, index=row, label=0, clean=True, success=away is not None, distance=away)
        for row, away in enumerate(distances)
    )
    return make(
        Trial,
        id="trial-x",
        attack="evasion-fmn",
        family="evasion",
        target=make(Target, kind="model", uri="m"),
        data=make(Target, kind="dataset", uri="d", digest="sha256:0"),
        params={},
        seed=0,
        budget=None,
        norm="l2",
        eps=None,
        inputs=len(outcomes),
        clean=make(Measure, name="accuracy", value=1.0, n=len(outcomes)),
        robust=make(Measure, name="accuracy", value=0.0, n=len(outcomes)),
        cost=make(Cost),
        outcomes=outcomes,
    )


def test_a_search_for_the_smallest_change_is_compared_by_how_far_inputs_hold():
    before = figures(_search([1.0, 2.0, 3.0, 4.0]))[-1]
    assert before.name == "accuracy within 2"
    assert before.held == {0: False, 1: False, 2: True, 3: True}
    easier = figures(_search([0.5, 1.0, 1.5, 2.0]), distance_in(before.name))[-1]
    assert easier.name == before.name
    assert easier.value == 0.0


def test_a_gate_sees_that_smaller_changes_are_enough():
    from datetime import UTC, datetime

    from casemate.gate.baseline import accept
    from casemate.gate.regressions import compare, falls

    strong = _search([1.0 + row / 100 for row in range(40)])
    weak = _search([0.5 + row / 100 for row in range(40)])
    kept = accept(
        [], [strong], run="run-x", by="me", reason="r", at=datetime.now(UTC), casemate="0"
    )
    assert not falls(compare(kept, [strong]), allowed=0.0)
    (fall,) = falls(compare(kept, [weak]), allowed=0.0)
    assert "accuracy within 1.19" in fall.reason
