"""Records are built strictly: names, types and finite numbers."""

import math

import pytest

from casemate.errors import UsageError
from casemate.records.make import make, new_id
from casemate.records.target import Target
from casemate.records.trial import Measure


def test_a_wrong_name_is_answered_with_the_nearest():
    with pytest.raises(UsageError) as caught:
        make(Target, kind="model", ury="x")
    assert "uri" in caught.value.hint


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_no_record_holds_nan_or_infinity(value):
    with pytest.raises(UsageError, match="value"):
        make(Measure, name="accuracy", value=value)


def test_types_are_checked():
    with pytest.raises(UsageError):
        make(Target, kind="planet", uri="x")
    with pytest.raises(UsageError):
        make(Measure, name="accuracy", value="0.5")


def test_ids_sort_by_time_and_differ():
    ids = [new_id("run") for _ in range(500)]
    assert len(set(ids)) == 500
    assert all(len(one) == len("run-") + 26 for one in ids)
    assert [one[:14] for one in ids] == sorted(one[:14] for one in ids)
