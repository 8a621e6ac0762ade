"""Open Inference Protocol v2 over gRPC: the messages of `inference.GRPCInferenceService`.

Bytes to tensors and back, both ways round, on the hand-written wire format beside it. Tensors
travel raw (`raw_input_contents`, which every server reads and FP16 needs) or typed; both are read.

Source: the protocol's `open_inference_grpc.proto` (field numbers).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from casemate.errors import FormatError, LimitExceeded
from casemate.targets.wire import protobuf
from casemate.targets.wire.tensor import (
    MAX_DIMENSIONS,
    MAX_STRINGS,
    MAX_TENSORS,
    NUMPY,
    Answer,
    Metadata,
    Spec,
    Tensor,
    Text,
    cast_to,
    count,
    from_raw,
    known,
    strings_from_raw,
    to_raw,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

SERVICE = "/inference.GRPCInferenceService/"

# Field of InferTensorContents that carries each datatype, and how: varints or fixed width.
_CONTENTS = {
    "BOOL": 1,
    "INT8": 2,
    "INT16": 2,
    "INT32": 2,
    "INT64": 3,
    "UINT8": 4,
    "UINT16": 4,
    "UINT32": 4,
    "UINT64": 5,
    "FP32": 6,
    "FP64": 7,
}
_FIXED = {6: "<f4", 7: "<f8"}
# Field of the tensors and of their raw contents: in a request, in a response.
_REQUEST, _RESPONSE = (5, 7), (5, 6)


def encode_request(
    model: str,
    inputs: Sequence[Tensor],
    *,
    version: str = "",
    outputs: Sequence[str] = (),
    raw: bool = True,
) -> bytes:
    """Write a ModelInferRequest.

    Raises:
        FormatError: A tensor cannot be written; FP16 and BF16 only travel raw.
    """
    head = [protobuf.field(1, model), protobuf.field(2, version) if version else b""]
    tail = [protobuf.field(6, protobuf.field(1, name)) for name in outputs]
    return b"".join((*head, _tensors(inputs, 5, raw=raw), *tail, _blobs(inputs, 7, raw=raw)))


def encode_response(model: str, outputs: Sequence[Tensor], *, raw: bool = True) -> bytes:
    """Write a ModelInferResponse; see `encode_request`."""
    parts = (_tensors(outputs, 5, raw=raw), _blobs(outputs, 6, raw=raw))
    return b"".join((protobuf.field(1, model), *parts))


def decode_request(body: bytes) -> Answer:
    """Read the tensors of a ModelInferRequest.

    Raises:
        FormatError: Not the message; contents that contradict their shape or datatype.
        LimitExceeded: Too many tensors, dimensions or elements.
    """
    return _decode(body, *_REQUEST)


def decode_names(body: bytes) -> tuple[str, str]:
    """Read the model and the version a ModelInferRequest asks, the last of each as protobuf does.

    Raises:
        FormatError: Not the message.
    """
    names = {1: "", 2: ""}
    for number, kind, _, data in protobuf.fields(body):
        if number in names and kind == protobuf.BYTES:
            names[number] = protobuf.text(data)
    return names[1], names[2]


def decode_response(body: bytes) -> Answer:
    """Read the tensors of a ModelInferResponse; see `decode_request`."""
    return _decode(body, *_RESPONSE)


def encode_metadata_request(model: str, version: str = "") -> bytes:
    """Write a ModelMetadataRequest."""
    return protobuf.field(1, model) + (protobuf.field(2, version) if version else b"")


def encode_metadata(found: Metadata) -> bytes:
    """Write a ModelMetadataResponse."""
    parts = [protobuf.field(1, found.name)]
    for number, specs in ((4, found.inputs), (5, found.outputs)):
        parts += [protobuf.field(number, _head(s.name, s.datatype, s.shape or ())) for s in specs]
    return b"".join(parts)


def decode_metadata(body: bytes) -> Metadata:
    """Read a ModelMetadataResponse.

    Raises:
        FormatError: Not the message.
    """
    name = ""
    specs: dict[int, list[Spec]] = {4: [], 5: []}
    for number, kind, _, data in protobuf.fields(body):
        if number == 1 and kind == protobuf.BYTES:
            name = protobuf.text(data)
        elif number in specs and kind == protobuf.BYTES:
            if len(specs[number]) == MAX_TENSORS:
                raise LimitExceeded(f"more than {MAX_TENSORS} tensors")
            found = _Tensor(data)
            # protobuf cannot tell an absent list from an empty one; no input is a scalar.
            shape = tuple(found.shape) if found.shape else None
            specs[number].append(Spec(found.name, found.datatype, shape))
    return Metadata(name, tuple(specs[4]), tuple(specs[5]))


class _Tensor:
    """The head of one tensor: name, datatype, shape, and its typed contents unread."""

    def __init__(self, data: memoryview) -> None:
        self.name = self.datatype = ""
        self.shape: list[int] = []
        self.contents: list[memoryview] = []
        for number, kind, value, body in protobuf.fields(data):
            if number in (1, 2) and kind == protobuf.BYTES:
                word = protobuf.text(body)
                self.name, self.datatype = (
                    (word, self.datatype) if number == 1 else (self.name, word)
                )
            elif number == 3:
                many = protobuf.packed_varints(body) if kind == protobuf.BYTES else [value]
                if len(self.shape) + len(many) > MAX_DIMENSIONS:
                    raise LimitExceeded(f"a tensor of more than {MAX_DIMENSIONS} dimensions")
                self.shape += [protobuf.signed(int(length)) for length in many]
            elif number == 5 and kind == protobuf.BYTES:
                self.contents.append(body)


def _decode(body: bytes, at: int, raw_at: int) -> Answer:
    heads: list[_Tensor] = []
    blobs: list[memoryview] = []
    for number, kind, _, data in protobuf.fields(body):
        if kind != protobuf.BYTES:
            continue
        if number == at:
            heads.append(_Tensor(data))
        elif number == raw_at:
            blobs.append(data)
        if max(len(heads), len(blobs)) > MAX_TENSORS:
            raise LimitExceeded(f"more than {MAX_TENSORS} tensors")
    if blobs and len(blobs) != len(heads):
        raise FormatError(f"{len(blobs)} raw contents for {len(heads)} tensors")
    found: list[Tensor] = []
    texts: list[Text] = []
    for index, head in enumerate(heads):
        total = count(head.shape)
        if head.datatype == "BYTES":
            raw = strings_from_raw(blobs[index], total) if blobs else _strings(head, total)
            texts.append(Text(head.name, raw))
            continue
        if blobs:
            array = from_raw(blobs[index], head.datatype, head.shape)
        else:
            array = _typed(head.contents, known(head.datatype), total).reshape(head.shape)
        found.append(Tensor(head.name, array, head.datatype))
    return Answer(tuple(found), tuple(texts))


def _strings(head: _Tensor, total: int) -> tuple[str, ...]:
    found: list[str] = []
    for body in head.contents:
        for number, kind, _, data in protobuf.fields(body):
            if number != 8 or kind != protobuf.BYTES:
                raise FormatError("contents of another type than BYTES")
            if len(found) == MAX_STRINGS:
                raise LimitExceeded(f"more than {MAX_STRINGS} strings")
            found.append(str(data, "utf-8", "replace"))
    if len(found) != total:
        raise FormatError(f"{len(found)} strings where the shape needs {total}")
    return tuple(found)


def _typed(contents: Sequence[memoryview], datatype: str, total: int) -> npt.NDArray[Any]:
    wanted = _CONTENTS.get(datatype)
    if wanted is None:
        raise FormatError(f"{datatype} outside raw contents")
    fixed = _FIXED.get(wanted)
    packed = bytearray()
    for body in contents:
        for number, kind, value, data in protobuf.fields(body):
            if number != wanted:
                raise FormatError(f"contents of another type than {datatype}")
            if kind == protobuf.VARINT and fixed is None:
                packed += protobuf.varint(value)
            elif kind == protobuf.BYTES or (fixed is not None and len(data) == int(fixed[2])):
                packed += data
            else:
                raise FormatError(f"contents of {datatype} in the wrong wire type")
    if fixed is not None and len(packed) % int(fixed[2]):
        raise FormatError(f"contents of {datatype} that end within a number")
    flat = np.frombuffer(packed, fixed) if fixed else protobuf.packed_varints(packed)
    if flat.size != total:
        raise FormatError(f"{flat.size} numbers where the shape needs {total}")
    if datatype == "BOOL":
        return flat.astype(np.bool_)
    if fixed is None and NUMPY[datatype].startswith("<i"):
        flat = flat.view(np.int64)
    return cast_to(flat, datatype)


def _head(name: str, datatype: str, shape: Sequence[int]) -> bytes:
    packed = b"".join(protobuf.varint(length) for length in shape)
    return b"".join(
        (
            protobuf.field(1, name),
            protobuf.field(2, datatype),
            protobuf.field(3, packed) if shape else b"",
        )
    )


def _tensors(tensors: Sequence[Tensor], number: int, *, raw: bool) -> bytes:
    parts = []
    for one in tensors:
        head = _head(one.name, known(one.datatype), one.array.shape)
        parts.append(protobuf.field(number, head if raw else head + _contents(one)))
    return b"".join(parts)


def _contents(one: Tensor) -> bytes:
    number = _CONTENTS.get(one.datatype)
    if number is None:
        raise FormatError(f"{one.datatype} only travels in raw contents")
    array = cast_to(one.array, one.datatype)
    packed = array.tobytes() if number in _FIXED else protobuf.pack_varints(array)
    return protobuf.field(5, protobuf.field(number, packed))


def _blobs(tensors: Sequence[Tensor], number: int, *, raw: bool) -> bytes:
    return b"".join(protobuf.field(number, to_raw(one)) for one in tensors) if raw else b""
