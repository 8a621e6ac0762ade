"""The course of a run that ends in one Trial: its clock, how it ended, what a reader must know.

Used by the run loops of extraction and poisoning.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Literal

from casemate.errors import BudgetSpent, TargetError
from casemate.records.make import make, new_id
from casemate.records.trial import Cost, Trial

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

    from casemate.catalog.entries import Attack
    from casemate.targets.data import Data


class Course:
    """Runs what stands in its `with`; what ends it early is told, and what was found is kept.

    Args:
        notes: What is known before it starts.
    """

    def __init__(self, notes: Iterable[str] = ()) -> None:
        self.state: Literal["complete", "interrupted", "budget-spent", "failed"] = "complete"
        self.notes = list(notes)
        self.fault: TargetError | None = None
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def __enter__(self) -> Course:
        """Start the clock."""
        self._wall, self._cpu = time.perf_counter(), time.process_time()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> bool:
        """Say how it ended; anything but a spent budget, an interrupt or a target goes on up."""
        if isinstance(error, BudgetSpent):
            self.end("budget-spent", str(error))
        elif isinstance(error, KeyboardInterrupt):
            self.end("interrupted", "interrupted; what was found until then is kept")
        elif isinstance(error, TargetError):
            self.fault = error
            self.end("failed", f"the target failed: {error}")
        else:
            return kind is None
        return True

    def end(self, state: Literal["budget-spent", "interrupted", "failed"], note: str) -> None:
        """Note how it ended."""
        self.state = state
        self.notes.append(note)

    def trial(
        self, entry: Attack, model: Any, data: Data, *, forward: int, queries: int = 0, **rest: Any
    ) -> Trial:
        """Build the Trial; the clock stops here.

        Args:
            entry: The attack.
            model: The target.
            data: What was attacked.
            forward: Inputs evaluated.
            queries: Inputs a black-box attacker would have had to send.
            **rest: The other fields of the Trial.
        """
        cost = make(
            Cost,
            forward=forward,
            queries=queries,
            wall_s=time.perf_counter() - self._wall,
            cpu_s=time.process_time() - self._cpu,
        )
        return make(
            Trial,
            id=new_id("trial"),
            attack=entry.id,
            family=entry.family,
            target=model.target,
            data=data.target,
            norm=None,
            eps=None,
            cost=cost,
            state=self.state,
            notes=tuple(self.notes),
            **rest,
        )
