"""The l1 ascent of Auto-PGD: sparse steps whose share of cells adapts.

Called by `casemate.attack.evasion.apgd`, which holds the attacks themselves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from casemate.attack.ops.balls import like, project, size
from casemate.attack.ops.starts import scatter

if TYPE_CHECKING:
    from casemate.attack.questions import Gradients
    from casemate.targets.capabilities import Loss

RADII = ((3.0, 0.3), (2.0, 0.3), (1.0, 0.4))
"""Multiples of eps climbed in turn, each with its share of the steps."""
FIRST_SHARE, SHRINK, STILL, SHORTEST = 0.2, 1.5, 0.95, 10.0
"""Cells of the first steps; divisor of the step; ratio of cells that counts as still; its least."""


def ascend(
    oracle: Gradients,
    x: torch.Tensor,
    y: torch.Tensor,
    loss: Loss,
    rng: torch.Generator,
    eps: float,
    steps: int,
) -> None:
    """Climb in balls of shrinking radius, each started from the best point of the one before.

    Args:
        oracle: The door to the model.
        x: Inputs (n, ...) of the whole batch.
        y: True classes (n,), or pairs.
        loss: What is climbed.
        rng: Source of the start.
        eps: Radius in input units.
        steps: Gradient steps over all radii.
    """
    low, high = oracle.box()
    adv = scatter(x, RADII[0][0] * eps, "l1", low, high, rng)
    adv, x, y, low, high = oracle.restart(adv, x, y, low, high)
    fresh = True
    left = steps
    for factor, share in RADII:
        if not len(adv):
            return
        part = left if factor == RADII[-1][0] else min(left, int(share * steps))
        left -= part
        project(adv, x, factor * eps, "l1", low, high)
        adv, x, y, low, high = _climb(
            oracle, adv, x, y, low, high, loss, factor * eps, part, fresh=fresh
        )
        fresh = False


def _climb(
    oracle: Gradients,
    adv: torch.Tensor,
    x: torch.Tensor,
    y: torch.Tensor,
    low: torch.Tensor,
    high: torch.Tensor,
    loss: Loss,
    eps: float,
    steps: int,
    *,
    fresh: bool,
) -> tuple[torch.Tensor, ...]:
    if steps < 1:
        return adv, x, y, low, high
    cells = x[0].numel()
    _, best, grad = oracle.value_and_grad(adv, y, loss)
    best_adv, best_grad = adv.clone(), grad.clone()
    used = torch.full_like(best, cells) if fresh else size(adv - x, 0)
    share = torch.full_like(best, FIRST_SHARE) if fresh else used / cells / SHRINK
    length = torch.full_like(best, eps)
    period = max(int(0.04 * steps), 1)
    for step in range(1, steps + 1):
        adv, x, y, low, high, grad, best, best_adv, best_grad, used, share, length = oracle.shed(
            adv, x, y, low, high, grad, best, best_adv, best_grad, used, share, length
        )
        if not len(adv):
            return adv, x, y, low, high
        move = _sparse(grad, share).mul_(like(length, grad))
        adv = project(move.add_(adv), x, eps, "l1", low, high)
        if step == steps:
            oracle.logits(adv)
            break
        _, value, grad = oracle.value_and_grad(adv, y, loss)
        better = value > best
        best = torch.where(better, value, best)
        best_adv = torch.where(like(better, adv), adv, best_adv)
        best_grad = torch.where(like(better, adv), grad, best_grad)
        if step % period == 0:
            now = size(best_adv - x, 0)
            still = now < STILL * used  # the support still shrinks: start long again from the best
            share, used = now / cells / SHRINK, now
            length = torch.where(still, torch.full_like(length, eps), length / SHRINK)
            length.clamp_(eps / SHORTEST, eps)
            adv = torch.where(like(still, adv), best_adv, adv)
            grad = torch.where(like(still, adv), best_grad, grad)
    return oracle.shed(best_adv, x, y, low, high)


def _sparse(grad: torch.Tensor, share: torch.Tensor) -> torch.Tensor:
    """Return the l1 step of length 1 along the largest share of the cells of each row."""
    flat = grad.flatten(1)
    size_of = flat.abs()
    kept = (share * flat.shape[1]).long().clamp_(1, flat.shape[1])
    ranked = size_of.topk(int(kept.max()), dim=1).values
    least = ranked.gather(1, kept.unsqueeze(1) - 1)
    step = flat.sign() * (size_of >= least)
    return step.div_(step.abs().sum(1, keepdim=True).clamp_min_(1e-10)).reshape(grad.shape)
