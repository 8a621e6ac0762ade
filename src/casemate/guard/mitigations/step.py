"""What a mitigation is given and what it asks for; the vocabulary of the files beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy.typing as npt

    from casemate.guard.call import Call, Reply
    from casemate.records.event import Decision, Measures
    from casemate.records.exchange import Exchange
    from casemate.records.order import OrderAction, Scope

Settings = dict[str, Any]
Defaults = dict[str, float | int | str | bool]


class Directive(NamedTuple):
    """An Order, or a rule of the policy, as the guard carries it out."""

    id: str
    action: OrderAction
    scope: Scope
    settings: Settings
    """Complete: the action's defaults where nothing was said."""
    expires: int
    """Microseconds since the epoch."""
    approver: str | None = None


class Asked(NamedTuple):
    """What a mitigation may look at before the model is asked."""

    call: Call
    headers: Mapping[str, str]
    exchange: Exchange
    measured: Sequence[Measures]
    readable: bool
    """Whether the request could be read and each of its inputs was looked at."""
    approver: str | None
    """Who allowed answers on this route that are not the model's own."""


class Step(NamedTuple):
    """What a mitigation asks for; the strongest of several counts."""

    decision: Decision
    reply: Reply | None = None
    """Serve this, do not ask the model."""
    delay: float = 0.0
    upstream: str | None = None
    change: Callable[[str, npt.NDArray[Any]], npt.NDArray[Any]] | None = None
    """Serve this instead of the scores: by name of the output, (rows, ...) to the same shape."""
    charge: Callable[[float], None] | None = None
    """Told how many bits the answer gave away."""


class Mitigation(Protocol):
    """One action; keeps its own bounded state."""

    defaults: ClassVar[Defaults]
    """Every setting it knows, with the value that holds where nothing is said."""

    def apply(self, asked: Asked, told: Directive, /) -> Step | None:
        """Return what to do with a request in the directive's scope, None for nothing."""
