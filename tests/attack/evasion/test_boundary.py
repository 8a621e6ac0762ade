"""Boundary attack: from labels to the known optimum, one question at a time."""

from __future__ import annotations

import numpy as np

from tests.attack.evasion.black_box import attack
from tests.attack.models import linear, near_boundary, optimum


def test_labels_of_a_linear_model_lead_near_its_optimum():
    whole = linear((12,), 2, scale=0.3)
    data = near_boundary(whole, 20, spread=0.2)
    best = optimum(whole, data.x, data.y, "l2")
    oracle, _ = attack("evasion-boundary", whole, data, 3000)
    assert np.median(oracle.distance / best) < 1.05
    assert (oracle.distance / best).max() < 1.2


def test_more_questions_bring_it_nearer_and_the_budget_is_used():
    whole = linear((1, 8, 8), 3, scale=0.3)
    data = near_boundary(whole, 10, spread=0.3)
    runs = [attack("evasion-boundary", whole, data, budget)[0] for budget in (60, 200, 800)]
    medians = [float(np.median(run.distance)) for run in runs]
    assert medians[0] > medians[1] > medians[2]
    assert [int(run.forward.min()) for run in runs] == [60, 200, 800]


def test_each_question_is_about_each_input_once():
    whole = linear((1, 8, 8), 3, scale=0.3)
    data = near_boundary(whole, 10, spread=0.3)
    _, model = attack("evasion-boundary", whole, data, 100)
    assert max(map(len, model.sent)) == 10
