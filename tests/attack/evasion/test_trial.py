"""What the Trial of an evasion attack says, beyond what tests/attack/test_run.py looks at."""

from __future__ import annotations

import numpy as np
import pytest

from casemate.attack.evasion.inputs import choose
from casemate.attack.evasion.trial import _reach
from casemate.attack.run import run
from tests.attack.models import linear, near_boundary


@pytest.mark.parametrize(
    ("norm", "expected"), [("linf", 2.0), ("l2", 2 * np.sqrt(8)), ("l1", 16.0), ("l0", 8.0)]
)
def test_distances_are_set_against_the_corners_of_the_box(norm, expected):
    model = linear((8,), 3)
    data = near_boundary(model, 4)._replace(lower=-1.0, upper=1.0)
    assert _reach(choose(model, data, None, gradients=True), norm) == pytest.approx(expected)


def test_an_unbounded_box_has_no_share():
    model = linear((8,), 3)
    data = near_boundary(model, 6)._replace(lower=-np.inf, upper=np.inf)
    trial = run(model, data, "evasion-deepfool")
    assert trial.measures[0].value > 0
    assert trial.measures[1].value is None


def test_nothing_right_is_nothing_attacked():
    model = linear((8,), 3)
    data = near_boundary(model, 6)
    trial = run(model, data._replace(y=(data.y + 1) % 3), "evasion-fmn")
    assert trial.clean.value == 0
    assert trial.robust.value == 0
    assert trial.measures[0].value is None
    assert trial.cost.forward == 0
    assert trial.adversarial is None


def test_thin_margins_are_said():
    model = linear((8,), 2, scale=1e-5)
    trial = run(model, near_boundary(model, 6), "evasion-pgd", params={"eps": 0.3, "steps": 3})
    assert any("margin of less than 0.0001" in note for note in trial.notes)
