"""The sparse ascent of APGD in l1."""

from __future__ import annotations

import torch

from casemate.attack.domain import Domain
from casemate.attack.evasion.apgd_l1 import _sparse, ascend
from casemate.attack.ops.losses import cross_entropy
from casemate.attack.oracle import Oracle
from tests.attack.models import linear, near_boundary


def test_steps_go_along_the_largest_cells_and_have_length_one():
    grad = torch.tensor([[4.0, -3.0, 2.0, -1.0], [1.0, 2.0, -3.0, 4.0]])
    step = _sparse(grad, torch.tensor([0.5, 0.1]))
    assert step.tolist() == [[0.5, -0.5, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]]


def test_steps_over_all_radii_add_up():
    model = linear((8,), 2)
    data = near_boundary(model, 5)
    for steps in (1, 2, 7, 10, 33):
        oracle = Oracle(
            model, torch.tensor(data.x), data.y, domain=Domain(0.0, 1.0), norm="l1", eps=1e-6
        )
        rng = torch.Generator().manual_seed(0)
        ascend(oracle, oracle.x, torch.tensor(data.y), cross_entropy, rng, 1e-6, steps)
        assert (oracle.backward == steps).all()
        assert (oracle.forward <= steps + 3).all()
