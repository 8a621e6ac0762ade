"""Random signs: the least an attack can be."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from casemate.attack.oracle import Labels
    from casemate.targets.capabilities import Array, Ints


def random_noise(
    oracle: Labels,
    x: Array,
    y: Ints,
    *,
    rng: np.random.Generator,
    eps: float,
    steps: int,
) -> None:
    """Try random corners of the ball, `steps` for each input.

    Cite the paper here (arXiv 1234.56789), say what the attacker knows, and where this differs
    from the paper and why. Decision-based: it needs the answered label alone.
    """
    del y  # the oracle knows what is right
    inside = eps * (1 - 1e-6)  # so that rounding does not leave the ball
    for _ in range(steps):
        noise = rng.choice([-inside, inside], size=x.shape)
        oracle.labels(x + noise.astype(x.dtype))
        (x,) = oracle.shed(x)  # inputs that are fooled by now are left alone
        if not len(x):
            return
