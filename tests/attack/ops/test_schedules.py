"""Schedules against the papers' numbers."""

from __future__ import annotations

import pytest

from casemate.attack.ops.schedules import checkpoints, cosine


def test_checkpoints_for_a_hundred_steps():
    assert list(checkpoints(100)) == [22, 41, 57, 70, 80, 87, 93, 99]


@pytest.mark.parametrize("steps", [1, 2, 5, 10, 37, 1000])
def test_checkpoints_never_stand_still(steps):
    found = checkpoints(steps)
    assert all(period >= 1 for period in found.values())
    assert all(at <= steps for at in found)


def test_cosine_runs_from_start_to_end():
    assert cosine(1.0, 0.1, 0, 10) == pytest.approx(1.0)
    assert cosine(1.0, 0.1, 5, 10) == pytest.approx(0.55)
    assert cosine(1.0, 0.1, 10, 10) == pytest.approx(0.1)
