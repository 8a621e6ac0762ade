"""Inputs in the shape and values that a server was set up for.

Between the data's own form, which attacks work in, and the codecs: reshaping where a model
flattens, column names, and columns given back the type they had in the data file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from casemate.errors import UsageError
from casemate.targets.encoding import decode
from casemate.targets.wire.tensor import Answer

if TYPE_CHECKING:
    import numpy.typing as npt

    from casemate.targets.address import Address
    from casemate.targets.capabilities import Array
    from casemate.targets.settings import Settings
    from casemate.targets.wire.tensor import Spec


def fit(x: Array, expects: Spec | None) -> Array:
    """Return inputs (n, ...) in the shape a server's metadata states for them.

    Raises:
        UsageError: One input has another number of values than the model takes.
    """
    if expects is None or expects.shape is None or not expects.shape:
        return x
    wanted = expects.shape[1:]
    if len(wanted) == x.ndim - 1 and all(
        want < 0 or want == have for want, have in zip(wanted, x.shape[1:], strict=True)
    ):
        return x
    free = sum(length < 0 for length in wanted)
    values = int(np.prod(x.shape[1:]))
    size = int(np.prod([length for length in wanted if length >= 0]))
    if (free == 0 and size == values) or (free == 1 and size and values % size == 0):
        return x.reshape(len(x), *(-1 if length < 0 else length for length in wanted))
    raise UsageError(
        f"the model takes inputs of {list(wanted)}, the data's are {list(x.shape[1:])}",
        hint="attack it with data in its own shape",
    )


def values_of(x: Array, settings: Settings) -> npt.NDArray[Any]:
    """Return rows (n, d) with whole, yes-or-no and text columns as the data file had them."""
    encodings = settings.encodings
    if x.ndim != 2 or len(encodings) != x.shape[1] or all(e.dtype == "float" for e in encodings):
        return x
    out = np.empty(x.shape, dtype=object)
    for position, encoding in enumerate(encodings):
        out[:, position] = decode(x[:, position], encoding).tolist()
    return out


def columns_of(settings: Settings, at: Address) -> tuple[str, ...]:
    """Return the names of the columns: of the URI's option, else of the data."""
    text = at.options.get("columns")
    if text:
        return tuple(name.strip() for name in text.split(","))
    if settings.encodings:
        return tuple(encoding.name for encoding in settings.encodings)
    return tuple(column.name for column in settings.columns)


def one_row(answer: Answer) -> Answer:
    """Return the answer to a single input with the batch dimension its server may leave out."""
    rows = tuple(
        one
        if one.array.ndim > 1 and one.array.shape[0] == 1
        else one._replace(array=one.array.reshape(1, *one.array.shape))
        for one in answer.tensors
    )
    return Answer(rows, answer.texts)
