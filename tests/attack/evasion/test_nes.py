"""NES: near the optimum of a linear model, whose gradient it guesses rightly."""

from __future__ import annotations

import numpy as np
import pytest

from tests.attack.evasion.black_box import attack
from tests.attack.models import linear, near_boundary, optimum


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_a_linear_model_falls_a_little_beyond_its_optimum(norm):
    whole = linear((12,), 2, scale=0.3)
    data = near_boundary(whole, 40, spread=0.2)
    best = optimum(whole, data.x, data.y, norm)
    eps = float(np.median(best))
    oracle, _ = attack("evasion-nes", whole, data, 600, norm=norm, eps=eps)
    fooled = np.isfinite(oracle.distance)
    assert not fooled[best > eps].any()
    assert fooled[best < eps / 1.2].all()


def test_an_odd_rest_of_the_budget_is_not_overdrawn():
    whole = linear((12,), 2, scale=0.3)
    data = near_boundary(whole, 10, spread=0.4)
    for budget in (1, 2, 3, 4, 22, 23):
        oracle, _ = attack("evasion-nes", whole, data, budget, eps=1e-4)
        assert oracle.forward.max() <= budget
        assert oracle.forward.min() >= budget - 2


def test_rounded_scores_are_climbed_with_longer_probes():
    whole = linear((12,), 2, scale=0.3)
    data = near_boundary(whole, 30, spread=0.2)
    eps = float(2 * np.median(optimum(whole, data.x, data.y, "linf")))
    exact = whole.scores
    whole.scores = lambda x: np.round(exact(x), 1)
    counts = [
        np.isfinite(attack("evasion-nes", whole, data, 200, eps=eps, sigma=s)[0].distance).sum()
        for s in (1e-3, 0.1)
    ]
    assert counts[1] > counts[0] + 5
