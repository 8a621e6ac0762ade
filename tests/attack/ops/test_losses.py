"""Losses against their formulas."""

from __future__ import annotations

import torch

from casemate.attack.ops.losses import cross_entropy, margin, targeted_dlr, targeted_margin

LOGITS = torch.tensor([[4.0, 1.0, 3.0, -2.0], [0.0, 2.0, 5.0, 1.0]])
Y = torch.tensor([0, 1])


def test_margin_is_positive_exactly_when_fooled():
    assert margin(LOGITS, Y).tolist() == [-1.0, 3.0]


def test_cross_entropy_is_per_row():
    expected = LOGITS.logsumexp(1) - LOGITS[[0, 1], Y]
    assert torch.allclose(cross_entropy(LOGITS, Y), expected)


def test_targeted_losses():
    pair = torch.tensor([[0, 2], [1, 3]])
    assert targeted_margin(LOGITS, pair).tolist() == [-1.0, -1.0]
    scales = torch.tensor([4 - 0.5 * (1 - 2), 5 - 0.5 * (1 + 0)])
    assert torch.allclose(targeted_dlr(LOGITS, pair), torch.tensor([-1.0, -1.0]) / scales)


def test_dlr_ignores_the_scale_of_the_logits():
    pair = torch.tensor([[0, 2], [1, 3]])
    assert torch.allclose(targeted_dlr(LOGITS * 1e3, pair), targeted_dlr(LOGITS, pair))
