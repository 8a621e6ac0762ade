"""Anything callable in a Python file: a function from an array of inputs to scores or classes.

If calling it without arguments gives a model of a framework that has a target of its own, that
target takes over.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from casemate.errors import UsageError
from casemate.targets import answers, arrays, digest, factory
from casemate.targets.encoding import decode_all
from casemate.targets.uri import parse

if TYPE_CHECKING:
    from casemate.records.target import Target
    from casemate.targets.capabilities import Array, Model
    from casemate.targets.open import Vet
    from casemate.targets.settings import Settings


def open(  # noqa: A001 - every target module has an `open`, named by its catalog entry
    uri: str, *, vet: Vet | None, settings: Settings, device: str = "cpu"
) -> Model:
    """Open `python:file.py:function` or `python:package.module:function`.

    Raises:
        UsageError: No such function, or it gives nothing that can be asked.
        TargetError: The function raises, or its answers are neither scores nor classes.
    """
    del vet  # the user's own code, which is run as it stands
    parts = parse(uri, settings.root)
    made, code = factory.take(parts, settings.root)
    identity: str | None = code
    if factory.takes_nothing(made):
        made = factory.call(made, f"{parts.factory}()")
    if not factory.is_plain(made):
        identity = digest.of_object(made, start=code)
    target = parts.record(settings.root, identity)
    return wrap(made, target=target, settings=settings, device=device)


def wrap(made: Any, *, target: Target, settings: Settings, device: str = "cpu") -> Model:
    """Make a live object a target: a torch or Keras model, an estimator, or a function.

    Raises:
        UsageError: It is none of these.
        TargetError: It raises, or its answers are neither scores nor classes.
    """
    torch = sys.modules.get("torch")
    keras = sys.modules.get("keras")
    if keras is not None and isinstance(made, keras.Model):
        from casemate.targets import keras as keras_target

        return keras_target.wrap(made, target, settings, device)
    if torch is not None and isinstance(made, torch.nn.Module):
        from casemate.targets import torch as torch_target

        return torch_target.wrap(made, target, settings, device)
    if hasattr(made, "predict") and not isinstance(made, type):
        from casemate.targets import sklearn as sklearn_target

        return sklearn_target.wrap(made, target, settings)
    if not callable(made):
        raise UsageError(
            f"{target.uri} is {type(made).__name__}, neither a model nor a function",
            hint="name a function from an array of inputs to scores or classes",
        )
    return _wrap_function(made, target, settings)


def _wrap_function(function: Any, target: Target, settings: Settings) -> Model:
    encodings = settings.encodings

    def ask(x: Array) -> Any:
        return np.asarray(function(decode_all(x, encodings) if encodings else x))

    sample = answers.sample(settings, None)
    raw = answers.flatten(arrays.answer(ask, sample), len(sample))
    one_column = raw.shape == (len(sample), 1)  # what `flatten` makes of (n,)
    if one_column and raw.dtype.kind in "UOiub":
        return arrays.build_labels(ask, target, settings)
    return arrays.build(ask, target, settings)
