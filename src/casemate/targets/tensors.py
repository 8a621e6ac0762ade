"""A model that answers tensors and can be differentiated: torch, and whatever becomes torch.

`TensorModel.value_and_grad` is the inner loop of every white-box attack, so it does nothing beyond
one forward and one backward pass but look at the logits once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

from casemate.errors import CasemateError, TargetError, UsageError
from casemate.targets import answers

if TYPE_CHECKING:
    from collections.abc import Callable

    from casemate.records.target import Target
    from casemate.targets.capabilities import Array, Capability, Ints, Loss
    from casemate.targets.settings import Settings

    Forward = Callable[[torch.Tensor], torch.Tensor]
    """Inputs (n, ...) to raw answers (n, columns), differentiable."""

KINDS = ("softmax", "sigmoid")


@dataclass(kw_only=True, eq=False)
class TensorModel:
    """Implements `Gradients`, `Scores` and `Labels` over one differentiable function."""

    target: Target
    forward: Forward
    reading: answers.Reading
    shape: tuple[int, ...]
    lower: float | Array
    upper: float | Array
    device: torch.device
    dtype: torch.dtype
    batch: int = 512
    deterministic: bool | None = None
    notes: tuple[str, ...] = ()
    class_names: tuple[str, ...] | None = None
    gives: frozenset[Capability] = frozenset({"gradients", "scores", "labels"})
    kind: Literal["logits", "probabilities"] = "logits"
    """Probabilities of the model are handed on as their logarithms."""
    undo: Callable[[], None] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        self.classes = self.reading.classes
        self.threshold = self.reading.threshold

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits (n, classes) without recording gradients."""
        with torch.no_grad():
            return self._answer(x)

    def value_and_grad(
        self, x: torch.Tensor, y: torch.Tensor, loss: Loss
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return logits (n, classes), loss per row (n,) and its gradient per row (n, ...)."""
        x = x.detach().requires_grad_()
        with torch.enable_grad():
            logits = self._answer(x)
            rows = loss(logits, y)
            (grad,) = self._differentiate(rows.sum(), x)
        return logits.detach(), rows.detach(), grad

    def jacobian(self, x: torch.Tensor, classes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return logits (n, classes) and the gradients (n, k, ...) of k logits named per row."""
        x = x.detach().requires_grad_()
        k = classes.shape[1]
        with torch.enable_grad():
            logits = self._answer(x)
            sums = logits.gather(1, classes).sum(0)
            grads = x.new_empty(len(x), k, *x.shape[1:])
            for i in range(k):
                grads[:, i] = self._differentiate(sums[i], x, retain=i < k - 1)[0]
        return logits.detach(), grads

    def scores(self, x: Array) -> Array:
        """Return the logits (n, classes) of an array of inputs."""
        parts = [
            self.logits(self._tensor(x[i : i + self.batch])).cpu().numpy()
            for i in range(0, len(x), self.batch)
        ]
        if not parts:
            return np.zeros((0, self.classes), np.float32)
        whole = np.concatenate(parts) if len(parts) > 1 else parts[0]
        return np.asarray(whole, np.float64 if whole.dtype == np.float64 else np.float32)

    def labels(self, x: Array) -> Ints:
        """Return the predicted class (n,) of an array of inputs."""
        return self.reading.labels(self.scores(x))

    def close(self) -> None:
        """Give the module back as it was; safe to call twice."""
        undo, self.undo = self.undo, None
        if undo is not None:
            undo()

    def _tensor(self, x: Array) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(x)).to(self.device)

    def _answer(self, x: torch.Tensor) -> torch.Tensor:
        try:
            raw = self.forward(x if x.dtype == self.dtype else x.to(self.dtype))
        except CasemateError:
            raise
        except Exception as error:  # a user's model may raise anything
            raise failure(error, tuple(x.shape[1:]), self.shape) from error
        columns = 1 if self.reading.single else self.reading.classes
        if raw.shape != (len(x), columns):
            raise TargetError(
                f"the model answered {tuple(raw.shape)} where ({len(x)}, {columns}) was expected"
            )
        logits = self.reading.tensor(raw)
        # The sum is finite unless an element is not; one that merely overflows is looked at again.
        if not torch.isfinite(logits.detach().sum()):
            answers.refuse_non_finite(logits.detach().cpu().numpy())
        return logits

    def _differentiate(
        self, value: torch.Tensor, x: torch.Tensor, *, retain: bool = False
    ) -> tuple[torch.Tensor, ...]:
        try:
            return torch.autograd.grad(value, x, retain_graph=retain)
        except RuntimeError as error:
            raise TargetError(
                f"the model cannot be differentiated: {str(error).splitlines()[0]}",
                hint="its forward detaches, rounds or leaves torch; attack it by scores instead",
            ) from error


def failure(error: Exception, given: tuple[int, ...], expected: tuple[int, ...]) -> TargetError:
    """Return one line for whatever a model raised, with the shapes that were in play."""
    text = str(error).strip().splitlines()
    message = text[0][:300] if text else "no message"
    hint = f"one input had the shape {given}"
    if given != expected:
        hint += f", the model takes {expected}"
    return TargetError(f"the model raised {type(error).__name__}: {message}", hint=hint)


