"""DeepFool, in l2 and linf."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from casemate.attack.ops.balls import like

if TYPE_CHECKING:
    from casemate.attack.questions import Gradients

_TINY = 1e-12


def deepfool(
    oracle: Gradients,
    x: torch.Tensor,
    y: torch.Tensor,
    *,
    norm: str,
    steps: int,
    candidates: int,
    overshoot: float,
    search: int,
) -> None:
    """Step to the nearest boundary of the linearised model until the model is fooled.

    Moosavi-Dezfooli et al. 2016, "DeepFool: a simple and accurate method to fool deep neural
    networks" (arXiv 1511.04599). White-box. We differ in leaving out cells that already stand at
    the bound they would have to cross, which the paper's inputs cannot do, and in a bisection from
    the result back towards the input, which takes back the overshoot.

    Args:
        oracle: The door to the model.
        x: Inputs (n, ...).
        y: True classes (n,).
        norm: `l2` or `linf`.
        steps: Most linearisations.
        candidates: Wrong classes linearised, the likeliest at the input.
        overshoot: Share by which each move is lengthened, to cross the boundary.
        search: Halvings between the input and the first example found.
    """
    every_x, every_y = x, y
    low, high = oracle.box()
    order = oracle.logits(x).scatter(1, y.unsqueeze(1), -torch.inf).argsort(1, descending=True)
    classes = torch.cat([y.unsqueeze(1), order[:, : min(candidates, oracle.classes - 1)]], 1)
    x, y, low, high, classes = oracle.shed(x, y, low, high, classes)
    moved, adv = torch.zeros_like(x), x
    for _ in range(steps):
        if not len(x):
            break
        logits, grads = oracle.jacobian(adv, classes)
        picked = logits.gather(1, classes)
        standing = (picked[:, 1:] <= picked[:, :1]).all(1).cpu().numpy()
        x, low, high, classes, moved, adv, picked, grads = oracle.keep(
            standing, x, low, high, classes, moved, adv, picked, grads
        )
        if not len(x):
            break
        moved = moved + _nearest(norm, picked, grads, adv, low, high)
        adv = torch.add(x, moved, alpha=1 + overshoot).clamp_(low, high)
    else:
        oracle.logits(adv)
    _bisect(oracle, every_x, every_y, search)


def _nearest(
    norm: str,
    logits: torch.Tensor,
    grads: torch.Tensor,
    adv: torch.Tensor,
    low: torch.Tensor,
    high: torch.Tensor,
) -> torch.Tensor:
    """Return the move to the nearest of the linearised boundaries; column 0 is the true class."""
    gap = (logits[:, :1] - logits[:, 1:]).clamp_min_(0) + 1e-4
    slope = grads[:, 1:] - grads[:, :1]
    up, down = (adv < high).unsqueeze(1), (adv > low).unsqueeze(1)
    slope = torch.where(torch.where(slope > 0, up, down), slope, torch.zeros_like(slope))
    dual = torch.linalg.vector_norm(slope.flatten(2), 2 if norm == "l2" else 1, dim=2)
    away = gap / dual.clamp_min(_TINY)
    pick = away.argmin(1, keepdim=True)
    rows = torch.arange(len(slope), device=slope.device)
    slope, away, dual = slope[rows, pick[:, 0]], away.gather(1, pick), dual.gather(1, pick)
    if norm == "linf":
        return slope.sign_().mul_(like(away[:, 0], slope))
    return slope.mul_(like((away / dual.clamp_min(_TINY))[:, 0], slope))


def _bisect(oracle: Gradients, x: torch.Tensor, y: torch.Tensor, search: int) -> None:
    """Halve the way from each input to its example, keeping to the side that fools."""
    x, y = oracle.restart(x, y)
    found = torch.as_tensor(oracle.distance[oracle.rows]).isfinite().numpy()
    x, y = oracle.keep(found, x, y)
    if not len(x):
        return
    end = oracle.examples() - x
    near, far = x.new_zeros(len(x)), x.new_ones(len(x))
    for _ in range(search):
        middle = (near + far) / 2
        logits = oracle.logits(torch.addcmul(x, end, like(middle, x)))
        fooled = logits.argmax(1) != y
        near, far = torch.where(fooled, near, middle), torch.where(fooled, middle, far)
        x, y, end, near, far = oracle.shed(x, y, end, near, far)
        if not len(x):
            return
