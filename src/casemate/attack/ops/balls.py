"""Balls and boxes: where candidates may lie, and the steepest step in each norm.

The box of legal values is computed once, in float64, and rounded inward; a candidate clamped to it
is within eps exactly. The other balls are projected to a little inside, by what rounding may add.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from casemate.attack.reach import reach

if TYPE_CHECKING:
    from casemate.attack.domain import Domain

_INSIDE = 1 - 1e-6
_TINY = 1e-12
_ROWS = 64
"""Rows whose float64 copies are held at once: what stays in the cache costs a third."""


def box(x: torch.Tensor, eps: float | None, domain: Domain) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the smallest and largest legal value of each cell (n, ...), rounded inward.

    Args:
        x: Inputs (n, ...).
        eps: No cell further than this from the input; None: legal values only.
        domain: Bounds, and for tables what may be done to each column.
    """
    if domain.columns:
        ends = reach(domain.rules, x.detach().cpu().numpy())
        low, high = (torch.as_tensor(end, dtype=torch.float64, device=x.device) for end in ends)
    else:
        low, high = (
            torch.as_tensor(end, dtype=torch.float64, device=x.device)
            for end in (domain.lower, domain.upper)
        )
    return _end(x, eps, low, -1), _end(x, eps, high, 1)


def _end(x: torch.Tensor, eps: float | None, bound: torch.Tensor, side: int) -> torch.Tensor:
    """Return one end of the box in the type and shape of `x`, one ulp inward where it must be."""
    edge = bound.to(x.dtype)
    edge = torch.where((edge.double() - bound) * side > 0, _step_back(edge, side), edge)
    if eps is None:
        return edge.expand(x.shape)
    out = torch.empty_like(x)
    for at in range(0, len(x), _ROWS):
        exact = x[at : at + _ROWS].detach().double()
        near = torch.add(exact, side * eps).to(x.dtype)
        beyond = (near.double() - exact).mul_(side) > eps
        out[at : at + _ROWS] = torch.where(beyond, _step_back(near, side), near)
    low, high = (edge, None) if side < 0 else (None, edge)
    return out.clamp_(low, high)


def _step_back(end: torch.Tensor, side: int) -> torch.Tensor:
    return torch.nextafter(end, end.new_tensor(-side * torch.inf))


def like(per_row: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Give a value per row (n,) the dimensions of `x` (n, ...), for arithmetic."""
    return per_row.reshape([-1] + [1] * (x.dim() - 1))


def size(moved: torch.Tensor, order: float) -> torch.Tensor:
    """Return the norm of each row (n,) of `moved` (n, ...); order inf, 2, 1 or 0."""
    flat = moved.flatten(1)
    if order == torch.inf:  # four times as fast as vector_norm on a CPU
        return flat.abs().amax(1)
    length: torch.Tensor = torch.linalg.vector_norm(flat, order, dim=1)
    return length


def steepest(grad: torch.Tensor, norm: str, sparsity: float = 0.01) -> torch.Tensor:
    """Return the step of length 1 in `norm` along which `grad` (n, ...) rises most. May reuse grad.

    For l1 the step goes along the largest share `sparsity` of the cells, as in SLIDE (Tramer and
    Boneh 2019, arXiv 1904.13000): along the very largest alone progress is too slow.
    """
    if norm == "linf":
        return grad.sign_()
    if norm == "l2":
        return grad.div_(like(size(grad, 2).clamp_min_(_TINY), grad))
    flat = grad.flatten(1)
    cells = max(1, round(sparsity * flat.shape[1]))
    top = flat.abs().topk(cells, dim=1).indices
    step = torch.zeros_like(flat).scatter_(1, top, flat.gather(1, top).sign_() / cells)
    return step.reshape(grad.shape)


def project(
    adv: torch.Tensor, x: torch.Tensor, eps: float, norm: str, low: torch.Tensor, high: torch.Tensor
) -> torch.Tensor:
    """Move `adv` (n, ...) into the ball of radius eps about `x` and the box, in place.

    Args:
        adv: Candidates.
        x: Centres, inside the box.
        eps: Radius.
        norm: For linf the box must already contain eps, see `box`.
        low: Smallest legal values.
        high: Largest legal values.
    """
    if norm == "linf":
        return adv.clamp_(low, high)
    # Adding x rounds every cell; together that must not leave the ball either.
    cells = x[0].numel() if norm == "l1" else x[0].numel() ** 0.5
    eps = max(0.0, eps * _INSIDE - cells * float(x.abs().max()) * torch.finfo(x.dtype).eps / 2)
    if norm == "l1":
        return adv.copy_(x + l1_box(adv - x, eps, low - x, high - x)).clamp_(low, high)
    moved = adv.sub_(x)
    length = size(moved, 2).clamp_min_(_TINY)
    moved.mul_(like((eps / length).clamp_max_(1.0), moved))
    return moved.add_(x).clamp_(low, high)


def l1_box(
    moved: torch.Tensor, eps: float | torch.Tensor, low: torch.Tensor, high: torch.Tensor
) -> torch.Tensor:
    """Return the point nearest to `moved` with l1 norm at most eps between `low` and `high`.

    The projection onto the intersection is a soft threshold cut at the box (Croce and Hein 2021,
    arXiv 2103.01208); the threshold is found by bisection instead of by sorting.

    Args:
        moved: Moves (n, ...).
        eps: Radius, one for all or one per row (n,).
        low: Smallest move, at most 0.
        high: Largest move, at least 0.
    """
    sign = moved.sign()
    long = moved.abs().flatten(1)
    most = torch.where(moved >= 0, high, -low).flatten(1)
    radius = torch.as_tensor(eps, dtype=moved.dtype, device=moved.device).expand(len(moved))
    below, above = long.new_zeros(len(long)), long.amax(1)
    fits = torch.minimum(long, most).sum(1) <= radius
    for _ in range(26):
        middle = (below + above) / 2
        over = torch.minimum((long - middle[:, None]).clamp_min_(0), most).sum(1) > radius
        below, above = torch.where(over, middle, below), torch.where(over, above, middle)
    cut = torch.where(fits, torch.zeros_like(above), above)
    kept = torch.minimum((long - cut[:, None]).clamp_min_(0), most)
    return kept.reshape(moved.shape).mul_(sign)
