"""SimBA: one step per question, none that changes nothing."""

from __future__ import annotations

import numpy as np
import pytest

from casemate.attack.evasion.simba import _basis, _directions
from casemate.attack.measure import margins
from tests.attack.evasion.black_box import attack
from tests.attack.models import Data, linear, near_boundary, optimum


@pytest.mark.parametrize(("norm", "reach"), [("l2", 1.5), ("linf", 1.2)])
@pytest.mark.parametrize("basis", ["cells", "waves"])
def test_a_linear_model_falls_a_little_beyond_its_optimum(norm, reach, basis):
    whole = linear((1, 4, 4), 2, scale=0.3)
    data = near_boundary(whole, 40, spread=0.2)
    best = optimum(whole, data.x, data.y, norm)
    eps = float(np.median(best))
    oracle, _ = attack(
        "evasion-simba", whole, data, 600, norm=norm, eps=eps, basis=basis, step_size=eps / 3
    )
    fooled = np.isfinite(oracle.distance)
    assert not fooled[best > eps].any()
    assert fooled[best < eps / reach].all()


def test_the_waves_of_a_whole_image_are_an_orthonormal_basis():
    x = np.zeros((3 * 5 * 4, 3, 5, 4))
    assert _directions(x, "waves", 9) == 60
    basis = _basis(np.arange(60), x, "waves", 9).reshape(60, -1)
    np.testing.assert_allclose(basis @ basis.T, np.eye(60), atol=1e-12)


def test_no_question_repeats_the_present_point():
    whole = linear((9,), 2, scale=0.3)
    x = np.round(near_boundary(whole, 1, spread=0.1).x)
    data = Data(x, whole.labels(x))
    oracle, model = attack("evasion-simba", whole, data, 60, eps=0.01, norm="linf", step_size=1)
    at, *asked = (point for points in model.sent for point in points)
    assert len(asked) == oracle.forward[0] - 1
    for point in asked:
        assert (point != at).any()
        both = margins(whole.scores(np.stack([point, at])), data.y[[0, 0]])
        at = point if both[0] < both[1] else at


def test_steps_end_it_without_a_budget():
    whole = linear((1, 8, 8), 2, scale=0.3)
    data = near_boundary(whole, 5, spread=0.3)
    oracle, _ = attack("evasion-simba", whole, data, None, eps=1e-3, steps=77)
    assert (oracle.forward == 77).all()
