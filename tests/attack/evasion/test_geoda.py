"""GeoDA: exact where the border is flat, which is what it takes it for."""

from __future__ import annotations

import numpy as np
import pytest

from casemate.attack.evasion.geoda import SEARCH
from tests.attack.evasion.black_box import attack
from tests.attack.models import Data, linear, near_boundary, optimum


@pytest.mark.parametrize(("norm", "tolerance"), [("l2", 1.03), ("linf", 1.15)])
def test_labels_of_a_linear_model_lead_to_its_optimum(norm, tolerance):
    whole = linear((12,), 2, scale=0.3)
    data = near_boundary(whole, 20, spread=0.2)
    best = optimum(whole, data.x, data.y, norm)
    oracle, _ = attack("evasion-geoda", whole, data, 2000, norm=norm)
    assert np.median(oracle.distance / best) < tolerance
    assert (oracle.distance / best).max() < 1 + 2 * (tolerance - 1)


def test_the_budget_is_used_up_to_a_last_search():
    whole = linear((1, 8, 8), 3, scale=0.3)
    data = near_boundary(whole, 8, spread=0.3)
    oracle, _ = attack("evasion-geoda", whole, data, 333)
    assert (oracle.forward > 333 - 2 * SEARCH).all()


def test_a_curved_border_leaves_it_with_the_point_it_had():
    class Ball:  # wrong inside a small ball only: the normal at its rim leads past it
        shape, classes = (3,), 2

        def labels(self, x):
            return (np.linalg.norm(x - 0.8, axis=1) < 0.1).astype(np.int64)

    x = np.stack([np.full(3, 0.2), np.full(3, 0.8)]).astype(np.float32)
    oracle, _ = attack("evasion-geoda", Ball(), Data(x, Ball().labels(x)), 400)
    nearest = 0.6 * 3**0.5 - 0.1
    assert nearest * 0.999 <= oracle.distance[0] <= nearest * 1.05
