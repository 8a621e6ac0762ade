"""Open Inference Protocol v2 over HTTP: JSON, and the binary tensor extension.

Bytes to tensors and back, both ways round: a target asks and reads answers, a guard reads
questions. Spoken by KServe, Triton, MLServer and OpenVINO Model Server. In the binary form the
body is a JSON head of `Inference-Header-Content-Length` bytes, then each tensor's raw bytes in
order, each as long as its `binary_data_size` says.

Source: kserve.github.io, Open Inference Protocol and its binary tensor data extension.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from casemate.errors import FormatError, LimitExceeded
from casemate.targets.wire import hollow, numbers
from casemate.targets.wire.tensor import (
    MAX_TENSORS,
    NUMPY,
    Answer,
    Message,
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

HEAD = "inference-header-content-length"
JSON = "application/json"
BINARY = "application/octet-stream"


class _Parameters(msgspec.Struct):
    binary_data_size: int | None = None


class Wired(msgspec.Struct):
    """One tensor as JSON describes it."""

    name: str
    shape: list[int]
    datatype: str
    data: msgspec.Raw = msgspec.Raw(b"")
    parameters: _Parameters | None = None


class _Request(msgspec.Struct):
    inputs: list[Wired]


class _Response(msgspec.Struct):
    outputs: list[Wired]


class _Described(msgspec.Struct):
    name: str
    datatype: str
    shape: list[int] | None = None


class _Model(msgspec.Struct):
    name: str = ""
    inputs: list[_Described] | None = None
    outputs: list[_Described] | None = None


def encode_request(
    inputs: Sequence[Tensor], *, outputs: Sequence[str] = (), binary: bool = False
) -> Message:
    """Write a question.

    Args:
        inputs: The tensors to ask about.
        outputs: Names of the outputs wanted; none means the server's own choice.
        binary: Send raw bytes, and ask for raw bytes back.

    Raises:
        FormatError: A tensor cannot be written in this form.
    """
    head: dict[str, Any] = {}
    if outputs:
        wanted = {"parameters": {"binary_data": True}} if binary else {}
        head["outputs"] = [{"name": name, **wanted} for name in outputs]
    elif binary:
        head["parameters"] = {"binary_data_output": True}
    return _encode(head, "inputs", inputs, binary=binary)


def encode_response(model: str, outputs: Sequence[Tensor], *, binary: bool = False) -> Message:
    """Write an answer; see `encode_request`."""
    return _encode({"model_name": model}, "outputs", outputs, binary=binary)


def decode_request(message: Message) -> Answer:
    """Read the tensors of a question.

    Raises:
        FormatError: Not the protocol; data that contradict their shape, datatype or size.
        LimitExceeded: Too many tensors, dimensions or elements.
    """
    head, tail = split(message)
    return request_tensors(request_head(head), tail)


def request_head(head: bytes) -> Sequence[Wired]:
    """Read the JSON of a question, which describes its tensors; the numbers in it stay unread.

    Raises:
        FormatError: Not the protocol.
    """
    return numbers.parse(head, _Request).inputs


def request_tensors(wired: Sequence[Wired], tail: memoryview) -> Answer:
    """Read the tensors that a question's head describes; see `decode_request`.

    Args:
        wired: The head, which is left as it is.
        tail: Raw bytes of the tensors that travel apart from it.
    """
    return _tensors(wired, tail)


def hollow_tensors(wired: Sequence[Wired], taken: npt.NDArray[Any]) -> Answer | None:
    """Read the tensors of a hollow head; None when its list was not the data of a tensor.

    Raises:
        FormatError: See `decode_request`.
        LimitExceeded: See `decode_request`.
    """
    if not any(hollow.taken(one.data) for one in wired):
        return None
    return _tensors(wired, memoryview(b""), taken)


def decode_response(message: Message) -> Answer:
    """Read the tensors of an answer; see `decode_request`."""
    head, tail = split(message)
    return _tensors(numbers.parse(head, _Response).outputs, tail)


def decode_metadata(body: bytes) -> Metadata:
    """Read what `GET /v2/models/{model}` answers.

    Raises:
        FormatError: Not the protocol.
    """
    found = numbers.parse(body, _Model)
    return Metadata(found.name, _specs(found.inputs), _specs(found.outputs))


def _specs(described: list[_Described] | None) -> tuple[Spec, ...]:
    return tuple(
        Spec(one.name, one.datatype, None if one.shape is None else tuple(one.shape))
        for one in (described or [])[:MAX_TENSORS]
    )


def _encode(head: dict[str, Any], key: str, tensors: Sequence[Tensor], *, binary: bool) -> Message:
    described: list[dict[str, Any]] = []
    blobs: list[bytes] = []
    for one in tensors:
        wired: dict[str, Any] = {
            "name": one.name,
            "shape": list(one.array.shape),
            "datatype": known(one.datatype),
        }
        if binary:
            blobs.append(to_raw(one))
            wired["parameters"] = {"binary_data_size": len(blobs[-1])}
        else:
            wired["data"] = numbers.lists(cast_to(one.array, one.datatype).reshape(-1))
        described.append(wired)
    body = numbers.dump({**head, key: described})
    if not binary:
        return Message(body, JSON)
    return Message(b"".join((body, *blobs)), BINARY, {HEAD: str(len(body))})


def split(message: Message) -> tuple[bytes, memoryview]:
    """Return the JSON of a body and what follows it.

    Raises:
        FormatError: A length of the JSON that cannot be.
    """
    text = message.headers.get(HEAD)
    if text is None:
        return message.body, memoryview(b"")
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise FormatError(f"{HEAD} is not a length")
    length = int(text)
    if length > len(message.body):
        raise FormatError(f"{HEAD} says {length} bytes, the body has {len(message.body)}")
    return message.body[:length], memoryview(message.body)[length:]


def _tensors(
    wired: Sequence[Wired], tail: memoryview, taken: npt.NDArray[Any] | None = None
) -> Answer:
    if len(wired) > MAX_TENSORS:
        raise LimitExceeded(f"{len(wired)} tensors; {MAX_TENSORS} is the limit")
    found: list[Tensor] = []
    texts: list[Text] = []
    at = 0
    for one in wired:
        total = count(one.shape)
        size = one.parameters.binary_data_size if one.parameters else None
        raw = memoryview(b"")
        if size is not None:
            if size < 0 or size > len(tail) - at:
                raise FormatError(f"tensor {one.name[:40]!r} claims {size} bytes it does not have")
            raw = tail[at : at + size]
            at += size
        if one.datatype == "BYTES":
            values = _strings(one, total) if size is None else strings_from_raw(raw, total)
            texts.append(Text(one.name, values))
        elif size is not None:
            found.append(Tensor(one.name, from_raw(raw, one.datatype, one.shape), one.datatype))
        else:
            found.append(Tensor(one.name, _from_json(one, total, taken), one.datatype))
    if at != len(tail):
        raise FormatError(f"{len(tail) - at} bytes after the last tensor")
    return Answer(tuple(found), tuple(texts))


def _strings(one: Wired, total: int) -> tuple[str, ...]:
    values = numbers.strings(one.data) if memoryview(one.data) else ()
    if len(values) != total:
        raise FormatError(f"{len(values)} strings for the shape {list(one.shape)}")
    return values


def _from_json(one: Wired, total: int, taken: npt.NDArray[Any] | None) -> npt.NDArray[Any]:
    kind = known(one.datatype)
    if not memoryview(one.data):
        raise FormatError(f"tensor {one.name[:40]!r} has no data")
    if taken is not None and hollow.taken(one.data):
        flat = taken.reshape(-1)
    else:
        flat = numbers.array(one.data).reshape(-1)
    if flat.size != total:
        raise FormatError(f"{flat.size} numbers for the shape {list(one.shape)}")
    if kind == "BOOL":
        return flat.astype(np.bool_).reshape(one.shape)
    if flat.dtype.kind == "f" and NUMPY[kind][1] in "iu" and bool((flat != np.rint(flat)).any()):
        raise FormatError(f"fractions in a tensor of {kind}")
    return cast_to(flat, kind).reshape(one.shape)
