"""The fast gradient sign method, in linf and l2."""

from __future__ import annotations

from typing import TYPE_CHECKING

from casemate.attack.ops.balls import project, steepest
from casemate.attack.ops.losses import cross_entropy

if TYPE_CHECKING:
    import torch

    from casemate.attack.questions import Gradients


def fgsm(oracle: Gradients, x: torch.Tensor, y: torch.Tensor, *, eps: float, norm: str) -> None:
    """Take one step of length eps along the gradient of the loss.

    Goodfellow et al. 2015, "Explaining and harnessing adversarial examples" (arXiv 1412.6572);
    in l2 the normalised gradient takes the place of its sign. White-box.

    Args:
        oracle: The door to the model.
        x: Inputs (n, ...).
        y: True classes (n,).
        eps: Length of the step, in input units.
        norm: `linf` or `l2`.
    """
    low, high = oracle.box(eps if norm == "linf" else None)
    _, _, grad = oracle.value_and_grad(x, y, cross_entropy)
    x, low, high, grad = oracle.shed(x, low, high, grad)
    if len(x):
        adv = x.add(steepest(grad, norm), alpha=eps)
        oracle.logits(project(adv, x, eps, norm, low, high))
