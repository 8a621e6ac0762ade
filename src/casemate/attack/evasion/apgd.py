"""Auto-PGD with cross-entropy and with the targeted DLR loss, in linf, l2 and l1."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from casemate.attack.evasion import apgd_l1
from casemate.attack.ops.balls import like, project, steepest
from casemate.attack.ops.losses import cross_entropy, targeted_dlr, targeted_margin
from casemate.attack.ops.schedules import checkpoints
from casemate.attack.ops.starts import scatter

if TYPE_CHECKING:
    from casemate.attack.questions import Gradients
    from casemate.targets.capabilities import Loss

MOMENTUM = 0.75
"""Share of a step that is new; the rest repeats the last move."""
RISES = 0.75
"""A period in which the loss rose in fewer steps than this share has a step too long."""


def apgd_ce(
    oracle: Gradients,
    x: torch.Tensor,
    y: torch.Tensor,
    *,
    rng: torch.Generator,
    eps: float,
    norm: str,
    steps: int,
    restarts: int,
) -> None:
    """Climb the cross-entropy with a step length that halves where progress stops.

    Croce and Hein 2020, "Reliable evaluation of adversarial robustness with an ensemble of diverse
    parameter-free attacks" (arXiv 2003.01690); in l1 Croce and Hein 2021, "Mind the box"
    (arXiv 2103.01208). White-box. We differ in checking every iterate, in leaving a row out as soon
    as it is fooled, and in not differentiating the last iterate.

    Args:
        oracle: The door to the model.
        x: Inputs (n, ...).
        y: True classes (n,).
        rng: Source of the random starts.
        eps: Radius in input units.
        norm: `linf`, `l2` or `l1`.
        steps: Gradient steps of each start.
        restarts: Starts; each works on what earlier ones left.
    """
    for _ in range(restarts):
        _ascend(oracle, x, y, cross_entropy, rng, eps, norm, steps)


def apgd_t(
    oracle: Gradients,
    x: torch.Tensor,
    y: torch.Tensor,
    *,
    rng: torch.Generator,
    eps: float,
    norm: str,
    steps: int,
    targets: int,
) -> None:
    """Climb towards each of the likeliest wrong classes in turn, with the DLR loss.

    The targeted part of AutoAttack (arXiv 2003.01690). White-box. Models of fewer than four classes
    have no DLR: there the difference of the two logits is climbed, and the Trial says so.

    Args:
        oracle: The door to the model.
        x: Inputs (n, ...).
        y: True classes (n,).
        rng: Source of the random starts.
        eps: Radius in input units.
        norm: `linf`, `l2` or `l1`.
        steps: Gradient steps towards each class.
        targets: Wrong classes tried, in order of their logit at the input.
    """
    loss = targeted_dlr
    if oracle.classes < 4:
        loss = targeted_margin
        oracle.notes.append("fewer than four classes: the difference of logits replaced DLR")
    logits = oracle.logits(x)
    order = logits.scatter(1, y.unsqueeze(1), -torch.inf).argsort(1, descending=True)
    for wanted in order[:, : min(targets, oracle.classes - 1)].unbind(1):
        _ascend(oracle, x, torch.stack([y, wanted], 1), loss, rng, eps, norm, steps)


def _ascend(
    oracle: Gradients,
    x: torch.Tensor,
    y: torch.Tensor,
    loss: Loss,
    rng: torch.Generator,
    eps: float,
    norm: str,
    steps: int,
) -> None:
    """Run one start on the rows that are left; tensors cover the batch."""
    if norm == "l1":
        apgd_l1.ascend(oracle, x, y, loss, rng, eps, steps)
        return
    low, high = oracle.box(eps if norm == "linf" else None)
    adv = scatter(x, eps, norm, low, high, rng)
    adv, x, y, low, high = oracle.restart(adv, x, y, low, high)
    if not len(adv):
        return
    _, value, grad = oracle.value_and_grad(adv, y, loss)
    before, best, best_adv, best_grad = adv, value, adv.clone(), grad.clone()
    length = torch.full_like(value, 2 * eps)
    rises, halved, best_then = torch.zeros_like(value), torch.zeros_like(value).bool(), value
    looks = checkpoints(steps)
    for step in range(1, steps + 1):
        (
            adv, before, x, y, low, high, grad, value, best, best_adv, best_grad,
            length, rises, halved, best_then,
        ) = oracle.shed(
            adv, before, x, y, low, high, grad, value, best, best_adv, best_grad,
            length, rises, halved, best_then,
        )  # fmt: skip
        if not len(adv):
            return
        new = steepest(grad, norm).mul_(like(length, adv)).add_(adv)
        project(new, x, eps, norm, low, high)
        if step > 1:  # adv + MOMENTUM * (new - adv) + (1 - MOMENTUM) * (adv - before)
            new.mul_(MOMENTUM).add_(adv, alpha=2 * (1 - MOMENTUM))
            project(new.sub_(before, alpha=1 - MOMENTUM), x, eps, norm, low, high)
        before, adv = adv, new
        if step == steps:
            break
        last = value
        _, value, grad = oracle.value_and_grad(adv, y, loss)
        rises = rises + (value > last)
        better = value > best
        best = torch.where(better, value, best)
        index = better.nonzero().squeeze(1)
        best_adv.index_copy_(0, index, adv.index_select(0, index))
        best_grad.index_copy_(0, index, grad.index_select(0, index))
        if step in looks:
            short = (rises <= RISES * looks[step]) | (~halved & (best <= best_then))
            length = torch.where(short, length / 2, length)
            adv = torch.where(like(short, adv), best_adv, adv)
            grad = torch.where(like(short, grad), best_grad, grad)
            rises, halved, best_then = torch.zeros_like(rises), short, best
    oracle.logits(adv)
