"""Random points of a ball, to start from."""

from __future__ import annotations

import torch

from casemate.attack.ops.balls import like, project, size


def scatter(
    x: torch.Tensor,
    eps: float,
    norm: str,
    low: torch.Tensor,
    high: torch.Tensor,
    rng: torch.Generator,
) -> torch.Tensor:
    """Return a random point (n, ...) of the ball of radius eps about each `x`, inside the box.

    Uniform in the ball for linf and l2; for l1 Laplace noise of the right length, as in Croce and
    Hein 2021. Drawn on the CPU, so that a seed means the same on every device.

    Args:
        x: Centres (n, ...).
        eps: Radius.
        norm: `linf`, `l2` or `l1`.
        low: Smallest legal values.
        high: Largest legal values.
        rng: Source.
    """
    if norm == "linf":
        noise = torch.rand(x.shape, generator=rng, dtype=x.dtype).to(x.device)
        return noise.mul_(2 * eps).sub_(eps).add_(x).clamp_(low, high)
    noise = torch.randn(x.shape, generator=rng, dtype=x.dtype).to(x.device)
    share = torch.rand(len(x), generator=rng, dtype=x.dtype).to(x.device)
    if norm == "l2":
        cells = noise[0].numel()
        noise.mul_(like(eps * share.pow_(1 / cells) / size(noise, 2).clamp_min_(1e-12), noise))
    else:
        uniform = torch.rand(x.shape, generator=rng, dtype=x.dtype).to(x.device).sub_(0.5)
        noise = uniform.sign() * uniform.abs_().mul_(-2).log1p_().neg_()
        noise.mul_(like(eps / size(noise, 1).clamp_min_(1e-12), noise))
    return project(noise.add_(x), x, eps, norm, low, high)
