"""The direction of a border, from labels."""

from __future__ import annotations

import numpy as np

from casemate.attack.domain import Domain
from casemate.attack.evasion.borders import Border
from casemate.attack.evasion.normals import normals
from casemate.attack.oracle import Oracle
from tests.attack.evasion.black_box import Only
from tests.attack.models import linear, near_boundary


def test_many_questions_find_the_normal_of_a_linear_model():
    whole = linear((12,), 2, scale=0.3)
    data = near_boundary(whole, 5, spread=0.2)
    oracle = Oracle(
        Only(whole, "labels"), data.x, data.y, domain=Domain(0.0, 1.0), norm="l2", eps=None
    )
    border = Border(oracle, data.x, data.y, "l2")
    rows, at = border.start(4, np.random.default_rng(0), steps=20)
    count = np.array([50, 200, 800, 3200, 3200])
    found = normals(border, rows, at, count, np.full(5, 0.05), 0, np.random.default_rng(1))
    weight = whole.module[1].weight.double().numpy()
    true = (weight[1 - data.y] - weight[data.y]) / np.linalg.norm(weight[1] - weight[0])
    found = found / np.linalg.norm(found, axis=1)[:, None]
    cosine = (found * true).sum(axis=1)
    assert cosine[0] > 0.7
    assert (cosine[2:] > 0.95).all()
    assert (oracle.forward > count).all()
