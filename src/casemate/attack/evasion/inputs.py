"""Which inputs an attack is run on, and which figure it is judged by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from casemate.attack.measure import threshold_at
from casemate.errors import UsageError

if TYPE_CHECKING:
    import numpy.typing as npt

    from casemate.attack.evasion.answers import Answer
    from casemate.targets.capabilities import Array, Ints
    from casemate.targets.data import Data

    Mask = npt.NDArray[np.bool_]

NEGATIVES = 2000
RARE = 0.10
"""Below this share of positives accuracy says nothing about a detector: recall is measured."""
FPR = 0.01
_CELLS = 1 << 22
"""Cells of the inputs attacked together: 16 MiB of float32."""


class Chosen(NamedTuple):
    """The inputs of a run."""

    rows: Ints
    """Rows of the data."""
    x: Array
    y: Ints
    lower: float | Array
    upper: float | Array
    notes: tuple[str, ...]


class Figure(NamedTuple):
    """The figure of merit."""

    name: str
    counted: Mask
    """Inputs that the figure is about: all, or the positives for recall."""
    threshold: float | None
    """Probability of class 1 from which class 1 is answered; None: the largest score wins."""
    fpr: float | None
    notes: tuple[str, ...] = ()


def choose(model: Any, data: Data, limit: int | None, *, gradients: bool) -> Chosen:
    """Check the data against the model and return the inputs to attack.

    Args:
        model: The target.
        data: Inputs with their classes.
        limit: Take the first so many; spread over the data if those were all of one class. Where
            positives are rare, so many of them, and negatives besides to set the threshold on.
        gradients: Whether inputs must be in the type the model computes in.

    Raises:
        UsageError: No inputs, wrong shape, classes or values out of range.
    """
    x, y = np.asarray(data.x), np.asarray(data.y, np.int64)
    if not len(x):
        raise UsageError("the data hold no inputs", hint="look at the file and its label column")
    if model.shape and tuple(x.shape[1:]) != tuple(model.shape):
        raise UsageError(
            f"the data hold inputs of shape {tuple(x.shape[1:])}, "
            f"the model takes {tuple(model.shape)}",
            hint="transpose or reshape the data, or look at [model] in casemate.toml",
        )
    if y.min() < 0 or y.max() >= model.classes:
        raise UsageError(
            f"labels run from {y.min()} to {y.max()}, the model has {model.classes} classes",
            hint=f"labels are 0 to {model.classes - 1}",
        )
    notes = [*getattr(model, "notes", ()), *getattr(data, "notes", ())]
    index = np.arange(len(x))
    if limit is not None and limit < len(x):
        if limit < 1:
            raise UsageError(f"limit {limit} leaves no inputs")
        index = index[:limit]
        if model.classes == 2 and 0 < float((y == 1).mean()) < RARE:
            # The figure is about the positives; the negatives only set the threshold.
            negatives = np.flatnonzero(y == 0)[: max(limit, NEGATIVES)]
            index = np.sort(np.concatenate([np.flatnonzero(y == 1)[:limit], negatives]))
        elif len(np.unique(y[index])) == 1 and len(np.unique(y)) > 1:
            index = np.unique(np.linspace(0, len(x) - 1, limit).round().astype(np.int64))
            notes.append(
                "the data are sorted by class, so inputs were taken evenly from all of them"
            )
    kind = x.dtype
    if gradients:
        kind = np.dtype(np.float64 if str(getattr(model, "dtype", "")) == "torch.float64" else "f4")
    chosen = np.ascontiguousarray(x[index], dtype=kind)
    if not data.columns:
        chosen = _within(chosen, data.lower, data.upper)
    return Chosen(index, chosen, y[index], data.lower, data.upper, tuple(notes))


def _within(x: Array, lower: float | Array, upper: float | Array) -> Array:
    """Refuse values outside the bounds; pull those back that only rounding put there."""
    if np.isnan(x).any():
        bad = int(np.isnan(x).reshape(len(x), -1).any(axis=1).sum())
        raise UsageError(f"{bad} inputs hold NaN", hint="fill or drop them before attacking")
    reach = np.maximum(np.abs(np.asarray(lower)), np.abs(np.asarray(upper)))
    slack = 1e-6 * np.where(np.isfinite(reach), np.maximum(1.0, reach), 1.0)
    outside = (x < np.asarray(lower) - slack) | (x > np.asarray(upper) + slack)
    if outside.any():
        rows = int(outside.reshape(len(x), -1).any(axis=1).sum())
        raise UsageError(
            f"{rows} of {len(x)} inputs lie outside the declared bounds, "
            f"the values run from {float(x.min()):g} to {float(x.max()):g}",
            hint="bounds are in the units the model is given: set [model] bounds in casemate.toml",
        )
    return np.asarray(np.clip(x, lower, upper), dtype=x.dtype)


def figure(model: Any, data: Data, chosen: Chosen, clean: Answer, fpr: float | None) -> Figure:
    """Return the figure of merit: accuracy, or recall at a fixed false-positive rate.

    Raises:
        UsageError: `fpr` was given for a model without scores for two classes.
    """
    y = np.asarray(data.y)
    everything = np.ones(len(chosen.y), bool)
    rare = model.classes == 2 and 0 < float((y == 1).mean()) < RARE
    if fpr is None and not rare:
        return Figure("accuracy", everything, model.threshold, None)
    if model.classes != 2 or (clean.positive is None and fpr is not None):
        raise UsageError(
            "recall at a false-positive rate needs a model with scores for two classes",
            hint="leave fpr out",
        )
    positive, negative = chosen.y == 1, chosen.y == 0
    if not positive.any():
        raise UsageError("no input of class 1 among those chosen", hint="attack more with --inputs")
    if model.threshold is not None or clean.positive is None or not negative.any():
        measured = float((clean.label[negative] == 1).mean()) if negative.any() else None
        shown = "unknown" if measured is None else f"{measured:.4f}"
        note = f"recall at the target's own threshold; its false-positive rate here is {shown}"
        return Figure("recall-at-fpr", positive, model.threshold, measured, (note,))
    aim = FPR if fpr is None else fpr
    threshold = threshold_at(clean.positive, negative, aim)
    chosen_on = f"threshold {threshold:.6g} chosen on {int(negative.sum())} negatives"
    notes = [f"recall at a false-positive rate of at most {aim:g}, {chosen_on}"]
    if negative.sum() * aim < 1:
        notes.append("too few negatives for this rate: the threshold is above all of them")
    return Figure("recall-at-fpr", positive, threshold, aim, tuple(notes))


def batch_size(x: Array) -> int:
    """Return how many inputs to attack together."""
    return int(max(1, min(1024, _CELLS // max(1, x[0].size))))


def resolve(device: str) -> str:
    """Return the device to compute on; `auto` takes an accelerator if there is one."""
    if device != "auto":
        return device
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
