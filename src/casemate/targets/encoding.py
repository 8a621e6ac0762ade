"""How one column of a table became numbers, so that a model can be given what it was trained on.

Attacks see numbers only. A column of strings becomes ordinal codes: the position of the string
among the sorted distinct strings of the data file. A target that wants the strings decodes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from casemate.targets.capabilities import Array


class Encoding(NamedTuple):
    """What a column held before it became float."""

    name: str
    dtype: Literal["float", "integer", "boolean", "string"]
    strings: tuple[str, ...] = ()
    """For `string`: code i stands for strings[i]."""


def decode(column: Array, encoding: Encoding) -> np.ndarray[Any, Any]:
    """Return a column (n,) of numbers as the values the data file had."""
    if encoding.dtype == "float":
        return column
    if encoding.dtype == "boolean":
        return np.asarray(column >= 0.5)
    whole = np.rint(column).astype(np.int64)
    if encoding.dtype == "integer":
        return whole
    table = np.array(encoding.strings, dtype=object)
    return np.asarray(table[whole.clip(0, len(table) - 1)])


def decode_all(x: Array, encodings: Sequence[Encoding]) -> np.ndarray[Any, Any]:
    """Return rows (n, d) as the data file had them: floats, or objects where a column is not."""
    if all(encoding.dtype in ("float", "integer") for encoding in encodings):
        return x
    out = np.empty(x.shape, dtype=object)
    for position, encoding in enumerate(encodings):
        out[:, position] = decode(x[:, position], encoding)
    return out
