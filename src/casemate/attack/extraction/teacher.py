"""The teacher: the only door to the model that is being copied.

It counts every input asked about, never goes beyond the budget, and keeps what was answered.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from casemate.errors import BudgetSpent, TargetError

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from casemate.targets.capabilities import Array

    Doubles = npt.NDArray[np.float64]

_CHUNK = 1024


class Teacher:
    """Answers in probabilities, as far as the budget goes.

    Args:
        model: The target; its scores are used where it gives any, else its labels.
        budget: Inputs that may be asked about in all.
        deadline: `time.monotonic()` at which to stop.
        tick: Told the number of inputs asked about so far.
    """

    def __init__(
        self,
        model: Any,
        budget: int,
        *,
        deadline: float | None = None,
        tick: Callable[[int], None] | None = None,
    ) -> None:
        self.model, self.budget, self.asked = model, budget, 0
        self.classes = int(model.classes)
        self.soft = "scores" in model.gives
        self._deadline, self._tick = deadline, tick
        self._x: list[Array] = []
        self._p: list[Doubles] = []

    @property
    def left(self) -> int:
        """Inputs that may still be asked about."""
        return self.budget - self.asked

    @property
    def lessons(self) -> tuple[Array, Doubles]:
        """All inputs asked about so far (n, ...) and the answers (n, classes)."""
        return np.concatenate(self._x), np.concatenate(self._p)

    def ask(self, x: Array) -> None:
        """Ask about inputs (n, ...), or as many of them as the budget allows.

        Raises:
            BudgetSpent: Not all of them could be asked about.
            TargetError: The model failed or answered NaN.
        """
        allowed = x[: self.left]
        for first in range(0, len(allowed), _CHUNK):
            if self._deadline is not None and time.monotonic() >= self._deadline:
                raise BudgetSpent("stopped at its deadline")
            part = allowed[first : first + _CHUNK]
            answer = probabilities(self.model, part) if self.soft else self._one_hot(part)
            if not np.isfinite(answer).all():
                raise TargetError("the model answered NaN", hint="look at the range of its inputs")
            self._x.append(part)
            self._p.append(answer)
            self.asked += len(part)
            if self._tick is not None:
                self._tick(self.asked)
        if len(allowed) < len(x):
            raise BudgetSpent(f"the budget of {self.budget} queries is spent")

    def _one_hot(self, x: Array) -> Doubles:
        return np.asarray(np.eye(self.classes)[np.asarray(self.model.labels(x))])


def probabilities(model: Any, x: Array) -> Doubles:
    """Return the model's scores as probabilities (n, classes), the largest of which it decides for.

    A target with a threshold of its own decides otherwise; its odds are shifted to make it so.
    """
    scores = np.asarray(model.scores(x), np.float64)
    if model.kind != "probabilities":
        scores = np.exp(np.minimum(scores - scores.max(axis=1, keepdims=True), 0))
    if model.threshold is not None:
        bar = min(max(float(model.threshold), 1e-12), 1 - 1e-12)
        scores = scores * np.array([bar, 1 - bar])
    return np.asarray(scores / np.maximum(scores.sum(axis=1, keepdims=True), 1e-300))
