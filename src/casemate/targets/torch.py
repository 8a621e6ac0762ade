"""PyTorch modules: from a factory in a Python file, or from a file that holds a whole module.

A factory is code the user wrote and asked to be run. A file is unpickled only after `vet` has
passed it, and then the snapshot `vet` returned is what is loaded.
"""

from __future__ import annotations

import inspect
import pickle
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from casemate.errors import TargetError, UsageError
from casemate.targets import digest, factory, tensors
from casemate.targets.uri import parse, recognise

if TYPE_CHECKING:
    from pathlib import Path

    from casemate.records.target import Target
    from casemate.targets.open import Vet
    from casemate.targets.settings import Settings
    from casemate.targets.tensors import TensorModel


_TRAIN_OTHERWISE = ("BatchNorm", "SyncBatchNorm", "InstanceNorm", "LazyBatchNorm")
"""Layers that use the batch's own statistics while training."""


def open(  # noqa: A001 - every target module has an `open`, named by its catalog entry
    uri: str, *, vet: Vet | None, settings: Settings, device: str = "cpu"
) -> TensorModel:
    """Open `torch:file.py:factory`, `torch:package.module:factory` or `torch:weights.pt`.

    Raises:
        UsageError: The file holds weights without code, or would be unpickled and `vet` is None.
        TargetError: The factory or the model raises.
    """
    parts = parse(uri, settings.root)
    if parts.factory is None and not parts.place.endswith(".py"):
        path = parts.path(settings.root)
        other = recognise(parts.place, None, settings.root) if path.is_file() else parts
        if other.scheme in ("torchscript", "torch-export"):
            from casemate.targets.open import open_target

            return open_target(str(other), vet=vet, settings=settings, device=device)  # type: ignore[return-value]  # both schemes give a TensorModel
        witness = digest.Witness(vet) if vet else None
        module = load_module(path, witness)
        identity = witness.identity if witness else ""
    else:
        made, code = factory.take(parts, settings.root)
        module = made
        if not isinstance(made, nn.Module):
            module = factory.call(made, f"{parts.factory}()") if callable(made) else made
        identity = code
    if not isinstance(module, nn.Module):
        raise UsageError(
            f"{parts.factory or parts.place} gave {type(module).__name__}, not a torch module",
            hint="the factory takes no arguments and returns the module with its weights loaded",
        )
    if parts.factory is not None:
        arrays = (t.detach().cpu() for t in module.state_dict().values() if torch.is_tensor(t))
        identity = digest.of_arrays((_bytes(array) for array in arrays), start=identity)
    target = parts.record(settings.root, identity)
    return wrap(module, target, settings, device)


def wrap(module: nn.Module, target: Target, settings: Settings, device: str = "cpu") -> TensorModel:
    """Make a live module a target: in eval mode, parameters without gradients, on `device`.

    `close` gives the module back in the mode it was in.
    """
    chosen = place(device)
    modes = [(part, part.training) for part in module.modules() if hasattr(part, "training")]
    wanted = [(p, p.requires_grad) for p in module.parameters()]
    notes: tuple[str, ...] = ()
    if any(training for part, training in modes if _matters(part)):
        notes = ("the model came in training mode and is attacked in evaluation mode",)
    if modes:  # a frozen script has no modes
        module.eval()
    for parameter, _ in wanted:
        parameter.requires_grad_(False)
    try:
        module.to(chosen)
    except RuntimeError as error:
        raise TargetError(f"the model does not go to {device}: {error}") from error

    def undo() -> None:
        for part, training in modes:
            part.training = training
        for parameter, wants in wanted:
            parameter.requires_grad_(wants)

    dtype = next((p.dtype for p in module.parameters() if p.is_floating_point()), torch.float32)
    return tensors.build(
        module,
        target,
        settings,
        device=chosen,
        dtype=dtype,
        expects=_first_layer(module),
        notes=notes,
        undo=undo,
    )


def place(device: str) -> torch.device:
    """Return the torch device called `device`; `auto` takes an accelerator if there is one.

    Raises:
        UsageError: There is no such device here.
    """
    if device == "auto":
        found = torch.accelerator.current_accelerator(check_available=True)
        return found or torch.device("cpu")
    try:
        chosen = torch.device(device)
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError) as error:
        raise UsageError(
            f"there is no device '{device}' here: {str(error).splitlines()[0]}",
            hint="--device auto takes what there is",
        ) from error
    return chosen


def load_module(path: Path, vet: Vet | None) -> Any:
    """Load a file written by torch.save; what needs unpickling only after `vet` passed it.

    Raises:
        UsageError: It holds weights alone, needs vetting, or is no torch file.
    """
    try:
        held = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "weights_only" not in str(error) and "Unsupported" not in str(error):
            raise _damaged(path, error) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, AttributeError) as error:
        raise _damaged(path, error) from error
    else:
        raise UsageError(
            f"{path.name} holds {_what(held)}, not the model's code",
            hint="write a function that builds the model and loads these weights: "
            "torch:file.py:FUNCTION",
        )
    if vet is None:
        raise UsageError(
            f"{path.name} is a pickled module: loading it runs code from the file",
            hint="let the scanner vet it, or use torch:file.py:FUNCTION with its weights",
        )
    snapshot = vet(path)
    return factory.call(
        lambda: torch.load(snapshot, map_location="cpu", weights_only=False), path.name
    )


def _damaged(path: Path, error: Exception) -> UsageError:
    text = str(error).strip().splitlines()
    return UsageError(
        f"{path.name} is truncated or not a torch file ({text[0][:160] if text else 'no reason'})",
        hint=f"casemate scan {path.name} says what it is",
    )


def _what(held: object) -> str:
    if isinstance(held, dict) and any(torch.is_tensor(v) for v in held.values()):
        return f"a state dict of {len(held)} entries"
    return type(held).__name__


def _bytes(tensor: torch.Tensor) -> Any:
    if tensor.is_quantized:
        tensor = tensor.int_repr()
    return tensor.contiguous().reshape(-1).view(torch.uint8).numpy()


def _matters(part: nn.Module) -> bool:
    """Whether training mode changes what this part answers."""
    name = str(getattr(part, "original_name", type(part).__name__))
    if name.startswith(_TRAIN_OTHERWISE) or "Dropout" in name:
        return True
    if isinstance(part, nn.RNNBase | nn.MultiheadAttention):
        return bool(part.dropout)
    return type(part).__module__.partition(".")[0] != "torch" and "training" in _source(part)


def _source(part: nn.Module) -> str:
    try:
        return inspect.getsource(type(part).forward)
    except (OSError, TypeError):
        return ""


def _first_layer(module: nn.Module) -> str:
    """Say what the first layer with weights takes, for the hint when a shape does not fit."""
    for part in module.modules():
        if isinstance(part, nn.Linear):
            return f"its first layer takes {part.in_features} features"
        if isinstance(part, nn.Conv1d | nn.Conv2d | nn.Conv3d):
            return f"its first layer takes {part.in_channels} channels"
    return ""