def build(
    forward: Forward,
    target: Target,
    settings: Settings,
    *,
    device: torch.device,
    dtype: torch.dtype,
    shape: tuple[int, ...] | None = None,
    expects: str = "",
    notes: tuple[str, ...] = (),
    undo: Callable[[], None] | None = None,
) -> TensorModel:
    """Try a differentiable function on a sample, settle how its answers are read, and wrap it.

    Args:
        forward: Inputs to raw answers; may return a tensor, a tuple, a list or a mapping.
        target: Its identity.
        settings: Bounds, sample, shape, scores, output.
        device: Where the inputs go.
        dtype: What the inputs are converted to.
        shape: Shape of one input, where the model itself says so.
        expects: What the model is known to take, for the hint when it refuses the sample.
        notes: What is already to be said.
        undo: Called once by `close`.

    Raises:
        TargetError: It raises, or answers something that is not a finite score per class.
        UsageError: The shape of its inputs is not known, or the settings contradict it.
    """
    sample = answers.sample(settings, shape)
    inputs = torch.from_numpy(np.ascontiguousarray(sample)).to(device, dtype)
    pick = _picker(settings.output)

    def flat(x: torch.Tensor) -> torch.Tensor:
        return _flat(pick(forward(x)), len(x))

    def ask(x: torch.Tensor) -> torch.Tensor:
        try:
            with torch.no_grad():
                return flat(x)
        except CasemateError:
            raise
        except Exception as error:  # a user's model may raise anything
            wrapped = failure(error, sample.shape[1:], shape or sample.shape[1:])
            wrapped.hint += f"; {expects}" if expects else ""
            raise wrapped from error

    raw = ask(inputs).cpu().numpy()
    again = ask(inputs).cpu().numpy()
    deterministic = bool(np.array_equal(raw, again, equal_nan=True))
    if not deterministic:
        notes += ("the model answers the same question differently each time",)
    reading, guessed = answers.read(raw, len(sample), settings)
    ready: Forward = flat
    note = ""
    if reading.kind == "probabilities" and deterministic:
        ready, reading, note = _before_the_end(flat, reading, inputs)
    lower, upper = settings.bounds or (0.0, 1.0)
    return TensorModel(
        target=target,
        forward=ready,
        reading=reading,
        shape=sample.shape[1:],
        lower=lower,
        upper=upper,
        device=device,
        dtype=dtype,
        batch=settings.batch,
        deterministic=deterministic,
        notes=(*notes, *guessed, *((note,) if note else ())),
        class_names=settings.class_names,
        undo=undo,
    )


class _Squashing(torch.overrides.TorchFunctionMode):
    """Remembers the last softmax or sigmoid that was called: what went in and what came out."""

    def __init__(self) -> None:
        super().__init__()
        self.last: tuple[torch.Tensor, torch.Tensor] | None = None

    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        out = function(*args, **(kwargs or {}))
        if getattr(function, "__name__", "") in KINDS and args and isinstance(out, torch.Tensor):
            self.last = (args[0], out)
        return out


def _before_the_end(
    forward: Forward, reading: answers.Reading, inputs: torch.Tensor
) -> tuple[Forward, answers.Reading, str]:
    """Return a forward that stops before a final softmax or sigmoid, where the model ends in one.

    Float32 probabilities of a confident model are exactly 0 and 1 and have no gradient left; what
    goes into the last squashing has.
    """

    def logits(x: torch.Tensor) -> torch.Tensor:
        with _Squashing() as seen:
            out = forward(x)
        if seen.last is None:
            return out
        before, after = seen.last
        same = after is out or after.data_ptr() == out.data_ptr()
        return _flat(before, len(x)) if same else out

    with torch.no_grad():
        plain, early = forward(inputs), logits(inputs)
    if early.shape != plain.shape or early is plain or torch.equal(early, plain):
        return forward, reading, "attacks use the logarithm of the model's probabilities"
    squashed = torch.sigmoid(early) if reading.single else torch.softmax(early, 1)
    if not torch.allclose(squashed, plain, atol=1e-4):
        return forward, reading, "attacks use the logarithm of the model's probabilities"
    note = "the model ends in a softmax or sigmoid; attacks use the logits that go into it"
    return logits, reading._replace(kind="logits"), note


def _picker(output: str | int | None) -> Callable[[Any], torch.Tensor]:
    def pick(out: Any) -> torch.Tensor:
        if isinstance(out, torch.Tensor):
            return out
        if isinstance(out, dict) or hasattr(out, "keys"):
            names = [str(name) for name in out]
            name = output if output is not None else "logits" if "logits" in names else None
            if name is None and len(names) == 1:
                name = names[0]
            if name not in names:
                raise UsageError(
                    f"the model answers {', '.join(names)}",
                    hint="say which one holds the scores: output = NAME",
                )
            return pick(out[name])
        if isinstance(out, tuple | list) and out:
            position = output if isinstance(output, int) else 0
            if position >= len(out):
                raise UsageError(f"the model has {len(out)} outputs, none at position {position}")
            return pick(out[position])
        raise TargetError(f"the model answered {type(out).__name__}, not a tensor")

    return pick


def _flat(raw: torch.Tensor, n: int) -> torch.Tensor:
    if raw.ndim == 1 and len(raw) == n:
        return raw[:, None]
    while raw.ndim > 2 and raw.shape[-1] == 1:
        raw = raw[..., 0]
    return raw
