"""The attack of Carlini and Wagner in l2."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch

from casemate.attack.ops.balls import like
from casemate.attack.ops.losses import margin
from casemate.errors import UsageError

if TYPE_CHECKING:
    from casemate.attack.questions import Gradients

FIRST, SECOND, TINY = 0.9, 0.999, 1e-8
"""Decay of Adam's first and second moment, and what keeps its quotient finite."""
EDGE = 1 - 1e-3
"""Cells on a bound start this share inside it, since in tanh space the bound lies at infinity.
The usual 1e-6 leaves them so flat that Adam hardly moves them, and dark images look robust.
"""


class Tanh(NamedTuple):
    """The change of variable x = middle + half * tanh(w); cells without bounds are `free`."""

    middle: torch.Tensor
    half: torch.Tensor
    free: torch.Tensor | None

    def forward(self, w: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return x and dx/dw."""
        t = torch.tanh(w)
        x = torch.addcmul(self.middle, self.half, t)
        slope = t.square_().neg_().add_(1).mul_(self.half)
        if self.free is not None:
            x = torch.where(self.free, w, x)
            slope.masked_fill_(self.free, 1)
        return x, slope

    def inverse(self, x: torch.Tensor) -> torch.Tensor:
        """Return the w of inputs x."""
        w = torch.atanh((x - self.middle) / torch.where(self.half > 0, self.half, 1) * EDGE)
        return w if self.free is None else torch.where(self.free, x, w)


def carlini_wagner(
    oracle: Gradients,
    x: torch.Tensor,
    y: torch.Tensor,
    *,
    norm: str,
    steps: int,
    searches: int,
    rate: float,
    first_c: float,
    confidence: float,
) -> None:
    """Minimise |adv - x|^2 + c * max(confidence - margin, 0) and search for the right c.

    Carlini and Wagner 2017, "Towards evaluating the robustness of neural networks"
    (arXiv 1608.04644), with Adam (arXiv 1412.6980). White-box. The best other class enters through
    the margin of the logits, and cells without bounds are moved as they are.

    Args:
        oracle: The door to the model.
        x: Inputs (n, ...).
        y: True classes (n,).
        norm: `l2`; the attacks in other norms of the paper are other algorithms.
        steps: Gradient steps for each c.
        searches: Values of c tried for each input.
        rate: Rate of Adam, in tanh space.
        first_c: The first c.
        confidence: Margin to reach before the distance alone is minimised.
    """
    if norm != "l2":
        raise UsageError(f"there is no carlini_wagner in {norm}", hint="norm=l2")
    low, high = oracle.box()
    space = _space(low, high)
    least, most = x.new_zeros(len(x)), x.new_full((len(x),), torch.inf)
    c = x.new_full((len(x),), first_c)
    for _ in range(searches):
        reached = _descend(oracle, space, x, y, c, steps, rate, confidence)
        most = torch.where(reached, torch.minimum(most, c), most)
        least = torch.where(reached, least, torch.maximum(least, c))
        c = torch.where(most.isfinite(), (least + most) / 2, c * 10)


def _descend(
    oracle: Gradients,
    space: Tanh,
    x: torch.Tensor,
    y: torch.Tensor,
    c: torch.Tensor,
    steps: int,
    rate: float,
    confidence: float,
) -> torch.Tensor:
    """Descend with one c per row; return which rows reached the confidence."""
    w = space.inverse(x)
    mean, spread = torch.zeros_like(w), torch.zeros_like(w)
    reached = torch.zeros_like(y, dtype=torch.bool)
    for step in range(1, steps + 1):
        adv, slope = space.forward(w)
        _, value, grad = oracle.value_and_grad(adv, y, margin)
        reached |= value > confidence
        weight = torch.where(value <= confidence, c, torch.zeros_like(c))
        grad.mul_(like(-weight, grad)).add_(adv.sub_(x), alpha=2).mul_(slope)
        mean.mul_(FIRST).add_(grad, alpha=1 - FIRST)
        spread.mul_(SECOND).addcmul_(grad, grad, value=1 - SECOND)
        scale = torch.sqrt(spread).div_((1 - SECOND**step) ** 0.5).add_(TINY)
        w.addcdiv_(mean, scale, value=-rate / (1 - FIRST**step))
    return reached


def _space(low: torch.Tensor, high: torch.Tensor) -> Tanh:
    free = ~(low.isfinite() & high.isfinite())
    half = ((high - low) / 2).masked_fill_(free, 0)
    middle = ((high + low) / 2).masked_fill_(free, 0)
    return Tanh(middle, half, free if bool(free.any()) else None)
