"""TorchScript files. They hold code of their own, in a language of tensors that can touch files."""

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

    Its program can still write and map files (`torch.save`, `torch.from_file`), so `vet`, where
    there is one, looks at it first.

    Raises:
        UsageError: Truncated, not TorchScript, or `vet` refuses it.
        TargetError: The model raises.
    """
    parts = parse(uri, settings.root)
    path = parts.path(settings.root)
    seen = path if vet is None else vet(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            module = torch.jit.load(str(seen), map_location="cpu")  # type: ignore[no-untyped-call]
    except (RuntimeError, ValueError) as error:
        raise UsageError(
            f"{path.name} is truncated or not TorchScript",
            hint=f"casemate scan {path.name} says what it is",
        ) from error
    identity = digest.of_path(seen)
    target = parts.record(settings.root, identity)
    return modules.wrap(module, target, settings, device)
