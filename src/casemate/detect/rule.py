"""What a rule is: functions that look at what the watch has gathered, and what they may see.

A rule's factory is named by its entry in `catalog/detections`; `[params]` are its keyword-only
arguments. It returns a Rule with a function for each kind of moment it cares about.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from casemate.detect.accounts import Account
    from casemate.detect.models import Model
    from casemate.detect.streams import Stream
    from casemate.records.event import Event
    from casemate.records.severity import Confidence


class Sighting(NamedTuple):
    """What a rule saw; the watch makes a Detection of it, with the words of the catalog."""

    subject: str
    """What it is about: one rule speaks of a subject once a day, or each hour while `queries` go
    on being counted."""
    message: str
    principals: tuple[str, ...]
    began: int
    """Time of the first event it rests on."""
    queries: int
    """Inputs that belong to it so far."""
    events: tuple[str, ...] = ()
    """Ids as evidence, the first ones and the last."""
    score: float | None = None
    bar: float | None = None
    clusters: tuple[int, ...] = ()
    """Near-duplicate clusters it touches; they tie detections to one campaign."""
    confidence: Confidence | None = None
    """Where it is not that of the catalog."""
    counted: bool = True
    """Whether `queries` counts from the beginning of what was seen; another count is news."""


class Budget(NamedTuple):
    """How many false pages may come, which sets how much evidence a page needs."""

    pages: float = 1.0
    """A week and model."""
    floor: float = 10_000.0
    """Fewest near-duplicates a week to reckon with."""


class Limits(NamedTuple):
    """What a rule's factory is told besides its parameters."""

    budget: Budget = Budget()
    paging: int = 1
    """Rules that may page, which share the budget."""

    def bar(self, model: Model) -> float:
        """Return the evidence, in nats, that a test on this model needs."""
        return model.bar(self.budget.pages, self.paging, self.budget.floor)


class Seen(NamedTuple):
    """One near-duplicate and what it belongs to, already weighed."""

    event: Event
    account: Account
    stream: Stream
    model: Model


Step = Callable[[Seen], "Sighting | None"]
Input = Callable[["Event", "Account", "Model"], "Sighting | None"]
Other = Callable[["Event"], "Sighting | None"]
Tick = Callable[[int, "Model"], "Iterable[Sighting]"]


class Rule(NamedTuple):
    """When it wants to be asked. Cheap things only: `input` runs on every input."""

    step: Step | None = None
    """An input that is nearly, not exactly, an earlier one."""
    input: Input | None = None
    """Any input that was answered."""
    other: Other | None = None
    """Any event that is not an answered input: gaps, refusals, starts."""
    tick: Tick | None = None
    """Now and then, once per model."""
