"""A door that may be shut: ask one question at a time, and otherwise where one is refused.

Stands between an attack and the oracle where a stateful defence is expected. The attack inside sees
an oracle like any other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from casemate.attack.evasion.waves import noise
from casemate.errors import BudgetSpent, Refused

if TYPE_CHECKING:
    from casemate.attack.oracle import Oracle
    from casemate.targets.capabilities import Array, Ints

    Rows = Any

SHUT = 40
"""Refusals in a row after which the door is taken for shut for good."""


class Detour:
    """An oracle over an oracle: a refused question is asked again, some way off.

    Args:
        oracle: The door to the model.
        x: The inputs (n, ...).
        rng: Source of the detours.
        tries: Questions spent on one answer, the first included.
    """

    def __init__(self, oracle: Oracle, x: Array, rng: np.random.Generator, tries: int) -> None:
        self._oracle, self._x, self._rng, self._tries = oracle, x, rng, tries
        self.away = 0.0
        """Root mean square of a detour's cells, in input units."""
        self.refused = self.asked = 0
        self._in_a_row = 0
        self._last: dict[int, Array] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._oracle, name)

    def left(self, rows: Rows = None) -> Any:
        """Return the evaluations left to each row; none to one that is fooled already."""
        rows = self._oracle.rows if rows is None else rows
        left = self._oracle.left(rows)
        if left is None:
            left = np.full(len(rows), np.iinfo(np.int64).max)
        return np.where(self._oracle.done[rows], 0, left)

    def labels(self, x: Array, rows: Rows = None) -> Ints:
        """Return the class of each input; the true one where no answer was to be had."""
        rows = self._oracle.rows if rows is None else rows
        said = [self._insist("labels", x[i], int(row)) for i, row in enumerate(rows.tolist())]
        true = self._oracle.y[rows].tolist()
        return np.array(
            [t if a is None else int(a) for a, t in zip(said, true, strict=True)], np.int64
        )

    def scores(self, x: Array, rows: Rows = None) -> Array:
        """Return the scores of each input; the row's last ones where no answer was to be had."""
        rows = self._oracle.rows if rows is None else rows
        out = np.zeros((len(x), self._oracle.classes))
        for i, row in enumerate(rows.tolist()):
            said = self._insist("scores", x[i], row)
            if said is not None:
                self._last[row] = said
            elif row not in self._last:  # sure of the true class: what a refusal is at worst
                self._last[row] = np.eye(self._oracle.classes)[self._oracle.y[row]]
            out[i] = self._last[row]
        return out

    def question(self, name: str, point: Array, row: int) -> Any:
        """Ask one question; return the row of the answer, None where it is refused.

        Raises:
            BudgetSpent: The input has nothing left, or nothing is answered any more.
        """
        self.asked += 1
        try:
            said = getattr(self._oracle, name)(point[None], np.array([row]))[0]
        except Refused:
            self.refused += 1
            self._in_a_row += 1
            if self._in_a_row >= SHUT:
                raise BudgetSpent(f"the last {SHUT} questions were refused") from None
            return None
        self._in_a_row = 0
        return said

    def _insist(self, name: str, point: Array, row: int) -> Any:
        asked = point
        for _ in range(self._tries):
            if not self.left(np.array([row]))[0]:
                return None
            said = self.question(name, asked, row)
            if said is not None:
                return said
            asked = self.near(point, row, self.away)
        return None

    def near(self, point: Array, row: int, size: float) -> Array:
        """Return a legal point, cells `size` away from `point` in root mean square."""
        step = noise(point[None], 1, 0, self._rng)[1]
        aim = point + size * point.size**0.5 * step
        return np.asarray(self._oracle.domain.project(aim, self._x[row : row + 1])[0])
