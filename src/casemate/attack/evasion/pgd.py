"""Projected gradient descent, in linf, l2 and l1."""

from __future__ import annotations

from typing import TYPE_CHECKING

from casemate.attack.ops.balls import project, steepest
from casemate.attack.ops.losses import cross_entropy
from casemate.attack.ops.starts import scatter

if TYPE_CHECKING:
    import torch

    from casemate.attack.questions import Gradients


def pgd(
    oracle: Gradients,
    x: torch.Tensor,
    y: torch.Tensor,
    *,
    rng: torch.Generator,
    eps: float,
    norm: str,
    steps: int,
    step_size: float,
    restarts: int,
    random_start: bool,
) -> None:
    """Climb the loss by steepest ascent inside the ball.

    Madry et al. 2018, "Towards deep learning models resistant to adversarial attacks"
    (arXiv 1706.06083); in l1 the sparse steps of Tramer and Boneh 2019 (arXiv 1904.13000).
    White-box. We differ in checking every iterate and in leaving a row out once it is fooled.

    Args:
        oracle: The door to the model.
        x: Inputs (n, ...).
        y: True classes (n,).
        rng: Source of the random starts.
        eps: Radius in input units.
        norm: `linf`, `l2` or `l1`.
        steps: Gradient steps of each start.
        step_size: Length of a step, as a multiple of eps / steps.
        restarts: Starts; each works on what earlier ones left.
        random_start: Start at a random point of the ball instead of at the input.
    """
    lower, upper = oracle.box(eps if norm == "linf" else None)
    length = step_size * eps / steps
    for _ in range(restarts):
        start = scatter(x, eps, norm, lower, upper, rng) if random_start else x.clone()
        adv, origin, label, low, high = oracle.restart(start, x, y, lower, upper)
        for _ in range(steps):
            _, _, grad = oracle.value_and_grad(adv, label, cross_entropy)
            adv, origin, label, low, high, grad = oracle.shed(adv, origin, label, low, high, grad)
            if not len(adv):
                return
            project(adv.add_(steepest(grad, norm), alpha=length), origin, eps, norm, low, high)
        oracle.logits(adv)
