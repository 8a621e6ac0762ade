"""Sign-OPT: a descent on the distance, each step of which pays."""

from __future__ import annotations

import numpy as np

from casemate.attack.domain import Domain
from casemate.attack.evasion.borders import Border
from casemate.attack.evasion.sign_opt import LOOKS, SEARCH, _descend
from casemate.attack.oracle import Oracle
from tests.attack.evasion.black_box import Only, attack
from tests.attack.models import linear, near_boundary, optimum


def test_labels_of_a_linear_model_lead_to_its_optimum():
    whole = linear((12,), 2, scale=0.3)
    data = near_boundary(whole, 20, spread=0.2)
    best = optimum(whole, data.x, data.y, "l2")
    oracle, _ = attack("evasion-sign-opt", whole, data, 3000)
    assert np.median(oracle.distance / best) < 1.03
    assert (oracle.distance / best).max() < 1.1


def test_a_line_search_along_the_true_normal_halves_the_excess_and_one_against_it_stays():
    whole = linear((12,), 2, scale=0.3)
    data = near_boundary(whole, 10, spread=0.2)
    best = optimum(whole, data.x, data.y, "l2")
    oracle = Oracle(
        Only(whole, "labels"), data.x, data.y, domain=Domain(-9.0, 9.0), norm="l2", eps=None
    )
    border = Border(oracle, data.x, data.y, "l2")
    rows, at = border.start(1, np.random.default_rng(0), steps=20)
    before = border.distance(rows, at)
    weight = whole.module[1].weight.double().numpy()
    normal = (weight[1 - data.y] - weight[data.y]).astype(np.float32)
    nearer, _ = _descend(border, rows, at, normal, np.full(10, 0.2))
    after = border.distance(rows, nearer)
    assert (after >= best * 0.999).all()
    assert (after - best < 0.5 * (before - best) + 0.02 * best).all()
    same, length = _descend(border, rows, at, -normal, np.full(10, 0.2))
    assert (border.distance(rows, same) <= before).all()
    assert (length < 0.01).all()


def test_the_budget_is_used_up_to_a_last_search():
    whole = linear((1, 8, 8), 3, scale=0.3)
    data = near_boundary(whole, 8, spread=0.3)
    oracle, _ = attack("evasion-sign-opt", whole, data, 444, steps=100)
    assert (oracle.forward > 444 - 2 * (LOOKS + SEARCH)).all()
