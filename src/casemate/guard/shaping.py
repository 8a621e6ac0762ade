"""From named tensors to what judges look at: one array of inputs, and scores or labels per row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from casemate.errors import FormatError, LimitExceeded

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from casemate.targets.wire.tensor import Answer, Tensor, Text

MAX_ROWS = 1 << 16
"""Inputs in one request; more would make one small body into millions of events."""
SEPARATOR = "\x1f"


class Inputs(NamedTuple):
    """What was asked, one row per input."""

    rows: int
    x: npt.NDArray[Any] | None = None
    columns: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()


class Outputs(NamedTuple):
    """What was answered, one row per input; parts that the answer does not say are empty."""

    scores: npt.NDArray[Any] | None = None
    labels: npt.NDArray[np.int64] | None = None
    label_names: tuple[str, ...] = ()


def inputs(found: Answer, *, flat_is_one: bool = False) -> Inputs:
    """Return what a question asks.

    Args:
        found: Its tensors and texts. The first axis counts the inputs.
        flat_is_one: Whether a lone tensor of one dimension is one input and not many numbers.

    Raises:
        FormatError: No input, or tensors that differ in their number of inputs.
        LimitExceeded: More than MAX_ROWS inputs.
    """
    if len(found.tensors) == 1 and not found.texts:
        x = found.tensors[0].array
        if x.ndim == 0 or (flat_is_one and x.ndim == 1):
            x = x.reshape(1, -1)
        elif x.ndim == 1:
            x = x.reshape(-1, 1)
        return Inputs(_rows(len(x)), x)
    if not found.tensors and not found.texts:
        raise FormatError("a question without inputs")
    lengths = {len(one.array) if one.array.ndim else 1 for one in found.tensors}
    if not lengths:
        rows = _rows(len(found.texts[0].values))
        return Inputs(rows, texts=_texts(found.texts, rows))
    if len(lengths) > 1:
        raise FormatError(f"tensors that differ in their number of inputs: {sorted(lengths)[:4]}")
    rows = _rows(lengths.pop())
    x, columns = _table(found.tensors, rows)
    return Inputs(rows, x, columns, _texts(found.texts, rows))


def outputs(found: Answer, rows: int, wanted: str | None = None) -> Outputs:
    """Return the scores and labels an answer gives to `rows` inputs.

    Scores are the tensor called `wanted`, or else the first one of floats with several columns;
    one column of numbers between 0 and 1 is the probability of the second of two classes.
    """
    scores: npt.NDArray[Any] | None = None
    labels: npt.NDArray[np.int64] | None = None
    for one in found.tensors:
        if wanted is not None and one.name != wanted:
            continue
        array = one.array
        if rows == 1 and array.ndim == 1 and array.size > 1:
            array = array.reshape(1, -1)
        if array.ndim == 0 or len(array) != rows or not array.size:
            continue
        if array.dtype.kind == "f" and scores is None:
            scores = _scores(array.reshape(rows, -1))
        elif array.dtype.kind in "biu" and labels is None and array.size == rows:
            labels = array.reshape(rows).astype(np.int64)
    named: tuple[str, ...] = ()
    for text in found.texts:
        if len(text.values) == rows and (wanted is None or text.name == wanted or not named):
            named = text.values
            break
    if labels is None and scores is not None:
        labels = scores.argmax(axis=1)
    return Outputs(scores, labels, named)


def _scores(array: npt.NDArray[Any]) -> npt.NDArray[Any] | None:
    if array.shape[1] > 1:
        return array
    if bool(((array >= 0) & (array <= 1)).all()):
        return np.concatenate((1 - array, array), axis=1)
    return None


def _rows(count: int) -> int:
    if count > MAX_ROWS:
        raise LimitExceeded(f"{count} inputs in one request; {MAX_ROWS} is the limit")
    if count == 0:
        raise FormatError("a question without inputs")
    return count


def _table(tensors: Sequence[Tensor], rows: int) -> tuple[npt.NDArray[Any], tuple[str, ...]]:
    parts = [one.array.reshape(rows, -1) for one in tensors]
    narrow = all(part.shape[1] == 1 for part in parts)
    wide = np.float32 if all(part.dtype == np.float32 for part in parts) else np.float64
    x = np.concatenate(parts, axis=1, dtype=wide, casting="unsafe")
    return x, tuple(one.name for one in tensors) if narrow else ()


def _texts(texts: Sequence[Text], rows: int) -> tuple[str, ...]:
    if not texts:
        return ()
    per: list[list[str]] = [[] for _ in range(rows)]
    for text in texts:
        if len(text.values) % rows:
            raise FormatError(f"{len(text.values)} strings for {rows} inputs")
        width = len(text.values) // rows
        for row in range(rows):
            per[row] += text.values[row * width : (row + 1) * width]
    return tuple(SEPARATOR.join(row) for row in per)
