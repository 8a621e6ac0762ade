"""What a user's function returned, as inputs and labels.

Arrays, lists, torch tensors, DataFrames, a mapping such as scikit-learn's Bunch, or a dataset of
(input, label) pairs as torch has them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from casemate.errors import UsageError
from casemate.targets import digest, factory
from casemate.targets.table import from_frame

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from casemate.targets.data import Raw
    from casemate.targets.uri import Uri


def call_for_data(uri: Uri, root: Path) -> tuple[Raw, str]:
    """Call the function and return its inputs and labels, and a digest of both.

    Raises:
        UsageError: It returns something else.
        TargetError: It raises.
    """
    function, _ = factory.take(uri, root)
    if not callable(function):
        raise UsageError(f"{uri.place}: '{uri.factory}' is not a function")
    name = f"{uri.factory}()"
    raw = _raw(*_pair(factory.call(function, name), name), name)
    text = raw.y.astype(str) if raw.y.dtype == object else raw.y
    names = "\n".join("\0".join((e.name, *e.strings)) for e in raw.encodings)
    return raw, digest.of_arrays([raw.x, text], start=names)


def _pair(made: Any, name: str) -> tuple[Any, Any]:
    if isinstance(made, dict):
        made = (made.get("x", made.get("data")), made.get("y", made.get("target")))
    elif hasattr(made, "__getitem__") and not isinstance(made, tuple | list | str):
        pairs = factory.call(lambda: [made[i] for i in range(len(made))], name)
        if not all(isinstance(pair, tuple | list) and len(pair) == 2 for pair in pairs):
            raise _other(made, name)
        made = ([_plain(x) for x, _ in pairs], [_plain(y) for _, y in pairs])
    if not (isinstance(made, tuple | list) and len(made) == 2):
        raise _other(made, name)
    x, y = made
    if x is None or y is None:
        raise _other(made, name)
    return x, y


def _raw(x: Any, y: Any, name: str) -> Raw:
    from casemate.targets.data import Raw

    labels = _array(y, name)
    if labels.dtype == object and not all(isinstance(v, str) for v in labels.flat):
        raise UsageError(f"{name} returned labels of mixed types", hint="whole numbers, or names")
    if hasattr(x, "columns") and hasattr(x, "to_numpy"):
        return from_frame(x, labels, name)
    inputs = _array(x, name)
    if inputs.dtype == object:
        raise UsageError(
            f"{name} returned inputs of mixed types, not an array of numbers",
            hint="return a DataFrame, whose columns may have types of their own",
        )
    return Raw(inputs, labels)


def _array(part: Any, name: str) -> npt.NDArray[Any]:
    try:
        return np.asarray(_plain(part))
    except ValueError as error:
        raise UsageError(f"{name} returned ragged rows, not an array") from error


def _plain(part: Any) -> Any:
    detach = getattr(part, "detach", None)
    return detach().cpu().numpy() if detach is not None else part


def _other(made: Any, name: str) -> UsageError:
    return UsageError(
        f"{name} returned {type(made).__name__}; (x, y) is expected",
        hint="return the inputs and their labels as two arrays",
    )
