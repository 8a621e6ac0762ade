"""TensorFlow Serving's REST predict API, which KServe v1 speaks too.

Bytes to arrays and back, both ways round. A question is row-wise (`instances`, one element per
input) or columnar (`inputs`, whole tensors); the answer is `predictions` or `outputs` to match.

Source: tensorflow.org/tfx/serving/api_rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from casemate.errors import FormatError
from casemate.targets.wire import numbers, predictions
from casemate.targets.wire.tensor import Answer, Message, Metadata, Spec, Tensor

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

JSON = "application/json"

_DATATYPES: Mapping[str, str] = {
    "DT_BOOL": "BOOL",
    "DT_UINT8": "UINT8",
    "DT_UINT16": "UINT16",
    "DT_UINT32": "UINT32",
    "DT_UINT64": "UINT64",
    "DT_INT8": "INT8",
    "DT_INT16": "INT16",
    "DT_INT32": "INT32",
    "DT_INT64": "INT64",
    "DT_HALF": "FP16",
    "DT_BFLOAT16": "BF16",
    "DT_FLOAT": "FP32",
    "DT_DOUBLE": "FP64",
    "DT_STRING": "BYTES",
}


class _Request(msgspec.Struct):
    instances: msgspec.Raw = msgspec.Raw(b"")
    inputs: msgspec.Raw = msgspec.Raw(b"")


class _Response(msgspec.Struct):
    predictions: msgspec.Raw = msgspec.Raw(b"")
    outputs: msgspec.Raw = msgspec.Raw(b"")


class _Dimension(msgspec.Struct):
    size: str | int = "-1"


class _Shape(msgspec.Struct):
    dim: list[_Dimension] = []
    unknown_rank: bool = False


class _Info(msgspec.Struct):
    dtype: str = "DT_INVALID"
    tensor_shape: _Shape = msgspec.field(default_factory=_Shape)


class _Signature(msgspec.Struct):
    inputs: dict[str, _Info] = {}
    outputs: dict[str, _Info] = {}


class _Signatures(msgspec.Struct):
    signature_def: dict[str, _Signature] = {}


class _Wrapped(msgspec.Struct):
    signature_def: _Signatures


class _Model(msgspec.Struct):
    metadata: _Wrapped


def encode_request(
    x: npt.NDArray[Any],
    *,
    columnar: bool = False,
    name: str | None = None,
    columns: Sequence[str] = (),
    signature: str | None = None,
) -> Message:
    """Write a question about inputs (n, ...).

    Args:
        x: The inputs.
        columnar: `inputs` instead of `instances`.
        name: Name of the input tensor, for models with a named one.
        columns: Names of the columns of x (n, d), for models with one input tensor per column.
        signature: Name of the signature; None for the default one.

    Raises:
        FormatError: x cannot be written as JSON.
    """
    head: dict[str, Any] = {"signature_name": signature} if signature else {}
    rows = numbers.lists(x)
    key = "inputs" if columnar else "instances"
    body: Any = rows
    if columns and columnar:
        body = {column: [row[i] for row in rows] for i, column in enumerate(columns)}
    elif columns:
        body = [dict(zip(columns, row, strict=True)) for row in rows]
    elif name and columnar:
        body = {name: rows}
    elif name:
        body = [{name: row} for row in rows]
    return Message(numbers.dump({**head, key: body}), JSON)


def decode_request(message: Message) -> Answer:
    """Read the inputs of a question; one tensor per name, called `inputs` without names.

    Raises:
        FormatError: Not the protocol.
        LimitExceeded: Too many names, or nested too deeply.
    """
    found = numbers.parse(message.body, _Request)
    return predictions.decode(_either(found.instances, found.inputs, "instances"), "inputs")


def encode_response(tensors: Sequence[Tensor], *, columnar: bool = False) -> Message:
    """Write an answer."""
    if not columnar:
        return Message(numbers.dump({"predictions": predictions.encode(tensors)}), JSON)
    parts = {one.name: numbers.lists(one.array) for one in tensors}
    outputs = next(iter(parts.values())) if len(parts) == 1 else parts
    return Message(numbers.dump({"outputs": outputs}), JSON)


def decode_response(message: Message) -> Answer:
    """Read the predictions of an answer; see `decode_request`."""
    found = numbers.parse(message.body, _Response)
    return predictions.decode(_either(found.predictions, found.outputs, "predictions"))


def decode_metadata(body: bytes, signature: str | None = None) -> Metadata:
    """Read what `GET /v1/models/{model}/metadata` answers of one signature.

    Raises:
        FormatError: Not the protocol, or no such signature.
    """
    known = numbers.parse(body, _Model).metadata.signature_def.signature_def
    found = known.get(signature or "serving_default")
    if found is None:
        raise FormatError(f"no signature {(signature or 'serving_default')[:40]!r}")
    return Metadata("", _specs(found.inputs), _specs(found.outputs))


def _specs(infos: Mapping[str, _Info]) -> tuple[Spec, ...]:
    return tuple(
        Spec(name, _DATATYPES.get(info.dtype, info.dtype), _shape(info.tensor_shape))
        for name, info in infos.items()
    )


def _shape(shape: _Shape) -> tuple[int, ...] | None:
    if shape.unknown_rank:
        return None
    sizes = [str(dimension.size) for dimension in shape.dim]
    if any(len(size) > 18 or not size.lstrip("-").isdecimal() for size in sizes):
        raise FormatError("a dimension that is not a number")
    return tuple(int(size) for size in sizes)


def _either(first: msgspec.Raw, second: msgspec.Raw, name: str) -> msgspec.Raw:
    if not memoryview(first) and not memoryview(second):
        raise FormatError(f"no {name}")
    return first if memoryview(first) else second
