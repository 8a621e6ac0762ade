"""Domain: which inputs an attacker can send at all, and the nearest of them.

Stands between an attack and the oracle: attacks move to `project(x, origin)`, the run loop counts
a row only where `holds(x, origin)` says that it obeys the box and every declared column.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from casemate.attack import columns as declared
from casemate.attack import reach

if TYPE_CHECKING:
    import numpy.typing as npt

    from casemate.records.column import Column
    from casemate.targets.capabilities import Array

    Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Domain:
    """The box of legal inputs and, for tables, what may be done to each column.

    A row that breaks its own constraints before anything is changed is nobody's attack and nobody's
    to repair: `project` returns it as it is, `holds` denies it, `violations` says what is wrong.

    Args:
        lower: Smallest legal value, a number or an array that broadcasts to one input.
        upper: Largest legal value, likewise.
        columns: One per feature in order, or none for images and unconstrained vectors.
    """

    lower: float | Array
    upper: float | Array
    columns: tuple[Column, ...] = ()

    @cached_property
    def rules(self) -> declared.Rules:
        """The columns, compiled.

        Raises:
            UsageError: Two columns of one name, a reference to none, or no value left to take.
        """
        return declared.compile_rules(self.columns, self.lower, self.upper)

    def project(self, x: Array, origin: Array) -> Array:
        """Return legal inputs (n, ...) near `x` that can be reached from `origin` (n, ...).

        The nearest, where only the box, types, values and directions bind. Where columns depend on
        one another, a near one: what the move upset is put right, and what cannot be put right is
        taken back towards the origin.
        """
        if self.columns:
            return reach.project(self.rules, x, origin.astype(x.dtype, copy=False))
        low, high = reach.inward(self.lower, x.dtype, 1), reach.inward(self.upper, x.dtype, -1)
        return np.asarray(np.clip(x, low, high), dtype=x.dtype)

    def holds(self, x: Array, origin: Array) -> Mask:
        """Say for each row (n,) whether `x` is legal and reachable from `origin`."""
        if self.columns:
            return declared.holds(self.rules, x, origin.astype(x.dtype, copy=False))
        legal = (x >= np.asarray(self.lower, x.dtype)) & (x <= np.asarray(self.upper, x.dtype))
        return np.asarray(legal.all(axis=tuple(range(1, x.ndim))))

    def violations(self, x: Array) -> tuple[str, ...]:
        """Say in one line per constraint in how many rows the data itself breaks it."""
        if self.columns:
            return declared.violations(self.rules, x)
        outside = int((~self.holds(x, x)).sum())
        return (f"{outside} rows lie outside the declared bounds",) if outside else ()
