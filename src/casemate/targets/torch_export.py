"""Programs saved by torch.export: graphs of tensor operations; their batch size may be fixed."""

from __future__ import annotations

import pickle
import zipfile
from typing import TYPE_CHECKING, Any

import torch

from casemate.errors import UsageError
from casemate.targets import digest, tensors
from casemate.targets import torch as modules
from casemate.targets.batches import tensors_of
from casemate.targets.layout import Layout, between
from casemate.targets.uri import parse

if TYPE_CHECKING:
    from casemate.targets.open import Vet
    from casemate.targets.settings import Settings


def open(  # noqa: A001 - every target module has an `open`, named by its catalog entry
    uri: str, *, vet: Vet | None, settings: Settings, device: str = "cpu"
) -> tensors.TensorModel:
    """Open `torch-export:model.pt2`.

    Reading one goes through torch's unpickler for its weights, so that it is vetted first.

    Raises:
        UsageError: Damaged, several inputs, or `vet` is None or refuses it.
        TargetError: The model raises.
    """
    parts = parse(uri, settings.root)
    path = parts.path(settings.root)
    if vet is None:
        raise UsageError(
            f"{path.name} has pickles inside: loading it can run code from the file",
            hint="let the scanner vet it, or use torch:file.py:FUNCTION",
        )
    try:
        witness = digest.Witness(vet)
        program = torch.export.load(witness(path))
        module = program.module()
    except (RuntimeError, ValueError, OSError, KeyError, zipfile.BadZipFile) as error:
        raise _damaged(path.name) from error
    except (pickle.UnpicklingError, EOFError, AssertionError) as error:
        raise _damaged(path.name) from error
    shape, dtype = _input(program, path.name)
    layout = Layout()
    if settings.sample is not None:
        layout = between(settings.sample.shape[1:], shape[1:])
    chosen = modules.place(device)
    module.to(chosen)
    module.requires_grad_(False)
    forward = tensors_of(module, shape[0]) if shape[0] > 0 else module
    identity = witness.identity
    target = parts.record(settings.root, identity)
    notes: tuple[str, ...] = (layout.note,) if layout.note else ()
    if shape[0] > 0:
        notes += (f"the program was exported for batches of {shape[0]}; inputs are fed in those",)
    return tensors.build(
        lambda x: forward(layout.tensor(x)),
        target,
        settings,
        device=chosen,
        dtype=dtype,
        shape=shape[1:],
        notes=notes,
    )


def _input(program: Any, name: str) -> tuple[tuple[int, ...], torch.dtype]:
    """Return shape and dtype of the one input a program takes; free sizes as 0."""
    wanted = set(program.graph_signature.user_inputs)
    inputs = [n for n in program.graph.nodes if n.op == "placeholder" and n.name in wanted]
    if len(inputs) != 1:
        raise UsageError(f"{name} takes {len(inputs)} inputs; casemate attacks models of one")
    value = inputs[0].meta["val"]
    return tuple(size if isinstance(size, int) else 0 for size in value.shape), value.dtype


def _damaged(name: str) -> UsageError:
    return UsageError(
        f"{name} is truncated or not saved by torch.export", hint="save it with torch.export.save"
    )
