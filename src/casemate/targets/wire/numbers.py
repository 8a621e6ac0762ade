"""Numbers in JSON: nested lists to arrays and back, in bounded memory and without guessing.

Below every JSON codec here. A list is decoded straight to its depth, so that text, null and
ragged rows are refused by the parser and never reach numpy, which would convert them.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
import numpy as np

from casemate.errors import FormatError, LimitExceeded
from casemate.targets.wire import fused
from casemate.targets.wire.tensor import MAX_DIMENSIONS, MAX_STRINGS

if TYPE_CHECKING:
    import numpy.typing as npt

T = TypeVar("T")

_LITERAL = re.compile(rb"[\[,:]\s*-?(?:NaN|Infinity|nan|inf)\b")


def parse(body: bytes | msgspec.Raw, as_: type[T]) -> T:
    """Decode JSON as a type.

    Raises:
        FormatError: Not JSON, or not of that type.
        LimitExceeded: Nested too deeply.
    """
    return _decode(body, msgspec.json.Decoder(as_))


def array(raw: bytes | msgspec.Raw) -> npt.NDArray[Any]:
    """Return the array a JSON number or nested list of numbers stands for.

    The dtype is bool, int64, uint64 or float64, whichever JSON wrote.

    Raises:
        FormatError: Text, null, an object, ragged rows, or not JSON.
        LimitExceeded: Too many dimensions.
    """
    levels = depth(raw)
    if fused.ready():
        view = memoryview(raw)
        quick = fused.read(view, levels) if len(view) >= fused.WORTH else None
        if quick is not None:
            return quick
    found = _decode(raw, _decoder(levels))
    try:
        made = np.array(found)
    except ValueError as error:
        raise FormatError("rows of unequal length") from error
    if made.dtype.kind not in "biuf":
        raise FormatError("a number too large for 64 bits")
    if made.dtype.kind == "f" and made.size and made.max() >= 2.0**63 and made.min() >= 0:
        # numpy reads small and very large whole numbers together as floats, and rounds them.
        exact = np.array(found, dtype=object)
        if all(type(one) is int for one in exact.flat):
            return exact.astype(np.uint64)
    if made.size == 0:
        made = made.astype(np.float64)
    return made


def strings(raw: bytes | msgspec.Raw) -> tuple[str, ...]:
    """Return the strings of a JSON string or nested list of strings, flattened.

    Raises:
        FormatError: Anything but strings, or not JSON.
        LimitExceeded: Too many, or nested too deeply.
    """
    levels = depth(raw)
    found: Any = _decode(raw, _string_decoder(levels))
    for _ in range(levels - 1):
        found = [one for row in found for one in row]
    if levels == 0:
        found = [found]
    if len(found) > MAX_STRINGS:
        raise LimitExceeded(f"{len(found)} strings; {MAX_STRINGS} is the limit")
    return tuple(found)


def opening(raw: bytes | msgspec.Raw) -> bytes:
    """Return the first byte after the lists that open, such as a quote; empty when none is near."""
    return bytes(memoryview(raw)[:4096]).lstrip(b" \t\r\n[")[:1]


def depth(raw: bytes | msgspec.Raw) -> int:
    """Return how many lists open before the first element.

    Raises:
        LimitExceeded: More than a tensor may have dimensions.
    """
    start = bytes(memoryview(raw)[:4096])
    opened = 0
    for byte in start:
        if byte == 0x5B:
            opened += 1
        elif byte not in b" \t\r\n":
            break
    if opened > MAX_DIMENSIONS:
        raise LimitExceeded(f"lists nested {opened} deep; {MAX_DIMENSIONS} is the limit")
    return opened


def dump(value: object) -> bytes:
    """Return `value` as JSON."""
    return msgspec.json.encode(value)


def lists(values: npt.NDArray[Any]) -> Any:
    """Return an array as the nested lists JSON wants; objects must be str, bool, int or float.

    Raises:
        FormatError: Not numeric, or NaN or infinity, which JSON cannot say.
    """
    if values.dtype.kind not in "biufO":
        raise FormatError(f"an array of {values.dtype} is not numeric")
    if values.dtype.kind == "f" and not bool(np.isfinite(values).all()):
        raise FormatError("NaN or infinity cannot be written as JSON")
    return values.tolist()


@functools.cache
def _decoder(levels: int) -> msgspec.json.Decoder[Any]:
    kind: Any = bool | int | float
    for _ in range(levels):
        kind = list[kind]
    return msgspec.json.Decoder(kind)


@functools.cache
def _string_decoder(levels: int) -> msgspec.json.Decoder[Any]:
    kind: Any = str
    for _ in range(levels):
        kind = list[kind]
    return msgspec.json.Decoder(kind)


def _decode(body: bytes | msgspec.Raw, decoder: msgspec.json.Decoder[T]) -> T:
    try:
        return decoder.decode(body)
    except RecursionError as error:
        raise LimitExceeded("JSON nested too deeply") from error
    except msgspec.ValidationError as error:
        hint = "null is how many servers write NaN" if "got `null`" in str(error) else ""
        raise FormatError(_plain(str(error)), hint=hint) from error
    except msgspec.DecodeError as error:
        if _LITERAL.search(bytes(memoryview(body))):
            raise FormatError("NaN or Infinity among the numbers") from error
        raise FormatError(f"not JSON: {error}") from error
    except UnicodeDecodeError as error:
        raise FormatError("not JSON: text that is not UTF-8") from error


def _plain(message: str) -> str:
    return message.replace("`", "'")
