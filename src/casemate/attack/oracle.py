"""The oracle: an attack's only door to the model.

It counts every input passed forward and backward, holds each input to its budget, and keeps for
each input the best candidate that it saw fool the model within the limits. An attack works on
*rows*: `oracle.rows` says which inputs the tensors of its next question are about, `shed` leaves
out those that need no more work. What the oracle believes is measured again by the run loop.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from casemate.attack.measure import ORDER, distances, margins
from casemate.errors import BudgetSpent, Refused, TargetError

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt
    import torch

    from casemate.attack.domain import Domain
    from casemate.targets.capabilities import Array, Ints, Loss

    Rows = npt.NDArray[np.int64]
    Mask = npt.NDArray[np.bool_]

SURE = 2e-6
"""Share of the largest score by which a candidate must be ahead: another batch size turns less."""
CLEAR = 1e-4
"""A margin smaller than this is within what batch size and hardware can turn: keep trying."""


class Oracle:
    """One batch of inputs under attack: implements the Protocols of `casemate.attack.questions`.

    Args:
        model: The target.
        x: The inputs (n, ...): a tensor on the model's device for gradients, else an array.
        y: True classes (n,).
        domain: What may be sent at all.
        norm: Norm of the distance.
        eps: Radius; None for a search for the smallest change.
        budget: Evaluations, forward and backward together, allowed to each input.
        drop: Whether fooled rows are done. False only to compare costs at equal evaluations.
        chunk: Most inputs handed to the model in one call.
        threshold: For two classes: class 1 is answered when its probability is at least this.
            Folded into the scores that an attack sees, so that the largest one wins.
        deadline: `time.monotonic()` at which to stop.
        tick: Called after every question.
    """

    def __init__(
        self,
        model: Any,
        x: Any,
        y: Ints,
        *,
        domain: Domain,
        norm: str,
        eps: float | None,
        budget: int | None = None,
        drop: bool = True,
        chunk: int = 4096,
        threshold: float | None = None,
        deadline: float | None = None,
        tick: Callable[[Oracle], None] | None = None,
    ) -> None:
        n = len(y)
        self.model, self.x, self.y, self.domain = model, x, y, domain
        self.norm, self.eps, self.budget, self.drop = norm, eps, budget, drop
        self.classes = int(model.classes)
        self.kind = getattr(model, "kind", "logits")
        self.gives = frozenset(getattr(model, "gives", ()))
        self.rows: Rows = np.arange(n)
        self.forward = np.zeros(n, np.int64)
        self.backward = np.zeros(n, np.int64)
        self.distance = np.full(n, np.inf)
        self.margin = np.full(n, np.inf)
        self.done = np.zeros(n, bool)
        self.zero_gradients = 0
        self.bad_gradients = 0
        self.notes: list[str] = []
        self.best = x.clone() if hasattr(x, "clone") else np.array(x)
        self._chunk, self._deadline, self._tick = chunk, deadline, tick
        odds = (
            None if threshold in (None, 0.5) else min(max(float(threshold or 0), 1e-12), 1 - 1e-12)
        )
        self._shift = 0.0 if odds is None else math.log(odds / (1 - odds))
        self._torch_rows: tuple[Rows, torch.Tensor] | None = None

    # --- rows ---

    def shed(self, *tensors: Any) -> tuple[Any, ...]:
        """Leave out rows that are done (fooled, or out of budget) and return the rest of each."""
        return self.keep(~self._finished(self.rows), *tensors)

    def keep(self, mask: Mask, *tensors: Any) -> tuple[Any, ...]:
        """Go on with the rows of `rows` where the mask is true only."""
        if mask.all():
            return tensors
        self.rows = self.rows[mask]
        return _pick(np.flatnonzero(mask), tensors)

    def restart(self, *tensors: Any) -> tuple[Any, ...]:
        """Return to the inputs of the whole batch that are not done; tensors cover the batch."""
        every = np.arange(len(self.y))
        self.rows = every[~self._finished(every)]
        return tensors if len(self.rows) == len(every) else _pick(self.rows, tensors)

    def left(self, rows: Rows | None = None) -> npt.NDArray[np.int64] | None:
        """Return the evaluations left to each row, None without a budget."""
        if self.budget is None:
            return None
        rows = self.rows if rows is None else rows
        return np.asarray(self.budget - self.forward[rows] - self.backward[rows])

    def _finished(self, rows: Rows) -> Mask:
        finished = self.done[rows] if self.drop else np.zeros(len(rows), bool)
        left = self.left(rows)
        return finished if left is None else finished | (left <= 0)

    # --- questions ---

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits (n, classes), without gradients."""
        return cast("torch.Tensor", self._ask(x, self.rows, self._forward))

    def labels(self, x: Array, rows: Rows | None = None) -> Ints:
        """Return the predicted class (n,) of inputs (n, ...), which are about `rows`."""
        rows = self.rows if rows is None else rows
        return cast("Ints", self._ask(x, rows, self._labels))

    def scores(self, x: Array, rows: Rows | None = None) -> Array:
        """Return the scores (n, classes) of inputs (n, ...), which are about `rows`."""
        rows = self.rows if rows is None else rows
        return cast("Array", self._ask(x, rows, self._scores))

    def value_and_grad(
        self, x: torch.Tensor, y: torch.Tensor, loss: Loss
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return logits (n, classes), loss per row (n,) and its gradient per row (n, ...)."""
        shifted: Loss = loss if not self._shift else lambda z, t: loss(self._shifted(z), t)
        x = self._legal(x, self.rows)
        able = self._able(self.rows, 2)
        if able.all():
            parts = [
                self.model.value_and_grad(x[part], y[part], shifted) for part in self._parts(len(x))
            ]
            logits, value, grad = (
                parts[0] if len(parts) == 1 else map(_concat, zip(*parts, strict=True))
            )
            self._charge(self.rows, 1, 1)
            logits = self._shifted(logits)
            self._look(x, self.rows, logits)
            self._watch_gradient(grad)
            return logits, value, grad
        # The last evaluation of a row still looks at it, but cannot also differentiate.
        rows, whole = self.rows, np.flatnonzero(able)
        rest = np.flatnonzero(~able)
        zero = x.new_zeros(len(x), self.classes), x.new_zeros(len(x)), x.new_zeros(x.shape)
        try:
            if len(whole):
                self.rows = rows[whole]
                (xw, yw) = _pick(whole, (x, y))
                for out, part in zip(zero, self.value_and_grad(xw, yw, loss), strict=True):
                    out[whole] = part
            self.rows = rows[rest]
            zero[0][rest] = self.logits(x[rest])
        finally:
            self.rows = rows
        if not len(whole):
            raise BudgetSpent(f"the budget of {self.budget} evaluations per input is spent")
        return zero

    def jacobian(self, x: torch.Tensor, classes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return logits (n, classes) and gradients (n, k, ...) of the k logits named per row."""
        k = classes.shape[1]
        x = self._legal(x, self.rows)
        able = self._able(self.rows, 1 + k)
        if not able.all():
            whole = np.flatnonzero(able)
            rows = self.rows
            rest = rows[~able]
            if len(whole):
                self.rows = rows[whole]
                self.jacobian(*_pick(whole, (x, classes)))
            self.rows = rest
            self.logits(x[np.flatnonzero(~able)])
            raise BudgetSpent(f"the budget of {self.budget} evaluations per input is spent")
        parts = [self.model.jacobian(x[part], classes[part]) for part in self._parts(len(x))]
        logits, grads = parts[0] if len(parts) == 1 else map(_concat, zip(*parts, strict=True))
        self._charge(self.rows, 1, k)
        logits = self._shifted(logits)
        self._look(x, self.rows, logits)
        return logits, grads

    def examples(self) -> torch.Tensor:
        """Return the best candidate of each of `rows`; the input itself where there is none."""
        return cast("torch.Tensor", _pick(self.rows, (self.best,))[0])

    def box(self, eps: float | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the smallest and largest legal value of every cell of the whole batch."""
        from casemate.attack.ops.balls import box

        return box(self.x, eps, self.domain)

    # --- behind the door ---

    def _ask(self, x: Any, rows: Rows, answer: Callable[[Any], Any]) -> Any:
        """Ask about the rows that can afford it; stop when not all of them could."""
        x = self._legal(x, rows)
        able = self._able(rows, 1)
        if able.all():
            return self._answer(x, rows, answer)
        index = np.flatnonzero(able)
        if len(index):
            self._answer(x[index], rows[index], answer)
        raise BudgetSpent(f"the budget of {self.budget} evaluations per input is spent")

    def _answer(self, x: Any, rows: Rows, answer: Callable[[Any], Any]) -> Any:
        parts = []
        for part in self._parts(len(x)):
            try:
                parts.append(answer(x[part]))
            except Refused:
                self._charge(rows[part], 1, 0)  # asked all the same
                raise
            self._charge(rows[part], 1, 0)
        out = parts[0] if len(parts) == 1 else _concat(parts)
        self._look(x, rows, out)
        return out

    def _forward(self, x: torch.Tensor) -> torch.Tensor:
        return cast("torch.Tensor", self._shifted(self.model.logits(x)))

    def _labels(self, x: Array) -> Ints:
        if self._shift and "scores" in self.model.gives:
            return np.asarray(self._scores(x).argmax(axis=1), np.int64)
        return np.asarray(self.model.labels(x), np.int64)

    def _scores(self, x: Array) -> Array:
        scores = np.asarray(self.model.scores(x))
        if not self._shift:
            return scores
        if self.kind == "logits":
            return cast("Array", self._shifted(scores))
        weighed = scores * np.array(
            [1 / (1 + math.exp(-self._shift)), 1 / (1 + math.exp(self._shift))]
        )
        return np.asarray(weighed / weighed.sum(axis=1, keepdims=True), scores.dtype)

    def _shifted(self, logits: Any) -> Any:
        if not self._shift:
            return logits
        add = [self._shift, 0.0]
        return logits + (logits.new_tensor(add) if hasattr(logits, "new_tensor") else np.array(add))

    def _legal(self, x: Any, rows: Rows) -> Any:
        """Return what would really be sent: for a declared table the nearest legal rows."""
        if not self.domain.columns:
            return x
        if isinstance(x, np.ndarray):
            return self.domain.project(x, self.x[rows])
        legal = self.domain.project(x.detach().cpu().numpy(), self.x[rows].cpu().numpy())
        return x.new_tensor(legal)

    def _parts(self, n: int) -> list[slice]:
        return [slice(i, min(i + self._chunk, n)) for i in range(0, n, self._chunk)] or [
            slice(0, 0)
        ]

    def _able(self, rows: Rows, cost: int) -> Mask:
        """Say which inputs of a question can be paid for, counting repeats of a row in order."""
        if self._deadline is not None and time.monotonic() >= self._deadline:
            raise BudgetSpent("the time given is spent")
        left = self.left(rows)
        if left is None:
            return np.ones(len(rows), bool)
        order = np.argsort(rows, kind="stable")
        ordered = rows[order]
        first = np.searchsorted(ordered, ordered, "left")
        before = np.empty(len(rows), np.int64)
        before[order] = np.arange(len(rows)) - first
        return np.asarray((before + 1) * cost <= left)

    def _charge(self, rows: Rows, forward: int, backward: int) -> None:
        counts = np.bincount(rows, minlength=len(self.y))
        self.forward += forward * counts
        if backward:
            self.backward += backward * counts

    def _watch_gradient(self, grad: torch.Tensor) -> None:
        import torch

        sizes = torch.linalg.vector_norm(grad.flatten(1), 2, dim=1).cpu().numpy()
        suspects = np.flatnonzero((sizes == 0) | ~np.isfinite(sizes))
        if not len(suspects):
            return
        known = ~np.isfinite(sizes)
        if known.any():
            self.bad_gradients += int(known.sum())
            torch.nan_to_num_(grad, nan=0.0, posinf=0.0, neginf=0.0)
        standing = ~np.isfinite(self.distance[self.rows[suspects]])
        zero = (grad[suspects[standing]].flatten(1) == 0).all(1)
        self.zero_gradients += int(zero.sum())

    def _look(self, x: Any, rows: Rows, answer: Any) -> None:
        """Remember the inputs that fool the model and are within the limits."""
        margin, top = self._margin(answer, rows)
        # Of a fooled row the two scores in play are the largest and, `margin` below it, its own.
        fooled = margin < -SURE * np.maximum(1.0, np.maximum(np.abs(top), np.abs(top + margin)))
        if fooled.any():
            self._record(x, rows, margin, np.flatnonzero(fooled))
        if self._tick is not None:
            self._tick(self)

    def _margin(self, answer: Any, rows: Rows) -> tuple[npt.NDArray[np.float64], Any]:
        """Return the margin of the true class and the largest score, per row."""
        top: Any
        if isinstance(answer, np.ndarray):
            if answer.ndim == 1:
                return np.where(answer == self.y[rows], 1.0, -1.0), 0.0
            margin, top = margins(answer, self.y[rows]), answer.max(axis=1)
        else:
            from casemate.attack.ops.losses import margin as margin_of

            margin = -margin_of(answer, self._labels_on(answer, rows)).cpu().numpy()
            top = answer.amax(1).cpu().numpy()
        if np.isnan(margin).any():
            bad = int(np.isnan(margin).sum())
            raise TargetError(
                f"the model answered NaN for {bad} of {len(rows)} inputs",
                hint="look at the model's last layer and at the range of its inputs",
            )
        return margin.astype(np.float64), top

    def _labels_on(self, like: torch.Tensor, rows: Rows) -> torch.Tensor:
        """Return the true classes of `rows` as a tensor, kept while the rows stay the same."""
        import torch

        if self._torch_rows is None or self._torch_rows[0] is not rows:
            self._torch_rows = (rows, torch.as_tensor(self.y[rows], device=like.device))
        return self._torch_rows[1]

    def _record(self, x: Any, rows: Rows, margin: npt.NDArray[np.float64], index: Rows) -> None:
        if self.eps is not None:  # within a radius only the margin counts, and done is done
            index = index[margin[index] < self.margin[rows[index]]]
            index = index[~self.done[rows[index]]]
            if not len(index):
                return
        chosen, origin = x[index], self.x[rows[index]]
        if isinstance(x, np.ndarray) or self.eps is not None or self.domain.columns:
            chosen_np, origin_np = _numpy(chosen), _numpy(origin)
            away = distances(chosen_np, origin_np, self.norm)
            good = self.domain.holds(chosen_np, origin_np)
        else:
            away, good = self._measure(chosen, origin)
        if self.eps is not None:
            good &= away <= self.eps
            quality, best = margin[index], self.margin
        else:
            quality, best = away, self.distance
        # In l0 distances tie all the time: there an attack asks about the better ones last.
        good &= (
            (quality <= best[rows[index]]) if self.norm == "l0" else (quality < best[rows[index]])
        )
        if not good.any():
            return
        index, away, quality = index[good], away[good], quality[good]
        first = np.lexsort((quality, rows[index]))
        _, take = np.unique(rows[index][first], return_index=True)
        index, away = index[first[take]], away[first[take]]
        at = rows[index]
        self.best[at] = x[index]
        self.distance[at], self.margin[at] = away, margin[index]
        if self.eps is not None:
            self.done[at] = margin[index] <= -CLEAR

    def _measure(self, x: torch.Tensor, origin: torch.Tensor) -> tuple[Any, Mask]:
        """Return distances and legality without leaving the device."""
        import torch

        from casemate.attack.ops.balls import size

        lower = torch.as_tensor(self.domain.lower, dtype=x.dtype, device=x.device)
        upper = torch.as_tensor(self.domain.upper, dtype=x.dtype, device=x.device)
        legal = ((x >= lower) & (x <= upper)).flatten(1).all(1)
        away = size(x - origin, ORDER[self.norm])
        return away.double().cpu().numpy(), legal.cpu().numpy()


def _pick(index: Rows, tensors: tuple[Any, ...]) -> tuple[Any, ...]:
    if not tensors or isinstance(tensors[0], np.ndarray):
        return tuple(t[index] for t in tensors)
    import torch

    at = torch.from_numpy(index).to(tensors[0].device)
    return tuple(t.index_select(0, at) for t in tensors)


def _numpy(x: Any) -> Array:
    return x if isinstance(x, np.ndarray) else x.detach().cpu().numpy()


def _concat(parts: Any) -> Any:
    parts = list(parts)
    if isinstance(parts[0], np.ndarray):
        return np.concatenate(parts)
    import torch

    return torch.cat(parts)
