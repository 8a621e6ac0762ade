"""Named tensors and their datatypes, with the bounds every decoder here keeps.

The vocabulary of the codecs beside it: each turns bytes into these and these into bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from casemate.errors import FormatError, LimitExceeded

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

MAX_DIMENSIONS = 8
MAX_TENSORS = 256
MAX_ELEMENTS = 1 << 28
MAX_STRINGS = 1 << 20

NUMPY: Mapping[str, str] = {
    "BOOL": "?",
    "UINT8": "<u1",
    "UINT16": "<u2",
    "UINT32": "<u4",
    "UINT64": "<u8",
    "INT8": "<i1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "FP16": "<f2",
    "FP32": "<f4",
    "FP64": "<f8",
    "BF16": "<f4",
}
"""Open Inference Protocol datatype -> numpy dtype; BF16, which numpy lacks, is widened to FP32."""

_DTYPES = {name: np.dtype(kind) for name, kind in NUMPY.items()}

_WORDS: Mapping[str, str] = {
    kind.newbyteorder("<").str: name for name, kind in reversed(_DTYPES.items())
}

WIDTH: Mapping[str, int] = {
    name: 2 if name == "BF16" else np.dtype(kind).itemsize for name, kind in NUMPY.items()
}
"""Bytes of one element in raw little-endian form."""


class Tensor(NamedTuple):
    """One named array as it travels; `datatype` is the Open Inference Protocol's word."""

    name: str
    array: npt.NDArray[Any]
    datatype: str


class Text(NamedTuple):
    """One named list of strings, such as labels by name, flattened."""

    name: str
    values: tuple[str, ...]


class Answer(NamedTuple):
    """What travelled in one body: arrays of numbers, and lists of strings."""

    tensors: tuple[Tensor, ...]
    texts: tuple[Text, ...] = ()


class Spec(NamedTuple):
    """What a server's metadata says of one input or output; -1 stands for any length."""

    name: str
    datatype: str
    shape: tuple[int, ...] | None


class Metadata(NamedTuple):
    """What a server says of a model."""

    name: str
    inputs: tuple[Spec, ...]
    outputs: tuple[Spec, ...]


class Message(NamedTuple):
    """An HTTP body with the headers that belong to it; header names are lower-case."""

    body: bytes
    content_type: str
    headers: Mapping[str, str] = {}


def datatype_of(dtype: npt.DTypeLike) -> str:
    """Return the datatype word of a numpy dtype.

    Raises:
        FormatError: The dtype is not a number the protocol knows (text, complex, object).
    """
    name = _WORDS.get(np.dtype(dtype).newbyteorder("<").str)
    if name is None:
        raise FormatError(f"{np.dtype(dtype)} is not a numeric datatype that can be sent")
    return name


def tensor(name: str, array: npt.NDArray[Any]) -> Tensor:
    """Return a Tensor whose datatype is the array's own."""
    return Tensor(name, array, datatype_of(array.dtype))


def count(shape: Sequence[int]) -> int:
    """Return the number of elements of an untrusted shape.

    Raises:
        FormatError: A negative length.
        LimitExceeded: Too many dimensions or elements.
    """
    if len(shape) > MAX_DIMENSIONS:
        raise LimitExceeded(f"a tensor of {len(shape)} dimensions; {MAX_DIMENSIONS} is the limit")
    total = 1
    for length in shape:
        if length < 0:
            raise FormatError(f"a shape with the negative length {length}")
        total *= length
    if total > MAX_ELEMENTS or (not total and max(shape) > MAX_ELEMENTS):
        raise LimitExceeded(f"a tensor of shape {list(shape)} is over the limit of elements")
    return total


def known(datatype: str) -> str:
    """Return `datatype` if it is numeric, else raise FormatError."""
    if datatype in NUMPY:
        return datatype
    what = "text, not numbers" if datatype == "BYTES" else "not a known datatype"
    raise FormatError(f"{datatype[:20]!r} is {what}")


def from_raw(raw: bytes | memoryview, datatype: str, shape: Sequence[int]) -> npt.NDArray[Any]:
    """Return the array that little-endian, row-major bytes stand for.

    Raises:
        FormatError: The datatype is not numeric, or the length is not what the shape needs.
        LimitExceeded: The shape is out of bounds.
    """
    kind = known(datatype)
    wanted = count(shape) * WIDTH[kind]
    if len(raw) != wanted:
        raise FormatError(f"{len(raw)} bytes for {kind} {list(shape)}, which takes {wanted}")
    if kind == "BF16":
        wide = np.frombuffer(raw, "<u2").astype("<u4") << 16
        return wide.view("<f4").reshape(shape)
    if kind == "BOOL":
        return np.frombuffer(raw, "<u1").astype(np.bool_).reshape(shape)
    return np.frombuffer(raw, _DTYPES[kind]).reshape(shape)


def strings_from_raw(raw: bytes | memoryview, total: int) -> tuple[str, ...]:
    """Return the `total` strings of a raw BYTES tensor, each after its four-byte length.

    Raises:
        FormatError: The lengths do not fill the bytes exactly.
        LimitExceeded: Too many strings.
    """
    if total > MAX_STRINGS:
        raise LimitExceeded(f"{total} strings; {MAX_STRINGS} is the limit")
    view = memoryview(raw)
    found: list[str] = []
    at = 0
    while at < len(view) and len(found) < total:
        length = int.from_bytes(view[at : at + 4], "little")
        at += 4
        if length > len(view) - at:
            raise FormatError(f"a string of {length} bytes runs past the end")
        found.append(str(view[at : at + length], "utf-8", "replace"))
        at += length
    if at != len(view) or len(found) != total:
        raise FormatError(f"{len(view)} bytes are not {total} strings")
    return tuple(found)


def to_raw(given: Tensor) -> bytes:
    """Return the little-endian, row-major bytes of a tensor.

    Raises:
        FormatError: The datatype is not numeric, or cannot hold the values.
    """
    array = cast_to(given.array, given.datatype)
    if given.datatype != "BF16":
        return array.tobytes()
    bits = array.view("<u4")
    nearest = ((bits >> 16) & 1) + np.uint32(0x7FFF)
    return (
        np.where(np.isnan(array), bits >> 16 | 0x40, (bits + nearest) >> 16).astype("<u2").tobytes()
    )


def cast_to(array: npt.NDArray[Any], datatype: str) -> npt.NDArray[Any]:
    """Return the array in the numpy form of a datatype, contiguous and little-endian.

    Raises:
        FormatError: The datatype is not numeric, the array is not, or an integer does not fit.
    """
    kind = _DTYPES[known(datatype)]
    if array.dtype.kind not in "biuf":
        raise FormatError(f"an array of {array.dtype} is not numeric")
    if array.dtype == kind:
        return np.asarray(array, order="C")
    if kind.kind in "iu":
        limits = np.iinfo(kind)
        whole = array if array.dtype.kind in "biu" else np.rint(array)
        if array.dtype.kind == "f" and not bool(np.isfinite(array).all()):
            raise FormatError(f"NaN or infinity cannot be sent as {datatype}")
        if whole.size and (float(whole.min()) < limits.min or float(whole.max()) > limits.max):
            raise FormatError(f"a value does not fit {datatype}")
        return whole.astype(kind, order="C")
    with np.errstate(over="ignore"):
        return array.astype(kind, order="C")
