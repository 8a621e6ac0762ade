"""Domain: which inputs an attacker can send at all, and the nearest of them.

Stands between an attack and the oracle: attacks move to `project(x, origin)`, the run loop counts
a row only where `holds(x, origin)` says that it obeys the box and every declared column.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from casemate.records.column import Column
    from casemate.targets.capabilities import Array

    Mask = npt.NDArray[np.bool_]


class Domain(NamedTuple):
    """The box of legal inputs and, for tables, what may be done to each column.

    Args:
        lower: Smallest legal value, a number or an array that broadcasts to one input.
        upper: Largest legal value, likewise.
        columns: One per feature in order, or none for images and unconstrained vectors.
    """

    lower: float | Array
    upper: float | Array
    columns: tuple[Column, ...] = ()

    def project(self, x: Array, origin: Array) -> Array:
        """Return the legal inputs (n, ...) near `x` that can be reached from `origin` (n, ...)."""
        return np.clip(x, self.lower, self.upper).astype(x.dtype, copy=False)

    def holds(self, x: Array, origin: Array) -> Mask:
        """Say for each row (n,) whether `x` is legal and reachable from `origin`."""
        legal = np.isfinite(x) & (x >= self.lower) & (x <= self.upper)
        return np.asarray(legal.reshape(len(x), -1).all(axis=1))
