"""The inner loop of white-box attacks: right, and nothing beyond one forward and one backward."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from casemate.targets.open import wrap
from casemate.targets.settings import Settings


class Counting(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)
        self.rows, self.seen = 0, 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.rows += len(x)
        self.seen = x.data_ptr()
        return self.layer(x)


@pytest.fixture
def net() -> Counting:
    return Counting()


@pytest.fixture
def model(net: Counting) -> Any:
    made = wrap(net, settings=Settings(shape=(4,)))
    net.rows = 0
    return made


def loss(logits: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return nn.functional.cross_entropy(logits, y, reduction="none")


def test_one_forward_pass_and_no_copy(net: Counting, model: Any) -> None:
    x, y = torch.rand(5, 4), torch.tensor([0, 1, 2, 0, 1])
    model.value_and_grad(x, y, loss)
    assert net.rows == 5
    assert net.seen == x.data_ptr()
    model.logits(x)
    assert net.rows == 10
    assert net.seen == x.data_ptr()
    model.jacobian(x, torch.tensor([[0, 1, 2]] * 5))
    assert net.rows == 15


def test_each_row_has_its_own_gradient(net: Counting, model: Any) -> None:
    x, y = torch.rand(5, 4), torch.tensor([0, 1, 2, 0, 1])
    _, _, together = model.value_and_grad(x, y, loss)
    alone = torch.cat([model.value_and_grad(x[i : i + 1], y[i : i + 1], loss)[2] for i in range(5)])
    assert torch.allclose(together, alone)


def test_it_works_inside_no_grad_and_leaves_nothing_behind(net: Counting, model: Any) -> None:
    x = torch.rand(2, 4)
    with torch.no_grad():
        _, _, grad = model.value_and_grad(x, torch.tensor([0, 1]), loss)
    assert grad.abs().max() > 0
    assert not x.requires_grad
    assert all(p.grad is None for p in net.parameters())


def test_a_sigmoid_of_its_own_is_asked_by_logarithm() -> None:
    class Own(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return 1 / (1 + torch.exp(-x.sum(1, keepdim=True)))

    model: Any = wrap(Own(), settings=Settings(shape=(4,)))
    assert "logarithm" in model.notes[-1]
    x = torch.rand(3, 4) - 0.5
    expected = torch.stack([-x.sum(1).exp().log1p(), -(-x.sum(1)).exp().log1p()], 1)
    assert torch.allclose(model.logits(x), expected, atol=1e-5)
