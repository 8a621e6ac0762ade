"""Losses an attacker raises: (logits (n, classes), y (n,)) -> loss per row (n,).

Larger is better for the attacker. `y` is the true class; targeted losses take the pair of true and
wanted class (n, 2) in its place, so that rows left out leave out both.
"""

from __future__ import annotations

import torch
from torch.nn import functional


def cross_entropy(logits: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of the true class. Underflows to a zero gradient above margins of about 100."""
    return functional.cross_entropy(logits, y, reduction="none")


def margin(logits: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Best other logit less the true one: positive exactly when the model is fooled."""
    own = logits.gather(1, y.unsqueeze(1))
    other = logits.scatter(1, y.unsqueeze(1), -torch.inf).amax(1)
    return other - own.squeeze(1)


def targeted_dlr(logits: torch.Tensor, pair: torch.Tensor) -> torch.Tensor:
    """Targeted difference-of-logits ratio (Croce and Hein 2020, arXiv 2003.01690), four classes up.

    Args:
        logits: (n, classes).
        pair: True and wanted class of each row (n, 2).
    """
    top = logits.topk(4, dim=1).values
    scale = top[:, 0] - 0.5 * (top[:, 2] + top[:, 3]) + 1e-12
    return targeted_margin(logits, pair) / scale


def targeted_margin(logits: torch.Tensor, pair: torch.Tensor) -> torch.Tensor:
    """Wanted logit less the true one; `pair` (n, 2) holds the true and the wanted class."""
    own, wanted = logits.gather(1, pair).unbind(1)
    return wanted - own
