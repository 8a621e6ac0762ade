"""`coarsen`: scores with fewer digits, or of the best classes alone; the top label stays.

Buys: attacks that climb along scores see steps where there was a slope. Attacks on labels alone
are not touched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from casemate.guard.mitigations.step import Step

if TYPE_CHECKING:
    import numpy.typing as npt

    from casemate.guard.mitigations.step import Asked, Defaults, Directive

_LARGEST = 1e15


class Coarsen:
    """Rounds what is served; the true answer is on record by its digest."""

    defaults: ClassVar[Defaults] = {"decimals": 1, "top": 0, "threshold": 0.5}

    def apply(self, _asked: Asked, told: Directive) -> Step | None:
        """Serve rounded scores."""
        settings = told.settings

        def change(_name: str, scores: npt.NDArray[Any]) -> npt.NDArray[Any]:
            if scores.dtype.kind != "f":
                return scores
            return coarsen(
                scores,
                decimals=int(settings["decimals"]),
                top=int(settings["top"]),
                threshold=float(settings["threshold"]),
            )

        return Step("coarsen", change=change)


def coarsen(
    scores: npt.NDArray[Any], *, decimals: int, top: int = 0, threshold: float = 0.5
) -> npt.NDArray[Any]:
    """Return scores on a grid of 10^-decimals with the same top label in every row.

    Classes that tie for the top still tie, so that whichever of them a caller picks it picks
    again; every other class stays below them by a step at least. A single score stays on its side
    of the threshold.

    Args:
        scores: Floats, (n, classes) or (n,) or (n, 1); rows with NaN, infinity or numbers too
            large to have decimals are served as they are.
        decimals: Digits kept, 0 to 6.
        top: Only so many best classes keep their scores, the others get the lowest; 0 for all.
        threshold: Where the decision lies, for a single score.
    """
    decimals = min(6, max(0, decimals))
    step = 10.0**-decimals
    wide = scores.reshape(len(scores), -1).astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        if wide.shape[1] == 1:
            served = _beside(wide, threshold, decimals)
        else:
            served = _below(wide, decimals, step, top)
    odd = ~(np.abs(wide) < _LARGEST).all(axis=1)
    served[odd] = wide[odd]
    made: npt.NDArray[Any] = served.astype(scores.dtype).reshape(scores.shape)
    return made


def _beside(wide: npt.NDArray[np.float64], threshold: float, decimals: int) -> Any:
    served = np.round(wide, decimals)
    scale = 10.0**decimals
    crossed = (wide > threshold) != (served > threshold)
    crossed |= (wide < threshold) != (served < threshold)
    outward = np.where(
        wide > threshold, np.ceil(wide * scale) / scale, np.floor(wide * scale) / scale
    )
    served = np.where(crossed, outward, served)
    # On the threshold itself, or where no grid point lies on the right side.
    wrong = (wide > threshold) != (served > threshold)
    wrong |= (wide < threshold) != (served < threshold)
    return np.where(wrong, wide, served)


def _below(wide: npt.NDArray[np.float64], decimals: int, step: float, top: int) -> Any:
    best = wide.max(axis=1, keepdims=True)
    tied = wide == best
    served = np.round(wide, decimals)
    level = np.round(best, decimals)
    # Probabilities have no room below zero: the top is lifted instead.
    room = np.where(wide.min(axis=1, keepdims=True) >= 0, step, -np.inf)
    alone = tied.sum(axis=1, keepdims=True) < wide.shape[1]
    level = np.where(alone, np.maximum(level, room), level)
    if 0 < top < wide.shape[1]:
        keep = np.sort(wide, axis=1)[:, -top:][:, :1]
        lowest = np.where(wide.min(axis=1, keepdims=True) >= 0, 0.0, served.min(axis=1)[:, None])
        served = np.where(wide >= keep, served, lowest)
    others = np.round(np.minimum(served, level - step), decimals)
    return np.where(tied, level, others)
