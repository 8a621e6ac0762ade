"""The fast minimum-norm attack, in linf, l2, l1 and l0."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from casemate.attack.measure import ORDER
from casemate.attack.ops.balls import l1_box, like, size
from casemate.attack.ops.losses import margin
from casemate.attack.ops.schedules import cosine

if TYPE_CHECKING:
    from casemate.attack.questions import Gradients

LAST_STEP = 0.01
"""Length of the last step, as a share of the first."""
LAST_GAMMA = 0.001
DUAL = {"linf": 1.0, "l2": 2.0, "l1": float("inf")}
_TINY = 1e-12


def fmn(
    oracle: Gradients,
    x: torch.Tensor,
    y: torch.Tensor,
    *,
    norm: str,
    steps: int,
    step_size: float,
    gamma: float,
) -> None:
    """Look for the smallest change that fools, in a ball that shrinks and grows about the boundary.

    Pintor et al. 2021, "Fast minimum-norm adversarial attacks through adaptive norm constraints"
    (arXiv 2102.12827). White-box. We differ where the box binds, which the paper leaves to a clip:
    outside linf, cells that cannot move take no part in the step; in l1 the projection is onto ball
    and box together; and before a row is first fooled its radius grows at least as fast as after.

    Args:
        oracle: The door to the model.
        x: Inputs (n, ...).
        y: True classes (n,).
        norm: `linf`, `l2`, `l1` or `l0`.
        steps: Gradient steps.
        step_size: l2 length of the first step, in input units; it falls to a hundredth of that.
        gamma: Relative change of the radius at the first step; it falls to 0.001.
    """
    low, high = oracle.box()
    adv = x
    radius = x.new_full((len(x),), 1.0 if norm == "l0" else torch.inf)
    ever = torch.zeros_like(y, dtype=torch.bool)
    for step in range(steps):
        _, value, grad = oracle.value_and_grad(adv, y, margin)
        best = x.new_tensor(oracle.distance[oracle.rows])
        ever |= value > 0
        adv, x, y, low, high, radius, ever, value, grad, best = oracle.shed(
            adv, x, y, low, high, radius, ever, value, grad, best
        )
        if not len(x):
            return
        moved = adv - x
        if norm != "linf":  # cells that stand at the bound the gradient points to cannot move
            grad.mul_((torch.add(adv, grad).clamp_(low, high) != adv).to(grad.dtype))
        pace = cosine(gamma, LAST_GAMMA, step, steps)
        radius = _radius(norm, radius, moved, value, grad, ever, best, pace)
        slope = size(grad, 2).clamp_min_(_TINY)
        length = cosine(step_size, step_size * LAST_STEP, step, steps) / slope
        moved.addcmul_(grad, like(length, grad))
        if norm == "l1":
            moved = l1_box(moved, radius, low - x, high - x)
        else:
            _shorten(moved, radius, norm)
        adv = moved.add_(x).clamp_(low, high)
    oracle.logits(adv)


def _radius(
    norm: str,
    radius: torch.Tensor,
    moved: torch.Tensor,
    value: torch.Tensor,
    grad: torch.Tensor,
    ever: torch.Tensor,
    best: torch.Tensor,
    pace: float,
) -> torch.Tensor:
    """Shrink where the model is fooled, grow where it is not; guess by slope until it first is."""
    fooled = value > 0
    if norm == "l0":
        smaller = torch.minimum(torch.minimum(radius - 1, (radius * (1 - pace)).floor()), best)
        larger = torch.maximum(radius + 1, (radius * (1 + pace)).floor())
        return torch.where(fooled, smaller, larger).clamp_min_(0)
    guess = size(moved, ORDER[norm]) + value.abs() / size(grad, DUAL[norm]).clamp_min_(_TINY)
    larger = radius * (1 + pace)
    guess = torch.where(radius.isfinite(), torch.maximum(guess, larger), guess)
    larger = torch.where(ever, larger, guess)
    return torch.where(fooled, torch.minimum(radius * (1 - pace), best), larger)


def _shorten(moved: torch.Tensor, radius: torch.Tensor, norm: str) -> None:
    """Project moves, in place, onto the ball of each row's own radius."""
    if norm == "linf":
        limit = like(radius, moved)
        torch.minimum(moved, limit, out=moved)
        torch.maximum(moved, -limit, out=moved)
    elif norm == "l2":
        moved.mul_(like((radius / size(moved, 2).clamp_min_(_TINY)).clamp_max_(1.0), moved))
    else:
        flat = moved.flatten(1)
        kept = radius.long().clamp(0, flat.shape[1])
        ranked = flat.abs().topk(max(int(kept.max()), 1), dim=1).values
        least = ranked.gather(1, (kept - 1).clamp_min(0).unsqueeze(1))
        flat.masked_fill_((flat.abs() < least) | (kept == 0).unsqueeze(1), 0)
