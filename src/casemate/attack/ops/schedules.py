"""How step lengths and radii change over the steps of an attack."""

from __future__ import annotations

import math


def cosine(start: float, end: float, step: int, steps: int) -> float:
    """Go from `start` at step 0 to `end` at step `steps` along half a cosine."""
    return end + (start - end) * (1 + math.cos(math.pi * step / steps)) / 2


def checkpoints(steps: int) -> dict[int, int]:
    """Return the steps after which APGD looks back, each with the length of the period it ends.

    The first after 22 % of the steps; each period 3 % of the steps shorter than the one before, and
    none shorter than 6 % (Croce and Hein 2020, arXiv 2003.01690, section 3.1).
    """
    period = max(int(0.22 * steps), 1)
    least, shrink = max(int(0.06 * steps), 1), max(int(0.03 * steps), 1)
    found, at = {}, period
    while at <= steps:
        found[at] = period
        period = max(period - shrink, least)
        at += period
    return found
