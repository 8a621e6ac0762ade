"""What a target can do, as Protocols; the annotation of an attack's first parameter names one.

Gradients are torch, all the rest is numpy. A target has `scores` only if it can give them; an
attack is offered a target by asking `Model.gives`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import numpy.typing as npt
    import torch

    from casemate.records.target import Target

    Array = npt.NDArray[np.floating[Any]]
    Ints = npt.NDArray[np.int64]
    Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    """(logits (n, classes), y (n,)) -> loss of each row (n,); larger is better for the attacker."""

Capability = Literal["gradients", "scores", "labels"]


@runtime_checkable
class Labels(Protocol):
    """Answers with the class alone."""

    def labels(self, x: Array) -> Ints:
        """Return the predicted class (n,) of inputs (n, ...)."""
        ...


@runtime_checkable
class Scores(Labels, Protocol):
    """Answers with a score per class."""

    kind: Literal["logits", "probabilities"]

    def scores(self, x: Array) -> Array:
        """Return the scores (n, classes) of inputs (n, ...)."""
        ...


@runtime_checkable
class Gradients(Protocol):
    """Can be differentiated with respect to its input."""

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits (n, classes) without recording gradients."""
        ...

    def value_and_grad(
        self, x: torch.Tensor, y: torch.Tensor, loss: Loss
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return logits (n, classes), loss per row (n,) and its gradient per row (n, ...)."""
        ...

    def jacobian(self, x: torch.Tensor, classes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return logits (n, classes) and the gradients (n, k, ...) of k logits named per row.

        Args:
            x: Inputs (n, ...).
            classes: Class indices (n, k).
        """
        ...


class Model(Protocol):
    """An opened target: identity, what it gives, its shape and limits, and the calls it answers."""

    target: Target
    gives: frozenset[Capability]
    classes: int
    shape: tuple[int, ...]
    """Shape of one input, without the batch dimension."""
    lower: float | Array
    """Smallest legal value, a number or an array that broadcasts to one input."""
    upper: float | Array
    threshold: float | None
    """For two classes: class 1 is answered when its probability is at least this; None: 0.5.
    `labels` obeys it; `scores` and `logits` are left as the model gives them."""
    deterministic: bool | None
    """Whether two equal questions gave equal answers; None when not looked at."""
    notes: tuple[str, ...]
    """What was found or decided when it was opened, one line each, for the report."""

    def close(self) -> None:
        """Release what the target holds; safe to call twice."""
        ...
