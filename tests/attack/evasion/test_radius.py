"""The box, the ball and the margin that searches within a radius share."""

from __future__ import annotations

import numpy as np
import pytest

from casemate.attack.domain import Domain
from casemate.attack.evasion.radius import box, into_ball, margin
from casemate.attack.measure import distances
from casemate.attack.oracle import Oracle
from tests.attack.evasion.black_box import Only
from tests.attack.models import linear, near_boundary


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_points_are_brought_within_the_radius_and_stay_where_they_are_inside(norm):
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 1, (50, 3, 7)).astype(np.float32)
    aim = (x + rng.normal(0, 1, x.shape)).astype(np.float32)
    low, high = box(Domain(0.0, 1.0), x, 0.1 if norm == "linf" else np.inf)
    near = into_ball(aim, x, 0.1, norm, low, high)
    assert near.dtype == np.float32
    assert (distances(near, x, norm) <= 0.1).all()
    assert ((near >= 0) & (near <= 1)).all()
    np.testing.assert_allclose(into_ball(near, x, 0.1, norm, low, high), near, atol=1e-6)


def test_the_margin_of_probabilities_does_not_saturate():
    whole = linear((6,), 3, scale=5.0)
    data = near_boundary(whole, 20, spread=0.4)
    logits = whole.scores
    odds = lambda x: np.exp(logits(x) - logits(x).max(axis=1, keepdims=True))  # noqa: E731
    said = []
    for kind in ("logits", "probabilities"):
        model = Only(whole, "scores")
        model.kind = kind
        if kind == "probabilities":
            whole.scores = lambda x: odds(x) / odds(x).sum(axis=1, keepdims=True)
        oracle = Oracle(model, data.x, data.y, domain=Domain(0.0, 1.0), norm="linf", eps=0.1)
        said.append(margin(oracle, data.x.copy(), data.x, data.y))
    np.testing.assert_allclose(*said, rtol=1e-6)
