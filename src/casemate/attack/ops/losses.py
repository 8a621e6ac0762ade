"""Losses an attacker raises: (logits (n, classes), y (n,)) -> loss per row (n,).

Larger is better for the attacker. `y` is the true class, or for the targeted losses the pair of
true and wanted class, bound by a closure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

if TYPE_CHECKING:
    from casemate.targets.capabilities import Loss


def cross_entropy(logits: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of the true class. Underflows to a zero gradient above margins of about 100."""
    return F.cross_entropy(logits, y, reduction="none")


def margin(logits: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Best other logit less the true one: positive exactly when the model is fooled."""
    own = logits.gather(1, y.unsqueeze(1))
    other = logits.scatter(1, y.unsqueeze(1), -torch.inf).amax(1)
    return other - own.squeeze(1)


def targeted_dlr(y: torch.Tensor, target: torch.Tensor) -> Loss:
    """Return the targeted difference-of-logits-ratio loss (Croce and Hein 2020, arXiv 2003.01690).

    Needs four classes. The targets stand in for `y`, so that rows can be left out of both together.

    Args:
        y: True class per row.
        target: Wanted class per row.
    """

    def loss(logits: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
        top = logits.topk(4, dim=1).values
        scale = top[:, 0] - 0.5 * (top[:, 2] + top[:, 3]) + 1e-12
        wanted = logits.gather(1, target.unsqueeze(1)).squeeze(1)
        return (wanted - logits.gather(1, y.unsqueeze(1)).squeeze(1)) / scale

    return loss


def targeted_margin(y: torch.Tensor, target: torch.Tensor) -> Loss:
    """Return the wanted logit less the true one, for models of fewer than four classes."""

    def loss(logits: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
        wanted = logits.gather(1, target.unsqueeze(1)).squeeze(1)
        return wanted - logits.gather(1, y.unsqueeze(1)).squeeze(1)

    return loss
