"""From what a model puts out to scores per class: one reading for all targets.

A model may answer logits or probabilities, one column for two classes, or its classes in an order
of its own. `read` looks at a sample once and settles all that; after that `Reading` turns every raw
answer into scores (n, classes), and scores into decisions by the threshold.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from casemate.errors import TargetError, UsageError

if TYPE_CHECKING:
    import numpy.typing as npt
    import torch

    from casemate.targets.capabilities import Array, Ints
    from casemate.targets.settings import Settings

Kind = Literal["logits", "probabilities"]
_SUM_SLACK = 2e-3
"""Rows of half-precision probabilities miss 1 by this much."""
_TINY = 1e-37
_NEVER = -1e9
"""Logit of a class that the model does not have."""


class Reading(NamedTuple):
    """How raw answers become scores."""

    kind: Kind
    classes: int
    single: bool = False
    """One output column: the score of class 1 of two."""
    threshold: float | None = None
    """Of the probability of class 1; leaves the scores alone and decides the labels."""
    order: tuple[int, ...] | None = None
    """Class that each output column stands for; None: its position. Classes without a column
    never win."""

    def scores(self, raw: npt.NDArray[Any], n: int) -> Array:
        """Return the scores (n, classes) in float64 or float32.

        Raises:
            TargetError: The answer has another shape than it had at first, or is not finite.
        """
        raw = flatten(np.asarray(raw), n)
        columns = 1 if self.single else len(self.order) if self.order else self.classes
        if raw.shape != (n, columns):
            raise TargetError(f"the model answered {raw.shape} where ({n}, {columns}) was expected")
        out: Array = raw if raw.dtype in (np.float32, np.float64) else raw.astype(np.float64)
        refuse_non_finite(out)
        if self.single:
            rest = 1 - out if self.kind == "probabilities" else np.zeros_like(out)
            out = np.concatenate([rest, out], axis=1)
        if self.order is None:
            return out
        nothing = 0 if self.kind == "probabilities" else _NEVER
        full = np.full((n, self.classes), nothing, out.dtype)
        full[:, list(self.order)] = out
        return full

    def tensor(self, raw: torch.Tensor) -> torch.Tensor:
        """Return logits (n, classes) for a tensor of raw answers (n, columns), differentiably."""
        import torch

        out = raw
        if self.single and self.kind == "probabilities":
            out = torch.cat([1 - out, out], 1)
        elif self.single:
            out = torch.cat([torch.zeros_like(out), out], 1)
        if self.kind == "probabilities":
            out = out.clamp_min(_TINY).log()
        if self.order is None:
            return out
        full = out.new_full((len(out), self.classes), _NEVER)
        return full.index_copy(1, torch.tensor(self.order, device=out.device), out)

    def labels(self, scores: Array) -> Ints:
        """Return the class (n,) that scores (n, classes) decide for."""
        if self.threshold is None:
            return np.asarray(scores.argmax(axis=1), np.int64)
        if self.kind == "probabilities":
            return np.asarray(scores[:, 1] >= self.threshold, np.int64)
        bar = math.log(self.threshold) - math.log1p(-self.threshold)
        return np.asarray(scores[:, 1] - scores[:, 0] >= bar, np.int64)


def read(raw: npt.NDArray[Any], n: int, settings: Settings) -> tuple[Reading, tuple[str, ...]]:
    """Settle how answers are read from those to a sample of n inputs, and say what was guessed.

    Rows that are non-negative and sum to 1 are probabilities, a single column within [0, 1] the
    probability of class 1; everything else is logits. `settings.scores` overrules both.

    Raises:
        TargetError: The answers are no scores: another number of rows, more dimensions, not finite.
        UsageError: The settings contradict the answers.
    """
    raw = flatten(np.asarray(raw), n)
    if raw.ndim != 2 or raw.shape[0] != n or raw.shape[1] < 1:
        raise TargetError(
            f"the model answered shape {raw.shape} to {n} inputs",
            hint="a classifier answers (n, classes), (n, 1) or (n,); of several outputs, name one",
        )
    if raw.dtype.kind not in "fiub":
        raise TargetError(f"the model answered {raw.dtype} where numbers were expected")
    out = raw.astype(np.float64)
    refuse_non_finite(out)
    single = raw.shape[1] == 1
    classes = 2 if single else raw.shape[1]
    notes: list[str] = []
    kind = settings.scores or _kind(out, single)
    if settings.scores is None and single:
        what = "the probability" if kind == "probabilities" else "the logit"
        notes.append(f"the model's single output is read as {what} of class 1")
    if settings.scores == "probabilities" and _kind(out, single) != "probabilities":
        raise UsageError(
            "the settings say probabilities, but the model's answers are not",
            hint='scores = "logits", or leave it out',
        )
    if settings.classes is not None and settings.classes != classes:
        raise UsageError(
            f"the settings say {settings.classes} classes, the model answers {classes}",
            hint=f"classes = {classes}, or leave it out",
        )
    return Reading(kind, classes, single, checked_threshold(settings.threshold, classes)), tuple(
        notes
    )


def checked_threshold(threshold: float | None, classes: int) -> float | None:
    """Return the threshold as it is.

    Raises:
        UsageError: Not within (0, 1), or there are not two classes.
    """
    if threshold is None:
        return None
    if classes != 2:
        raise UsageError(f"a threshold is for two classes, the model has {classes}")
    if not 0 < threshold < 1:
        raise UsageError(f"threshold {threshold} is not between 0 and 1")
    return threshold


def flatten(raw: npt.NDArray[Any], n: int) -> npt.NDArray[Any]:
    """Return (n,) as (n, 1) and (n, k, 1, 1) as (n, k); anything else as it is."""
    if raw.ndim == 1 and len(raw) == n:
        return raw[:, None]
    while raw.ndim > 2 and raw.shape[-1] == 1:
        raw = raw[..., 0]
    return raw


def refuse_non_finite(scores: Array) -> None:
    """Raise TargetError when an answer is NaN or infinite, naming the first such row."""
    if np.isfinite(scores).all():
        return
    bad = np.flatnonzero(~np.isfinite(scores).all(axis=1))
    raise TargetError(
        f"the model's output is NaN or infinite for {len(bad)} of {len(scores)} inputs, "
        f"the first at row {bad[0]}",
        hint="look for a division, a log or an overflow in the model, and at the input's range",
    )


def _kind(out: Array, single: bool) -> Kind:
    if (out < 0).any() or (out > 1 + _SUM_SLACK).any():
        return "logits"
    if single or np.abs(out.sum(axis=1) - 1).max(initial=0) <= _SUM_SLACK:
        return "probabilities"
    return "logits"


def sample(settings: Settings, shape: tuple[int, ...] | None) -> Array:
    """Return inputs (n, ...) to try a model on: those of the data, or points within the bounds.

    Args:
        settings: With a sample, or a shape and bounds.
        shape: Shape of one input where the model says so; sizes below 1 are free.

    Raises:
        UsageError: Nobody knows the shape.
    """
    if settings.sample is not None and len(settings.sample):
        return settings.sample
    wanted = settings.shape or shape
    if wanted is None or any(size < 1 for size in wanted):
        raise UsageError(
            "the shape of the model's inputs is not known",
            hint="give the data it is to be attacked with",
        )
    low, high = (np.asarray(bound, np.float32) for bound in settings.bounds or (0.0, 1.0))
    low, high = np.nan_to_num(low, neginf=-1.0), np.nan_to_num(high, posinf=1.0)
    spread = np.random.default_rng(0).random((8, *wanted), dtype=np.float32)
    return np.asarray(low + spread * (high - low), np.float32)
