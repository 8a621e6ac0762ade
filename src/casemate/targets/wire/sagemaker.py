"""What a SageMaker container serves: `POST /invocations` in CSV, JSON, JSON lines or npy.

Bytes to arrays and back, both ways round. The contract leaves the body to the container, so the
common forms are offered and the answer is read by its own content type.

Source: docs.aws.amazon.com/sagemaker, Common data formats for inference.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import numpy as np

from casemate.errors import FormatError
from casemate.targets.wire import numbers, predictions, rows
from casemate.targets.wire.tensor import MAX_ELEMENTS, Answer, Message, Tensor, count, tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

Form = Literal["csv", "instances", "features", "list", "jsonlines", "npy"]
JSON = "application/json"
LINES = "application/jsonlines"
CSV = "text/csv"
NPY = "application/x-npy"
_MAGIC = b"\x93NUMPY"
_HEADER = re.compile(
    rb"\{'descr': '([<>|=][biuf][1248]|\|b1)', 'fortran_order': (True|False), "
    rb"'shape': \(((?:\d{1,12}, ?)*(?:\d{1,12})?)\),? ?\}"
)


class _Request(msgspec.Struct):
    instances: msgspec.Raw


class _Features(msgspec.Struct):
    features: msgspec.Raw


def encode_request(x: npt.NDArray[Any], *, form: Form = "csv") -> Message:
    """Write a question about inputs (n, ...).

    Args:
        x: The inputs; (n, d) for CSV.
        form: `csv`; `instances` for `{"instances": [[...]]}`; `features` for the built-in
            algorithms' `{"instances": [{"features": [...]}]}`; `list` for a bare nested list;
            `jsonlines` for a `{"features": [...]}` on each line; `npy` for numpy's file format.

    Raises:
        FormatError: x does not fit the form.
    """
    if form == "csv":
        return Message(rows.encode(x), CSV, {"accept": f"{JSON}, {CSV};q=0.9"})
    if form == "npy":
        return Message(_npy(x), NPY, {"accept": JSON})
    data = numbers.lists(x)
    if form == "jsonlines":
        lines = [numbers.dump({"features": row}) for row in data]
        return Message(b"\n".join(lines) + b"\n", LINES, {"accept": f"{LINES}, {JSON}"})
    if form == "features":
        data = [{"features": row} for row in data]
    body = data if form == "list" else {"instances": data}
    return Message(numbers.dump(body), JSON, {"accept": JSON})


def decode_request(message: Message) -> Answer:
    """Read the inputs of a question as one tensor `inputs`.

    Raises:
        FormatError: None of the forms.
        LimitExceeded: Too large, or nested too deeply.
    """
    if message.content_type == CSV:
        return rows.decode(message.body, "inputs")
    if message.content_type == NPY:
        return Answer((tensor("inputs", read_npy(message.body)),))
    if message.content_type == LINES:
        return _renamed(predictions.decode(_joined(message.body)))
    raw: bytes | msgspec.Raw = message.body
    if numbers.opening(raw) == b"{" and numbers.depth(raw) == 0:
        raw = numbers.parse(raw, _Request).instances
    return _renamed(predictions.decode(raw))


def encode_response(tensors: Sequence[Tensor], *, form: Literal["json", "csv"] = "json") -> Message:
    """Write an answer; CSV holds one tensor."""
    if form == "csv":
        array = tensors[0].array
        return Message(rows.encode(array.reshape(len(array), -1)), CSV)
    return Message(numbers.dump({"predictions": predictions.encode(tensors)}), JSON)


def decode_response(message: Message, n: int) -> Answer:
    """Read the answer to a question about n inputs, by its content type.

    Raises:
        FormatError: None of the forms.
        LimitExceeded: Too large, or nested too deeply.
    """
    kind = message.content_type
    if kind == NPY or message.body.startswith(_MAGIC):
        return Answer((tensor("predictions", read_npy(message.body)),))
    if kind == LINES or kind.endswith("ndjson"):
        return predictions.decode(_joined(message.body))
    if kind == CSV:
        return _one_line(rows.decode(message.body), n)
    if numbers.opening(message.body) != b"{" or numbers.depth(message.body):
        return predictions.decode(message.body)
    top = numbers.parse(message.body, dict[str, msgspec.Raw])
    for key in ("predictions", "outputs", "probabilities", "scores"):
        if key in top:
            return predictions.decode(top[key])
    return predictions.decode(message.body)


def read_npy(body: bytes) -> npt.NDArray[Any]:
    """Return the array of a .npy body, numeric and without pickles.

    Raises:
        FormatError: Not the format, not numeric, or another length than its header says.
        LimitExceeded: The shape is out of bounds.
    """
    if not body.startswith(_MAGIC) or len(body) < 12:
        raise FormatError("not an npy body")
    wide = body[6] >= 2
    start = 12 if wide else 10
    length = int.from_bytes(body[8:start], "little")
    if length > 4096 or start + length > len(body):
        raise FormatError("an npy header that runs past its end")
    head = _HEADER.fullmatch(body[start : start + length].strip())
    if head is None:
        raise FormatError("an npy header of another form than numpy writes")
    descr, order, lengths = (group.decode() for group in head.groups())
    try:
        dtype = np.dtype(descr)
    except TypeError as error:
        raise FormatError(f"an npy body of the unknown dtype {descr}") from error
    shape = tuple(int(one) for one in lengths.split(",") if one.strip())
    fortran = order == "True"
    raw = body[start + length :]
    if count(shape) * dtype.itemsize != len(raw) or len(raw) > MAX_ELEMENTS:
        raise FormatError(f"{len(raw)} bytes for an npy array of shape {list(shape)}")
    found = np.frombuffer(raw, dtype).reshape(shape, order="F" if fortran else "C")
    return found.astype(dtype.newbyteorder("="))


def _npy(x: npt.NDArray[Any]) -> bytes:
    plain = np.ascontiguousarray(x)
    if plain.dtype.kind not in "biuf":
        raise FormatError(f"an array of {plain.dtype} is not numeric")
    said = {"descr": plain.dtype.str, "fortran_order": False, "shape": x.shape}
    head = repr(said).encode()
    head += b" " * (-(10 + len(head) + 1) % 64) + b"\n"
    return b"".join((_MAGIC, b"\x01\x00", len(head).to_bytes(2, "little"), head, plain.tobytes()))


def _joined(body: bytes) -> bytes:
    return b"[" + b",".join(line for line in body.splitlines() if line.strip()) + b"]"


def _renamed(answer: Answer) -> Answer:
    return Answer(tuple(one._replace(name="inputs") for one in answer.tensors), answer.texts)


def _one_line(answer: Answer, n: int) -> Answer:
    # Some containers answer n inputs with n numbers on one line.
    if not answer.tensors or n < 2 or answer.tensors[0].array.shape != (1, n):
        return answer
    return Answer((answer.tensors[0]._replace(array=answer.tensors[0].array[0]),))
