"""SurFree: turning brings it nearer, question by question."""

from __future__ import annotations

import numpy as np

from casemate.attack.domain import Domain
from casemate.attack.evasion.borders import Border
from casemate.attack.evasion.surfree import _Plane
from casemate.attack.oracle import Oracle
from tests.attack.evasion.black_box import Only, attack
from tests.attack.models import linear, near_boundary, optimum


def test_labels_of_a_linear_model_lead_to_its_optimum():
    whole = linear((12,), 2, scale=0.3)
    data = near_boundary(whole, 20, spread=0.2)
    best = optimum(whole, data.x, data.y, "l2")
    oracle, _ = attack("evasion-surfree", whole, data, 2000)
    assert np.median(oracle.distance / best) < 1.03
    assert (oracle.distance / best).max() < 1.1


def test_points_of_a_plane_lie_on_the_half_circle_over_input_and_point():
    whole = linear((5,), 2, scale=0.3)
    data = near_boundary(whole, 4, spread=0.05)
    model = Only(whole, "labels")
    oracle = Oracle(model, data.x, data.y, domain=Domain(-9.0, 9.0), norm="l2", eps=None)
    rng = np.random.default_rng(0)
    at = data.x + rng.normal(0, 1, data.x.shape).astype(np.float32)
    border = Border(oracle, data.x, data.y, "l2")
    plane = _Plane(border, np.arange(4), at, rng.normal(0, 1, data.x.shape).astype(np.float32))
    plane.ask(np.arange(4), np.array([0.0, 0.5, -0.5, 1.5]))
    (sent,) = model.sent
    middle = (data.x + at) / 2
    radius = np.linalg.norm(at - data.x, axis=1) / 2
    np.testing.assert_allclose(np.linalg.norm(sent - middle, axis=1), radius, rtol=1e-4)
    np.testing.assert_allclose(sent[0], at[0], rtol=1e-4)
    away = np.linalg.norm(sent - data.x, axis=1)
    np.testing.assert_allclose(away, 2 * radius * np.cos([0, 0.5, 0.5, 1.5]), rtol=1e-4)


def test_more_questions_bring_it_nearer():
    whole = linear((1, 8, 8), 3, scale=0.3)
    data = near_boundary(whole, 10, spread=0.3)
    runs = [attack("evasion-surfree", whole, data, budget)[0] for budget in (60, 200, 800)]
    medians = [float(np.median(run.distance)) for run in runs]
    assert medians[0] > medians[1] > medians[2]
    assert [int(run.forward.min()) for run in runs] == [60, 200, 800]
