"""TorchScript files. They hold code of their own, but in a language that reaches only tensors."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import torch

from casemate.errors import UsageError
from casemate.targets import digest
from casemate.targets import torch as modules
from casemate.targets.uri import parse

if TYPE_CHECKING:
    from casemate.targets.open import Vet
    from casemate.targets.settings import Settings
    from casemate.targets.tensors import TensorModel


def open(  # noqa: A001 - every target module has an `open`, named by its catalog entry
    uri: str, *, vet: Vet | None, settings: Settings, device: str = "cpu"
) -> TensorModel:
    """Open `torchscript:model.pt`. Its pickles are read by a reader that knows tensors only.

    Raises:
        UsageError: Truncated, or not TorchScript.
        TargetError: The model raises.
    """
    del vet
    parts = parse(uri, settings.root)
    path = parts.path(settings.root)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            module = torch.jit.load(str(path), map_location="cpu")  # type: ignore[no-untyped-call]
    except (RuntimeError, ValueError) as error:
        raise UsageError(
            f"{path.name} is truncated or not TorchScript",
            hint=f"casemate scan {path.name} says what it is",
        ) from error
    identity = digest.of_path(path)
    target = parts.record(settings.root, identity)
    return modules.wrap(module, target, settings, device)
