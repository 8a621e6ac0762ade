"""Predictions as the plain JSON servers write them: lists, rows of objects, objects of lists.

Below the codecs of TF Serving, MLflow, SageMaker and templated JSON, which only differ in where
in the body the predictions lie.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from casemate.errors import FormatError, LimitExceeded
from casemate.targets.wire import numbers
from casemate.targets.wire.tensor import MAX_TENSORS, Answer, Tensor, Text, tensor

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_Row = dict[str, msgspec.Raw]


def decode(raw: bytes | msgspec.Raw, name: str = "predictions") -> Answer:
    """Read predictions: numbers or strings, one row each, or named parts of them.

    A list of objects, one per row, and an object of lists both become one tensor per key.

    Args:
        raw: JSON.
        name: What to call predictions that have no keys.

    Raises:
        FormatError: Neither, rows that differ in keys, or not JSON.
        LimitExceeded: Too many keys, or nested too deeply.
    """
    first = numbers.opening(raw)
    if first != b"{":
        return _answer({name: raw})
    if numbers.depth(raw) == 0:
        return _answer(numbers.parse(raw, _Row))
    return _answer(_columns(numbers.parse(raw, list[_Row])))


def encode(tensors: Sequence[Tensor]) -> object:
    """Return predictions for JSON: a nested list for one tensor, rows of objects for several."""
    if len(tensors) == 1:
        return numbers.lists(tensors[0].array)
    columns = {one.name: numbers.lists(one.array) for one in tensors}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _columns(rows: list[_Row]) -> Mapping[str, bytes]:
    keys = rows[0].keys()
    if any(row.keys() != keys for row in rows):
        raise FormatError("rows that differ in their keys")
    return {key: b"[" + b",".join(bytes(row[key]) for row in rows) + b"]" for key in keys}


def _answer(parts: Mapping[str, bytes | msgspec.Raw]) -> Answer:
    if len(parts) > MAX_TENSORS:
        raise LimitExceeded(f"predictions with {len(parts)} keys; {MAX_TENSORS} is the limit")
    tensors: list[Tensor] = []
    texts: list[Text] = []
    for name, raw in parts.items():
        first = numbers.opening(raw)
        if first == b'"':
            texts.append(Text(name, numbers.strings(raw)))
        elif first != b"{" or len(parts) == 1:
            tensors.append(tensor(name, numbers.array(raw)))
    return Answer(tuple(tensors), tuple(texts))
