"""Labels as class indices, whatever they were: numbers, names, truth values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from casemate.errors import UsageError

if TYPE_CHECKING:
    import numpy.typing as npt

    from casemate.targets.capabilities import Ints


def number_labels(y: npt.NDArray[Any], where: str) -> tuple[Ints, tuple[str, ...] | None]:
    """Return labels as class indices, and the names of the classes where they had other names.

    Whole numbers from 0 on are taken as they are. Strings, negative numbers and numbers far beyond
    their count become positions among their sorted distinct values.

    Raises:
        UsageError: Not one label per input, missing labels, or fractions.
    """
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim != 1:
        raise UsageError(
            f"{where}: y has shape {y.shape}; one class per input is expected",
            hint="turn one-hot labels into classes with argmax(axis=1)" if y.ndim == 2 else "",
        )
    if y.dtype.kind == "f":
        if not np.isfinite(y).all():
            raise UsageError(f"{where}: {int((~np.isfinite(y)).sum())} labels are missing")
        if (y != np.rint(y)).any():
            raise UsageError(
                f"{where}: labels are fractions such as {y[y != np.rint(y)][0]:g}",
                hint="casemate attacks classifiers; the label column holds classes",
            )
        y = y.astype(np.int64)
    if y.dtype.kind in "biu":
        values = np.unique(y.astype(np.int64))
        if values[0] >= 0 and values[-1] < 10 * len(values) + 1000:
            return y.astype(np.int64), None
        names = tuple(str(value) for value in values)
        return np.searchsorted(values, y.astype(np.int64)), names
    if y.dtype.kind not in "UO":
        raise UsageError(f"{where}: labels are {y.dtype}; classes are whole numbers or names")
    text = y.astype(str)
    names_found, positions = np.unique(text, return_inverse=True)
    return positions.astype(np.int64), tuple(names_found.tolist())
