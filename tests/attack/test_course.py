"""How a run ends, and that its Trial says so."""

from __future__ import annotations

import pytest

from casemate.attack.course import Course
from casemate.catalog import loader
from casemate.catalog.entries import Attack
from casemate.errors import BudgetSpent, TargetError, UsageError
from casemate.records.make import make
from casemate.records.trial import Measure
from tests.attack.models import linear, near_boundary


@pytest.mark.parametrize(
    ("error", "state", "note"),
    [
        (None, "complete", None),
        (BudgetSpent("the budget is spent"), "budget-spent", "the budget is spent"),
        (KeyboardInterrupt(), "interrupted", "interrupted; what was found until then is kept"),
        (TargetError("gone"), "failed", "the target failed: gone"),
    ],
)
def test_what_ends_a_run_is_in_its_trial(error, state, note):
    model = linear()
    entry = loader.entry("attacks", "extraction-surrogate", Attack)
    with Course(["known before"]) as course:
        if error is not None:
            raise error
    trial = course.trial(
        entry, model, near_boundary(model), forward=7, queries=7, params={}, seed=1, budget=None,
        inputs=3, clean=make(Measure, name="accuracy", value=1.0), robust=None,
    )  # fmt: skip
    assert (trial.state, trial.family, trial.cost.queries) == (state, "extraction", 7)
    assert trial.notes == ("known before", *([note] if note else []))


def test_a_usage_error_is_not_swallowed():
    with pytest.raises(UsageError), Course():
        raise UsageError("no")
