"""Gradients for ONNX models: converted to torch by onnx2torch, and compared before they are used.

onnx2torch imports torchvision, whose default build beside a processor-only torch fails on its
missing kernels; `torchvision_importable` declares those operators so that the import goes through.
"""

from __future__ import annotations

import importlib
import re
import sys
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from casemate.errors import CasemateError, MissingExtra
from casemate.targets import tensors
from casemate.targets import torch as modules
from casemate.targets.batches import tensors_of
from casemate.targets.layout import between, known

if TYPE_CHECKING:
    import onnx

    from casemate.targets.arrays import ArrayModel
    from casemate.targets.settings import Settings

_ROUNDS = 200
"""Operators that may be declared before giving up; torchvision 0.28 has about fifty."""
_SCHEMAS = {
    "nms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}
_TYPES = {10: torch.float16, 11: torch.float64}
"""Numbers of element types in ONNX; everything else is tried as float32."""
_AGREE = 1e-3
"""Largest difference to ONNX Runtime's scores, relative to their spread."""
_MISSING = re.compile(r"operator torchvision::(\w+) does not exist")
_declared: list[torch.library.Library] = []
"""Kept alive: a library takes its operators with it when it goes."""


def convert(
    graph: onnx.ModelProto,
    model: ArrayModel,
    settings: Settings,
    output: str,
    size: int | None,
    device: str,
) -> tuple[tensors.TensorModel | None, str]:
    """Return a differentiable copy of an ONNX model and what to say of it.

    Args:
        graph: The model, weights loaded.
        model: The same model behind ONNX Runtime, which the copy is compared with.
        settings: As it was opened with.
        output: Name of the output that is read.
        size: Batch size the model insists on, None when any will do.
        device: Where the copy runs.

    Returns:
        None and the reason when it cannot be converted or answers otherwise.
    """
    try:
        module = _convert(graph)
    except MissingExtra as error:
        return None, f"no gradients: {error.hint} for those"
    except Exception as error:  # noqa: BLE001 - onnx2torch raises what its operators raise
        return None, f"no gradients: onnx2torch does not convert the model ({_line(error)})"
    names = [value.name for value in graph.graph.output]
    weights = {tensor.name for tensor in graph.graph.initializer}
    (only,) = [value for value in graph.graph.input if value.name not in weights]
    dims = only.type.tensor_type.shape.dim
    shape = known([d.dim_value or None for d in dims])
    layout = between(model.shape, shape)
    dtype = _TYPES.get(only.type.tensor_type.elem_type, torch.float32)
    module.eval()
    module.requires_grad_(False)
    chosen = modules.place(device)
    module.to(chosen)
    forward = tensors_of(module, size) if size is not None else module
    wanted = settings._replace(
        output=names.index(output), sample=model_sample(model, settings), scores=model.kind
    )
    try:
        copy = tensors.build(
            lambda x: forward(layout.tensor(x)),
            model.target,
            wanted,
            device=chosen,
            dtype=dtype,
        )
        _try_gradient(copy, wanted.sample)
    except CasemateError as error:
        return None, f"no gradients: the converted model fails ({_line(error)})"
    off = _difference(copy, model, wanted)
    if not off <= _AGREE:
        return None, f"no gradients: the converted model answers otherwise (by {off:.2g})"
    return copy, ""


def _convert(graph: onnx.ModelProto) -> torch.nn.Module:
    torchvision_importable()
    try:
        import onnx2torch
    except ImportError as error:
        raise MissingExtra("onnx", for_="gradients through an ONNX model") from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module: torch.nn.Module = onnx2torch.convert(graph)
    return module


def model_sample(model: ArrayModel, settings: Settings) -> Any:
    """Return the inputs the model is tried on: those of the data, or points within the bounds."""
    from casemate.targets.answers import sample

    return sample(settings, model.shape)


def _try_gradient(copy: tensors.TensorModel, sample: Any) -> None:
    x = torch.from_numpy(np.ascontiguousarray(sample[:2])).to(copy.device)
    y = torch.zeros(len(x), dtype=torch.int64, device=copy.device)
    copy.value_and_grad(x, y, lambda z, t: z.gather(1, t[:, None])[:, 0])


def _difference(copy: tensors.TensorModel, model: ArrayModel, settings: Settings) -> float:
    """Return the largest difference of log-probabilities (clipped) relative to their spread."""
    x = settings.sample
    if x is None:
        return float("nan")
    ours, theirs = (_comparable(m.scores(x), m.kind) for m in (copy, model))
    return float(np.abs(ours - theirs).max() / max(1.0, float(np.abs(theirs).max())))


def _comparable(scores: Any, kind: str) -> Any:
    if kind == "probabilities":
        return np.asarray(scores, np.float64)
    wide = np.asarray(scores, np.float64)
    wide = np.exp(wide - wide.max(axis=1, keepdims=True))
    return wide / wide.sum(axis=1, keepdims=True)


def torchvision_importable() -> None:
    """Import torchvision, declaring each operator it misses; leave it be when it is absent."""
    if "torchvision" in sys.modules:
        return
    for _ in range(_ROUNDS):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                importlib.import_module("torchvision")
        except ModuleNotFoundError:
            return
        except (RuntimeError, AttributeError, ImportError) as error:
            missing = _MISSING.search(str(error))
            for name in [n for n in sys.modules if n.partition(".")[0] == "torchvision"]:
                del sys.modules[name]
            if missing is None:
                return
            if not _declared:
                _declared.append(torch.library.Library("torchvision", "FRAGMENT"))  # type: ignore[no-untyped-call]
            operator = missing[1]
            schema = _SCHEMAS.get(operator, "(Tensor input) -> Tensor")
            _declared[0].define(f"{operator}{schema}")  # type: ignore[no-untyped-call]
        else:
            return


def _line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0][:160]}" if text else type(error).__name__
