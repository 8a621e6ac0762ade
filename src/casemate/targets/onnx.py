"""ONNX files: scores from ONNX Runtime, gradients from a conversion to torch that agrees with it.

What the model answers is always ONNX Runtime's answer; the converted copy serves only to find the
direction, and is not offered when it answers otherwise on a sample.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import onnx
import onnxruntime as ort

from casemate.errors import UsageError
from casemate.targets import arrays, digest
from casemate.targets.batches import arrays_of
from casemate.targets.encoding import Encoding, decode
from casemate.targets.layout import Layout, between, known
from casemate.targets.uri import parse

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy.typing as npt
    import torch

    from casemate.targets.capabilities import Array, Loss
    from casemate.targets.open import Vet
    from casemate.targets.settings import Settings
    from casemate.targets.tensors import TensorModel

_TYPES: dict[str, type[np.generic]] = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(float16)": np.float16,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(uint8)": np.uint8,
    "tensor(bool)": np.bool_,
    "tensor(string)": np.object_,
}
_SCORES = ("logits", "output_probability", "probabilities", "scores", "probs")
"""Outputs of these names hold scores when a model has several."""


class Output(NamedTuple):
    """The output that is read."""

    name: str
    kind: str
    """`tensor`, `maps` (a list of class -> score) or `labels` (classes alone)."""


@dataclass(kw_only=True, eq=False)
class OnnxModel(arrays.ArrayModel):
    """ONNX Runtime's scores and labels, with the gradients of the converted copy."""

    copy: TensorModel

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits (n, classes) of the converted copy, without recording gradients."""
        return self.copy.logits(x)

    def value_and_grad(
        self, x: torch.Tensor, y: torch.Tensor, loss: Loss
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return logits (n, classes), loss per row (n,) and its gradient per row (n, ...)."""
        return self.copy.value_and_grad(x, y, loss)

    def jacobian(self, x: torch.Tensor, classes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return logits (n, classes) and the gradients (n, k, ...) of k logits named per row."""
        return self.copy.jacobian(x, classes)


def open(  # noqa: A001 - every target module has an `open`, named by its catalog entry
    uri: str, *, vet: Vet | None, settings: Settings, device: str = "cpu"
) -> arrays.ArrayModel | arrays.LabelModel:
    """Open `onnx:model.onnx`. ONNX holds no code, so that it is not vetted.

    Raises:
        UsageError: Damaged, external data outside the model's folder, or inputs that the data
            does not fit.
        TargetError: ONNX Runtime refuses the model, or its answers are no scores.
    """
    del vet
    parts = parse(uri, settings.root)
    path = parts.path(settings.root)
    graph, beside = _read(path)
    target = parts.record(settings.root, digest.of_files([path, *beside]))
    session = _session(path, settings)
    output = _output(session, settings)
    feed, shape, notes = _feed(session, settings)
    size = _fixed(session)

    names = _names(graph)

    def ask(x: Array) -> npt.NDArray[Any]:
        (answer,) = session.run([output.name], feed(x))
        if output.kind == "maps":
            order = names or list(answer[0])
            return np.array([[row[name] for name in order] for row in answer], np.float64)
        return np.asarray(answer)

    asked = ask if size is None else arrays_of(ask, size)
    if size is not None:
        notes += (f"the model takes batches of {size}; inputs are fed in those",)
    if output.kind == "labels":
        return arrays.build_labels(asked, target, settings, shape=shape, names=names, notes=notes)
    model = arrays.build(asked, target, settings, shape=shape, names=names, notes=notes)
    if output.kind == "maps" or len(session.get_inputs()) != 1 or model.reading.order is not None:
        return model
    from casemate.targets import onnx_gradients

    copy, note = onnx_gradients.convert(graph, model, settings, output.name, size, device)
    model.notes += (note,) if note else ()
    if copy is None:
        return model
    fields = {name: getattr(model, name) for name in model.__dataclass_fields__}
    fields["gives"] = frozenset({"gradients", "scores", "labels"})
    return OnnxModel(**fields, copy=copy)


def _read(path: Path) -> tuple[onnx.ModelProto, list[Path]]:
    """Return the graph, weights beside it loaded, and the files those are in."""
    from google.protobuf.message import DecodeError

    try:
        graph = onnx.load(path, load_external_data=False)
    except (DecodeError, ValueError) as error:
        raise UsageError(f"{path.name} is truncated or not an ONNX file") from error
    if not graph.graph.node:
        raise UsageError(f"{path.name} is truncated or not an ONNX file: it has no graph")
    folder = path.parent.resolve()
    beside = set()
    for tensor in onnx.external_data_helper._get_all_tensors(graph):  # noqa: SLF001 - no public one
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            continue
        place = next((e.value for e in tensor.external_data if e.key == "location"), "")
        file = folder / place
        if not file.resolve().is_relative_to(folder) or file.is_symlink():
            raise UsageError(
                f"{path.name} reads weights from '{place}', outside its own folder",
                hint="do not open it: a model has no business there",
            )
        if not file.is_file():
            raise UsageError(f"{path.name} wants the file '{place}' beside it, which is missing")
        beside.add(file)
    if beside:
        onnx.external_data_helper.load_external_data_for_model(graph, str(folder))
    return graph, sorted(beside)


def _session(path: Path, settings: Settings) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    if settings.threads:
        options.intra_op_num_threads = settings.threads
        options.inter_op_num_threads = 1
    try:
        return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime raises classes of its own that share only Exception
        text = str(error).strip().splitlines()[0][:200]
        raise UsageError(
            f"ONNX Runtime does not load {path.name}: {text}",
            hint="is it complete, and saved for this version?",
        ) from error


def _output(session: ort.InferenceSession, settings: Settings) -> Output:
    outputs = session.get_outputs()
    named = {o.name: o for o in outputs}
    if settings.output is not None:
        wanted = settings.output
        chosen = outputs[wanted] if isinstance(wanted, int) and wanted < len(outputs) else None
        chosen = chosen or named.get(str(wanted))
        if chosen is None:
            raise UsageError(
                f"the model has no output '{wanted}'", hint=f"it has {', '.join(named)}"
            )
        return Output(chosen.name, _kind(chosen))
    preferred = [named[name] for name in _SCORES if name in named]
    ranked = sorted(outputs, key=lambda o: ("tensor", "maps", "labels").index(_kind(o)))
    chosen = (preferred or ranked)[0]
    return Output(chosen.name, _kind(chosen))


def _kind(output: Any) -> str:
    if output.type.startswith("seq(map("):
        return "maps"
    return (
        "tensor"
        if output.type in ("tensor(float)", "tensor(double)", "tensor(float16)")
        else "labels"
    )


def _fixed(session: ort.InferenceSession) -> int | None:
    """Return the batch size the inputs insist on, None when any will do."""
    sizes = {i.shape[0] for i in session.get_inputs() if i.shape}
    fixed = [size for size in sizes if isinstance(size, int) and size > 0]
    return fixed[0] if fixed else None


def _feed(
    session: ort.InferenceSession, settings: Settings
) -> tuple[Callable[[Array], dict[str, Any]], tuple[int, ...] | None, tuple[str, ...]]:
    """Return how inputs become what the session is fed, their shape, and what to say of it."""
    inputs = session.get_inputs()
    for wanted in inputs:
        if wanted.type not in _TYPES:
            raise UsageError(f"the model's input '{wanted.name}' is {wanted.type}, not a tensor")
    if len(inputs) > 1:
        return _feed_columns(inputs, settings)
    (only,) = inputs
    shape = known(only.shape)
    if shape is None and only.shape and len(only.shape) == 1:
        raise UsageError("the model takes one number per input; casemate attacks rows and images")
    given = None if settings.sample is None else settings.sample.shape[1:]
    layout = Layout() if given is None else between(given, shape)
    kind, name = _TYPES[only.type], only.name
    encodings = settings.encodings
    if kind is np.object_:
        from casemate.targets.encoding import decode_all

        return lambda x: {name: decode_all(x, encodings).astype(str).astype(object)}, shape, ()

    notes: tuple[str, ...] = (layout.note,) if layout.note else ()
    scale = 1
    if kind is np.uint8 and np.max((settings.bounds or (0.0, 1.0))[1]) <= 1:
        scale = 255
        notes += ("the model takes bytes; inputs are multiplied by 255 and rounded",)

    def feed(x: Array) -> dict[str, Any]:
        x = np.rint(layout.array(x) * scale) if scale != 1 else layout.array(x)
        return {name: np.ascontiguousarray(x, dtype=kind)}

    return feed, shape, notes


def _feed_columns(
    inputs: list[Any], settings: Settings
) -> tuple[Callable[[Array], dict[str, Any]], tuple[int, ...], tuple[str, ...]]:
    """Feed each column of a table to the input of its name, as converters of pipelines do it."""
    encodings = settings.encodings or tuple(Encoding(c.name, "float") for c in settings.columns)
    position = {encoding.name: i for i, encoding in enumerate(encodings)}
    position |= {name.replace(" ", "_"): i for name, i in position.items()}
    missing = [i.name for i in inputs if i.name not in position]
    if missing:
        raise UsageError(
            f"the model has {len(inputs)} inputs, and the data has no column '{missing[0]}'",
            hint="casemate attacks models of one input, or of one input per column of a table",
        )
    chosen = [(i.name, position[i.name], _TYPES[i.type]) for i in inputs]

    def feed(x: Array) -> dict[str, Any]:
        fed = {}
        for name, at, kind in chosen:
            column = decode(x[:, at], encodings[at])
            column = (
                column.astype(str).astype(object) if kind is np.object_ else column.astype(kind)
            )
            fed[name] = column.reshape(-1, 1)
        return fed

    return feed, (len(position),), ()


def _names(graph: onnx.ModelProto) -> list[object] | None:
    """Return the classes a classifier converted from scikit-learn says it has."""
    found: list[object] | None = None
    for node in graph.graph.node:
        for attribute in node.attribute:
            if attribute.name == "classlabels_strings":
                found = [text.decode() for text in attribute.strings] or found
            elif attribute.name in ("classlabels_ints", "classlabels_int64s"):
                found = list(attribute.ints) or found
    return found
