"""One request on its way through the guard, between the question and the answer."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

from casemate.guard.call import Action
from casemate.records.event import Measures
from casemate.targets.wire.chat import Stream

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from casemate.guard.call import Call, Reply
    from casemate.guard.mitigations.step import Step
    from casemate.guard.protocols import Question
    from casemate.guard.release import Slot
    from casemate.guard.routes import Route
    from casemate.records.event import Decision, Event, EventKind
    from casemate.records.exchange import Exchange

FORWARD = Action("forward")


class Payload(NamedTuple):
    """A body to be kept, when the policy says so; its digest is in the events."""

    digest: str
    principal: str
    content_type: str
    body: bytes


class Answered(NamedTuple):
    """What comes of an answer."""

    reply: Reply
    """What the caller gets; the very same object in observe mode."""
    events: Sequence[Event]
    """To be appended to the record, of this request or of others that waited for it."""
    payloads: Sequence[Payload] = ()


class Listener:
    """Listens to an answer that is passed on piece by piece; memory is bounded."""

    def __init__(self) -> None:
        self.stream = Stream()
        self.bytes = 0
        self.hash = hashlib.sha256()
        self.ended = False

    def feed(self, chunk: bytes) -> None:
        """Hear the next bytes."""
        self.bytes += len(chunk)
        self.hash.update(chunk)
        self.stream.feed(chunk)

    def end(self) -> None:
        """Hear the end."""
        if not self.ended:
            self.ended = True
            self.stream.end()


class Ask:
    """A request that has been looked at: what to do with it, and what is known of it so far."""

    __slots__ = (
        "action",
        "call",
        "chosen",
        "decision",
        "enforced",
        "exchange",
        "headers",
        "kind",
        "listener",
        "measured",
        "note",
        "order",
        "question",
        "route",
        "slot",
        "steps",
    )

    def __init__(self, call: Call) -> None:
        self.call = call
        self.action: Action = FORWARD
        """What the shell must do."""
        self.headers: Mapping[str, str] = {}
        self.route: Route | None = None
        self.question: Question | None = None
        """None when the request could not be read."""
        self.exchange: Exchange | None = None
        """None when the request is no inference: it is forwarded and leaves no event."""
        self.chosen: Sequence[int] = range(1)
        """Places of the inputs that are looked at and recorded one by one."""
        self.measured: Sequence[Measures] = (Measures(),)
        """One per input; empty for those that were not chosen."""
        self.slot: Slot | None = None
        self.kind: EventKind = "inference"
        self.decision: Decision = "pass"
        self.enforced = False
        self.order: str | None = None
        self.note: str | None = None
        self.steps: Sequence[Step] = ()
        self.listener: Listener | None = None

    @property
    def recorded(self) -> bool:
        """Whether the request is an inference and leaves events."""
        return self.exchange is not None

    @property
    def changes(self) -> bool:
        """Whether the answer may be changed, so that the shell needs the whole of it."""
        return self.enforced and any(step.change is not None for step in self.steps)

    def stream(self) -> Listener:
        """Return a listener for an answer that is passed on piece by piece.

        The shell feeds it what it passes on, ends it, and then calls `Guard.answer` with the
        status and headers and an empty body.
        """
        self.listener = Listener()
        return self.listener
