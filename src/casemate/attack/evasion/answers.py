"""What the target itself answers, asked before and after an attack and outside it.

Scores come first, labels next, logits last: where a target gives gradients through a copy of the
model (ONNX), its scores come from the real thing. Rows at which the target is random are asked
repeatedly.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from casemate.attack.measure import margins
from casemate.errors import CasemateError, TargetError

if TYPE_CHECKING:
    import numpy.typing as npt

    from casemate.targets.capabilities import Array, Ints

CHUNK = 1024
_SAMPLE = 64


class Answer(NamedTuple):
    """The target's answer to a batch."""

    label: Ints
    margin: npt.NDArray[np.float64] | None
    """Score of the true class less the best other one; None where the target gives labels only."""
    positive: npt.NDArray[np.float64] | None
    """Probability of class 1, for two classes."""


def ask(model: Any, x: Array, y: Ints, threshold: float | None, device: str = "cpu") -> Answer:
    """Return labels and margins of inputs (n, ...), deciding as the target decides.

    Args:
        model: The target.
        x: Inputs.
        y: True classes, for the margin.
        threshold: Of the probability of class 1; None: the largest score wins.
        device: Where logits are computed.

    Raises:
        TargetError: The model raised, or answered NaN or something of the wrong shape.
    """
    parts = [
        _one(model, x[i : i + CHUNK], y[i : i + CHUNK], threshold, device)
        for i in range(0, len(x), CHUNK)
    ]
    if not parts:
        return Answer(np.zeros(0, np.int64), None, None)
    label, margin, positive = zip(*parts, strict=True)
    return Answer(
        np.concatenate(label),
        None if margin[0] is None else np.concatenate(margin),
        None if positive[0] is None else np.concatenate(positive),
    )


def _one(model: Any, x: Array, y: Ints, threshold: float | None, device: str) -> Answer:
    try:
        scores = _scores(model, x, device)
        label = np.asarray(model.labels(x), np.int64) if scores is None else None
    except CasemateError:
        raise
    except Exception as error:  # the model is the user's code and may raise anything
        raise TargetError(
            f"the model raised {type(error).__name__}: {_first_line(error)}",
            hint=f"it was given inputs of shape {x.shape} and type {x.dtype}",
        ) from error
    if scores is None:
        return Answer(_checked(label, len(x)), None, None)
    if scores.shape != (len(x), model.classes):
        raise TargetError(
            f"the model answered shape {scores.shape} to {len(x)} inputs",
            hint=f"one row of {model.classes} scores per input is expected",
        )
    if np.isnan(scores).any():
        bad = np.flatnonzero(np.isnan(scores).any(axis=1))
        raise TargetError(
            f"the model answered NaN for {len(bad)} of {len(x)} inputs, the first at row {bad[0]}",
            hint="look at the model's last layer and at the range of its inputs",
        )
    kind = "logits" if "scores" not in model.gives else model.kind
    positive = _positive(scores, kind) if scores.shape[1] == 2 else None
    if threshold is None or positive is None:
        return Answer(scores.argmax(axis=1), margins(scores, y), positive)
    if kind == "logits":
        bar = min(max(threshold, 1e-12), 1 - 1e-12)
        ahead = scores[:, 1] - scores[:, 0] - math.log(bar / (1 - bar))
    else:
        ahead = positive - threshold
    label = (positive >= threshold).astype(np.int64)
    return Answer(label, np.where(y == 1, ahead, -ahead), positive)


def _scores(model: Any, x: Array, device: str) -> Array | None:
    if "scores" in model.gives:
        return np.asarray(model.scores(x), np.float64)
    if "labels" in model.gives or "gradients" not in model.gives:
        return None
    import torch

    return np.asarray(model.logits(torch.as_tensor(x, device=device)).double().cpu().numpy())


def _positive(scores: Array, kind: str) -> npt.NDArray[np.float64]:
    if kind == "logits":
        ahead = np.clip(scores[:, 1] - scores[:, 0], -700, 700)
        return np.asarray(1 / (1 + np.exp(-ahead)))
    return np.asarray(scores[:, 1], np.float64)


def _checked(label: Ints | None, n: int) -> Ints:
    if label is None or label.shape != (n,):
        shape = None if label is None else label.shape
        raise TargetError(f"the model answered labels of shape {shape} to {n} inputs")
    return label


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [""])[0][:200]


def wavers(model: Any, x: Array, y: Ints, threshold: float | None, device: str) -> bool:
    """Say whether the target gives two answers to the same question, on the first inputs."""
    x, y = x[:_SAMPLE], y[:_SAMPLE]
    first, second = (ask(model, x, y, threshold, device) for _ in range(2))
    if first.margin is None or second.margin is None:
        return bool((first.label != second.label).any())
    scale = np.maximum(1.0, np.abs(first.margin))
    return bool((np.abs(first.margin - second.margin) > 1e-4 * scale).any())


def ask_often(
    model: Any, x: Array, y: Ints, threshold: float | None, device: str, draws: int = 20
) -> Answer:
    """Ask a random target `draws` times; the label is the true one if it is answered mostly."""
    answers = [ask(model, x, y, threshold, device) for _ in range(draws)]
    wrong = np.stack([a.label != y for a in answers]).mean(axis=0)
    last = answers[-1].label.copy()
    for answer in answers:
        last = np.where((last == y) & (answer.label != y), answer.label, last)
    margin = None
    if answers[0].margin is not None:
        margin = np.mean([a.margin for a in answers if a.margin is not None], axis=0)
    return Answer(np.where(wrong > 0.5, last, y), margin, answers[-1].positive)
