"""Training the user's model again: their function, or a fresh copy of their estimator.

This runs the user's code. What it returns may be an estimator with `predict`, a torch module, or
any function of inputs that answers classes or a score per class.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from casemate.errors import CasemateError, TargetError, UsageError
from casemate.targets import factory
from casemate.targets.uri import parse_code

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from casemate.targets.capabilities import Array, Ints

    Labeller = Callable[[Array], Ints]
    Train = Callable[[Array, Ints], Labeller]
    """Inputs (n, ...) and classes (n,) to what labels inputs."""


def trainer(model: Any, train: str | Callable[..., Any] | None, root: Path) -> Train:
    """Return what trains a model afresh.

    Args:
        model: The target; a scikit-learn target can train a fresh copy of its own estimator.
        train: `file.py:function` or `package.module:function`, or the function itself: takes
            inputs (n, ...) and classes (n,), returns a model; None: the target's own way.
        root: Folder that a relative path starts from.

    Raises:
        UsageError: There is no way to train, or no such function.
    """
    if train is None:
        own = getattr(model, "refit", None)
        if own is None:
            raise UsageError(
                f"{model.target.uri} cannot be trained again without its training function",
                hint='[model] train = "train.py:train" in casemate.toml; it takes (x, y)',
            )
        return guarded(own, "fit")
    if isinstance(train, str):
        name, place = train, parse_code(train, root)
        if place is None:
            raise UsageError(f"{train} names no function", hint="train.py:train")
        function, _ = factory.take(place, root)
    else:
        function, name = train, getattr(train, "__name__", "the training function")
    if not callable(function):
        raise UsageError(f"{name} is not a function", hint="it takes (x, y) and returns a model")
    return guarded(lambda x, y: labeller(function(x, y), name), name)


def guarded(train: Train, name: str) -> Train:
    """Turn whatever the user's training or model raises into one line."""

    def call(work: Callable[[], Any], doing: str) -> Any:
        try:
            return work()
        except CasemateError:
            raise
        except Exception as error:  # the user's code may raise anything
            text = (str(error).strip().splitlines() or [""])[0][:200]
            raise TargetError(
                f"{doing} raised {type(error).__name__}: {text}",
                hint="it is given arrays: inputs (n, ...) and class numbers (n,)",
            ) from error

    def run(x: Array, y: Ints) -> Labeller:
        made = call(lambda: train(x, y), f"training with {name}")
        return lambda some: np.asarray(call(lambda: made(some), f"the model of {name}"))

    return run


def labeller(made: Any, name: str) -> Labeller:
    """Return a function that labels inputs with whatever kind of model was made.

    Raises:
        UsageError: Nothing that could label.
    """
    if hasattr(made, "predict"):
        return lambda x: _labels(made.predict(x), len(x), name)
    if hasattr(made, "parameters") and callable(made):
        return lambda x: _labels(_torch(made, x), len(x), name)
    if callable(made):
        return lambda x: _labels(made(x), len(x), name)
    raise UsageError(
        f"{name} returned {type(made).__name__}, which cannot label inputs",
        hint="return an estimator with predict, a torch module or a function",
    )


def _torch(module: Any, x: Array) -> Array:
    import torch

    module.eval()
    kind = next((p.dtype for p in module.parameters()), torch.float32)
    with torch.no_grad():
        parts = [
            module(torch.as_tensor(x[i : i + 1024], dtype=kind)) for i in range(0, len(x), 1024)
        ]
    return np.asarray(torch.cat(parts).cpu().numpy())


def _labels(answer: Any, n: int, name: str) -> Ints:
    """Return classes (n,) from classes or from a score per class.

    Raises:
        TargetError: Some other shape.
    """
    given = np.asarray(answer.detach().cpu() if hasattr(answer, "detach") else answer)
    if given.ndim == 2 and given.shape[1] > 1 and len(given) == n:
        return np.asarray(given.argmax(axis=1), np.int64)
    if given.size == n and given.dtype.kind in "biuf" and (given == np.rint(given)).all():
        return np.asarray(given.reshape(n), np.int64)
    raise TargetError(
        f"the model of {name} answered shape {given.shape} to {n} inputs",
        hint="class numbers (n,) or a score per class (n, classes) are expected",
    )
