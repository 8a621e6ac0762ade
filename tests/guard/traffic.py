"""Questions and answers for the guard's tests, a clock that stands still, and a judge to order."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec.structs import replace

from casemate.guard.call import Call, Reply
from casemate.guard.guard import Guard
from casemate.guard.keys import Keys
from casemate.guard.policy import GuardTable, PrincipalTable, RouteTable, RuleTable
from casemate.records.event import Event, Measures
from casemate.targets.wire import oip
from casemate.targets.wire.tensor import Message, Tensor

if TYPE_CHECKING:
    from casemate.records.exchange import Exchange

KEYS = Keys(bytes(range(32)))
WRITER = "w-0123456789abcdef"
AT = 1_780_000_000_000_000
PATH = "/v2/models/digits/infer"
USER = PrincipalTable(header="X-User")


def policy(**given: Any) -> GuardTable:
    """Return a policy in which a header says who asks."""
    return GuardTable(**{"principal": USER, **given})


def guard(judge: Any = None, **given: Any) -> Guard:
    """Return a guard over a policy."""
    return Guard(policy(**given), keys=KEYS, judge=judge, writer=WRITER)


def enforcing(rule: str, judge: Any = None, when: str = "always", **given: Any) -> Guard:
    """Return a guard that enforces one rule, on a route whose owner allows everything."""
    settings = given.pop("settings", {})
    route = RouteTable(match="/**", name="all", approver="Ada", **given.pop("route", {}))
    told = RuleTable(when=when, action=rule, settings=settings, approver="Ada", **given)
    return Guard(
        policy(mode="enforce", route=(route,), rule=(told,)),
        keys=KEYS,
        judge=judge,
        writer=WRITER,
    )


def call(
    body: bytes,
    *,
    path: str = PATH,
    user: str | None = "ann",
    kind: str = "application/json",
    at: int = AT,
    peer: str = "10.0.0.9",
    method: str = "POST",
    more: tuple[tuple[str, str], ...] = (),
) -> Call:
    """Return a request."""
    said = (("content-type", kind), *((("x-user", user),) if user else ()), *more)
    return Call(method, path, "", said, body, peer, at)


def sent(message: Message, **given: Any) -> Call:
    """Return a request that carries a message with its headers."""
    more = (*message.headers.items(), *given.pop("more", ()))
    return call(message.body, kind=message.content_type, more=more, **given)


def image(seed: int = 0, rows: int = 1) -> Call:
    """Return a question about images of 28 by 28."""
    x = np.random.default_rng(seed).random((rows, 784)).astype(np.float32)
    return sent(oip.encode_request([Tensor("x", x, "FP32")]))


def scored(scores: Any, *, binary: bool = False) -> Reply:
    """Return an answer with scores, and a member that no codec knows."""
    array = np.asarray(scores, np.float64)
    message = oip.encode_response("digits", [Tensor("p", array, "FP64")], binary=binary)
    headers = (("content-type", message.content_type), *message.headers.items())
    return Reply(200, (*headers, ("x-served-by", "pod-3")), message.body)


def served(reply: Reply) -> np.ndarray:
    """Return the scores a caller got."""
    message = Message(reply.body, "application/json", dict(reply.headers))
    return oip.decode_response(message).tensors[0].array


def passed(one: Guard, asked: Call, reply: Reply, after: int = 1000) -> tuple[Reply, list[Event]]:
    """Send a request through a guard and its answer back; return what is served and recorded."""
    ask = one.ask(asked)
    found = one.answer(ask, None if ask.action.reply else reply, asked.at + after)
    return found.reply, list(found.events)


@dataclass
class Judge:
    """Measures what it was told to; remembers what it saw."""

    measures: Measures = field(default_factory=Measures)
    seen: list[Any] = field(default_factory=list)
    raises: str = ""

    def look(self, exchange: Exchange, ids: list[str]) -> list[Measures]:
        self.seen.append((exchange, list(ids)))
        if self.raises == "look":
            raise ZeroDivisionError
        return [self.measures] * exchange.rows

    def weigh(self, exchange: Exchange, measured: list[Measures]) -> list[Measures]:
        if self.raises == "weigh":
            raise ZeroDivisionError
        labels = exchange.labels
        return [
            replace(one, label=None if labels is None else int(labels[row]))
            for row, one in enumerate(measured)
        ]
