"""The oracle as attacks see it: one Protocol per capability, and the rows they all work on.

The annotation of an attack's first parameter is `Gradients`, `Scores` or `Labels` from here: the
capability of that name in `casemate.targets.capabilities`, asked through `casemate.attack.oracle`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import torch

    from casemate.attack.domain import Domain
    from casemate.targets.capabilities import Array, Capability, Ints, Loss

    Rows = npt.NDArray[np.int64]
    Mask = npt.NDArray[np.bool_]


class Rounds(Protocol):
    """The bookkeeping every attack may use, whatever it asks the model."""

    rows: Rows
    """The inputs that the next question is about, as indices into the batch given."""
    distance: npt.NDArray[np.float64]
    """Distance of the best candidate of each input of the batch, in the run's norm; inf: none."""
    classes: int
    domain: Domain
    gives: frozenset[Capability]
    """What the target gives, for attacks that can use more than they need."""
    notes: list[str]
    """What a reader of the Trial must know, said by the attack."""

    def shed(self, *tensors: Any) -> tuple[Any, ...]:
        """Leave out rows that are done (fooled, or out of budget) and return the rest of each."""
        ...

    def keep(self, mask: Mask, *tensors: Any) -> tuple[Any, ...]:
        """Go on with the rows of `rows` where the mask is true only."""
        ...

    def restart(self, *tensors: Any) -> tuple[Any, ...]:
        """Return to the inputs of the whole batch that are not done; tensors cover the batch."""
        ...

    def left(self, rows: Rows | None = None) -> npt.NDArray[np.int64] | None:
        """Return the evaluations left to each row, None without a budget."""
        ...


class Labels(Rounds, Protocol):
    """The capability `Labels` of a target, asked through the oracle."""

    def labels(self, x: Array, rows: Rows | None = None) -> Ints:
        """Return the predicted class (n,) of inputs (n, ...), which are about `rows`."""
        ...


class Scores(Labels, Protocol):
    """The capability `Scores` of a target, asked through the oracle."""

    kind: Literal["logits", "probabilities"]

    def scores(self, x: Array, rows: Rows | None = None) -> Array:
        """Return the scores (n, classes) of inputs (n, ...), which are about `rows`."""
        ...


class Gradients(Rounds, Protocol):
    """The capability `Gradients` of a target, asked through the oracle."""

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits (n, classes), without gradients."""
        ...

    def value_and_grad(
        self, x: torch.Tensor, y: torch.Tensor, loss: Loss
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return logits (n, classes), loss per row (n,) and its gradient per row (n, ...)."""
        ...

    def jacobian(self, x: torch.Tensor, classes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return logits (n, classes) and gradients (n, k, ...) of the k logits named per row."""
        ...

    def examples(self) -> torch.Tensor:
        """Return the best candidate of each of `rows`; the input itself where there is none."""
        ...

    def box(self, eps: float | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the smallest and largest legal value of every cell of the whole batch.

        Args:
            eps: Also no further than this from the input, rounded inward; None: legal values only.
        """
        ...
