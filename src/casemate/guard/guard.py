"""The guard's inside: a call in, an action out; then the answer in, the events out.

It has no socket, no clock and no file: shells bring requests and the time, judges are given to
it, orders are told to it. Whatever fails here fails open and is counted, save what a route has
asked to be closed.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from casemate.errors import FormatError, LimitExceeded
from casemate.guard import protocols
from casemate.guard.ask import FORWARD, Answered, Ask
from casemate.guard.bodies import plain
from casemate.guard.call import Action, Reply
from casemate.guard.clients import Clients
from casemate.guard.fault import Fault, attempt
from casemate.guard.marks import HEADER, read_mark
from casemate.guard.mitigations.refusal import refuse
from casemate.guard.mitigations.step import Asked
from casemate.guard.mitigations.table import STRENGTH
from casemate.guard.orders import Orders
from casemate.guard.outcome import Outcome
from casemate.guard.principal import Principals
from casemate.guard.release import Release
from casemate.guard.routes import Routes
from casemate.guard.sample import Sample, part, places, spread
from casemate.records.event import Event, Measures
from casemate.records.exchange import Exchange

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from casemate.guard.call import Call
    from casemate.guard.judge import Judge
    from casemate.guard.keys import Keys
    from casemate.guard.policy import GuardTable
    from casemate.guard.principal import Who
    from casemate.guard.routes import Route
    from casemate.records.event import EventKind
    from casemate.records.order import Order

_SILENT = frozenset({"GET", "HEAD", "OPTIONS"})
_BLANK = (Measures(),)


class Guard:
    """Looks at requests and answers, decides, and puts each inference on record.

    Not for several threads at once: a shell with threads holds a lock around it.
    """

    def __init__(
        self,
        policy: GuardTable,
        *,
        keys: Keys,
        judge: Judge | None = None,
        writer: str,
        start: int = 0,
        root: Path = Path(),
        secrets: Mapping[str, str] | None = None,
    ) -> None:
        """Prepare a policy.

        Args:
            policy: `[guard]`.
            keys: The site key.
            judge: Who looks at the inputs; None for nobody.
            writer: `w-` and 16 hex digits, the writer of every event.
            start: Sequence of the first event.
            root: Folder that paths in the policy are relative to.
            secrets: Where `secret_env` is looked up: the environment.

        Raises:
            UsageError: Something in the policy cannot be.
        """
        self.policy = policy
        self.writer = writer
        self.enforces = policy.mode == "enforce"
        self.failures = 0
        """Requests that were served without being looked at, as a judge or the guard failed."""
        self.warnings: tuple[str, ...] = ()
        """What the owner should know before anybody is served."""
        if self.enforces or policy.client:
            self.warnings = Principals.doubts(policy.principal)
        self._judge = judge
        self._routes = Routes(policy.route, root)
        self._principals = Principals(policy.principal, secrets=secrets or {}, root=root)
        self._orders = Orders(policy.rule, keys)
        self._clients = Clients(policy.client)
        self._keys = keys
        self._sample = Sample(keys)
        self._release = Release(start)
        self._outcome = Outcome(policy, keys, judge, writer)

    @property
    def open(self) -> int:
        """Requests that have been asked and whose events have not left."""
        return self._release.open

    @property
    def misunderstood(self) -> Mapping[str, str]:
        """Orders that are not obeyed, by id, and why."""
        return self._orders.misunderstood

    def obey(self, orders: Sequence[Order]) -> None:
        """Replace the active set of orders; each is forgotten at its own expiry."""
        self._orders.obey(orders)

    def ask(self, call: Call, *, oversized: bool = False) -> Ask:
        """Look at a request and decide what to do with it.

        Args:
            call: The request.
            oversized: Whether the shell left the body out, as it is over the limit.
        """
        ask = Ask(call)
        fault = attempt(self._look, ask, oversized)
        if fault is not None:
            self._fall_back(ask, fault)
        return ask

    def answer(
        self, ask: Ask, reply: Reply | None, now: int, *, why: str = "", status: int = 502
    ) -> Answered:
        """Look at the answer to a request; return what to serve and what to record.

        Args:
            ask: What `ask` returned.
            reply: As the upstream gave it, without body where a listener heard it. None when the
                upstream failed or the caller left, and for a request the guard answered itself.
            now: In microseconds since the epoch.
            why: Why there is no reply, in words; ends up in the record.
            status: What the caller is told when the upstream failed; 0 when it has left.
        """
        if ask.slot is None or ask.exchange is None:
            return Answered(reply or refuse("", status or 502), ())
        if ask.action.reply is not None:
            reply = ask.action.reply
        elif reply is None:
            ask.kind = "failed"
            ask.note = why or "the upstream did not answer"
        found = attempt(self._outcome.of, ask, reply, now, status)
        if isinstance(found, Fault):
            self.failures += 1
            ask.kind, ask.note = "bypassed", f"the guard failed: {found.kind}"
            ask.measured = _BLANK * ask.exchange.rows
            found = self._outcome.plainly(ask, reply, now, status)
        slot = ask.slot
        if not slot.released:
            return Answered(
                found.reply, self._release.fill(slot, found.events, now), found.payloads
            )
        # The question is on record already; what is known now follows it.
        late = self._release.reserve(slot.rows, lambda: ())
        first = late.first
        events = [_late(one, first + place) for place, one in enumerate(found.events)]
        return Answered(found.reply, self._release.fill(late, events, now), found.payloads)

    def due(self, now: int) -> list[Event]:
        """Return events that have waited long enough for slower ones; call it now and then."""
        return self._release.due(now)

    def rest(self) -> list[Event]:
        """Return all events that have not left, at the end."""
        return self._release.rest()

    def bypass(self, n: int, now: int, why: str) -> list[Event]:
        """Put on record that n requests were served without being read or looked at."""
        return self._say(now, "bypassed", lost=n, note=why)

    def gap(self, began: int, now: int, why: str, *, lost: int = 0) -> list[Event]:
        """Put on record that events were lost or nobody was looking from `began` to `now`."""
        return self._say(began, "gap", lost=lost, note=why, until=now, now=now)

    def say(self, kind: EventKind, now: int, note: str | None = None) -> list[Event]:
        """Put on record that the guard `started` or `stopped`."""
        return self._say(now, kind, note=note)

    def _say(
        self,
        at: int,
        kind: EventKind,
        *,
        lost: int = 0,
        note: str | None = None,
        until: int | None = None,
        now: int | None = None,
    ) -> list[Event]:
        slot = self._release.reserve(1, lambda: ())
        event = Event(
            writer=self.writer,
            sequence=slot.first,
            at=at,
            kind=kind,
            request=str(slot.first),
            lost=lost,
            note=note,
            until=until,
        )
        return self._release.fill(slot, [event], at if now is None else now)

    def _fall_back(self, ask: Ask, fault: Fault) -> None:
        self.failures += 1
        call = ask.call
        ask.action = FORWARD
        ask.kind, ask.note = "bypassed", f"the guard failed: {fault.kind}"
        ask.question, ask.steps, ask.measured = None, (), _BLANK
        ask.decision, ask.order, ask.enforced = "pass", None, False
        if ask.exchange is None:
            ask.exchange = Exchange(at=call.at, principal="ip:" + call.peer, model="")
        else:
            ask.exchange = replace(ask.exchange, x=None, texts=(), columns=())
        if ask.slot is None:
            self._reserve(ask)

    def _look(self, ask: Ask, oversized: bool) -> None:
        call = ask.call
        headers = ask.headers = dict(call.headers)
        route = ask.route = self._routes.find(call.path)
        if not call.body and not oversized and (route is None or call.method in _SILENT):
            return
        if route is None:
            self._unreadable(ask, headers, None, "no known inference path")
            return
        limit = self.policy.max_body
        if oversized:
            self._unreadable(
                ask, headers, route, f"a body of more than {limit} bytes or of no known end", 413
            )
            return
        try:
            protocols.refuse_repeated(headers, call.headers)
            body = plain(call.body, headers.get("content-encoding", ""), limit)
            question = protocols.question(route, headers, body)
        except FormatError as error:
            status = 413 if isinstance(error, LimitExceeded) else 400
            self._unreadable(ask, headers, route, str(error), status)
            return
        ask.question = question
        who = self._principals.read(call, headers, body)
        inputs = question.inputs
        client = self._clients.purpose(who.principal, inputs.rows, call.at)
        exchange = ask.exchange = Exchange(
            at=call.at,
            principal=who.principal,
            model=question.model,
            rows=inputs.rows,
            session=who.session,
            route=route.name,
            version=question.version,
            protocol=question.protocol,
            x=inputs.x,
            columns=inputs.columns,
            texts=inputs.texts,
            purpose=client.name if client else None,
            marked=self._marked(headers, call.at),
        )
        ask.note = who.note
        first = self._reserve(ask)
        ask.measured = _BLANK * inputs.rows
        if self._judge is not None:
            chosen = ask.chosen
            ids = [f"{self.writer}:{one}" for one in range(first, first + len(chosen))]
            measured = attempt(self._judge.look, part(exchange, chosen), ids)
            if isinstance(measured, Fault):
                self.failures += 1
                ask.kind, ask.note = "bypassed", f"the judge failed: {measured.kind}"
            else:
                ask.measured = spread(measured, chosen, inputs.rows)
        self._decide(ask, spared=client is not None)

    def _marked(self, headers: Mapping[str, str], at: int) -> str | None:
        value = headers.get(HEADER)
        return None if value is None else read_mark(self._keys, value, at)

    def _unreadable(
        self,
        ask: Ask,
        headers: Mapping[str, str],
        route: Route | None,
        why: str,
        status: int = 400,
    ) -> None:
        # It still has a principal, whose orders hold: garbage is no way round them.
        call = ask.call
        who: Who = self._principals.read(call, headers, b"")
        ask.exchange = Exchange(
            at=call.at,
            principal=who.principal,
            session=who.session,
            model=route.model if route else "",
            version=route.version if route else None,
            route=route.name if route else call.path[:200],
            protocol=route.protocol if route else "opaque",
        )
        ask.kind, ask.note = "bypassed", why[:300]
        self._reserve(ask)
        self._decide(ask, spared=False)
        closed = route is not None and route.table.fail == "closed"
        if closed and ask.action.reply is None:
            ask.decision = "refuse"
            if self.enforces:
                protocol = ask.exchange.protocol
                ask.action = Action("answer", refuse(protocol, status))
                ask.enforced, ask.kind = True, "refused"

    def _reserve(self, ask: Ask) -> int:
        assert ask.exchange is not None
        rows = ask.exchange.rows
        slot = ask.slot = self._release.reserve(places(rows), lambda: self._outcome.early(ask))
        ask.chosen = self._sample.of(rows, f"{self.writer}:{slot.first}")
        return slot.first

    def _decide(self, ask: Ask, *, spared: bool) -> None:
        exchange, route = ask.exchange, ask.route
        assert exchange is not None
        closed = route is not None and route.table.fail == "closed"
        if self._orders.idle and not closed:
            return
        whole = len(ask.chosen) == exchange.rows
        asked = Asked(
            ask.call,
            ask.headers,
            exchange,
            ask.measured,
            ask.question is not None and (whole or self._judge is None),
            route.table.approver if route else None,
        )
        steps = list(self._orders.steps(asked, spared=spared))
        unchecked = self._judge is not None and not whole
        if closed and (unchecked or any(one.broken for one in ask.measured)):
            ask.decision = "refuse"
            if self.enforces:
                ask.enforced, ask.kind = True, "refused"
                status = 413 if unchecked else 400
                ask.action = Action("answer", refuse(exchange.protocol, status))
                return
        if not steps:
            return
        told, strongest = max(steps, key=lambda pair: STRENGTH[pair[1].decision])
        if STRENGTH[strongest.decision] > STRENGTH[ask.decision]:
            ask.decision = strongest.decision
            ask.order = told.id
        if not self.enforces:
            return
        ask.steps = [step for _, step in steps]
        ask.enforced = strongest.decision != "pass"
        delay = max(step.delay for step in ask.steps)
        replies = [
            step.reply
            for _, step in sorted(steps, key=lambda pair: -STRENGTH[pair[1].decision])
            if step.reply is not None
        ]
        if replies:
            ask.action = Action("answer", replies[0], delay)
            ask.kind = "refused"
            return
        upstreams = [
            step.upstream
            for _, step in sorted(steps, key=lambda pair: -STRENGTH[pair[1].decision])
            if step.upstream
        ]
        ask.action = Action("forward", None, delay, upstreams[0] if upstreams else None)


def _late(event: Event, sequence: int) -> Event:
    # The input itself is on record: it is counted there, and here is only what became of it.
    note = event.note
    if event.kind != "inference":
        note = event.kind if note is None else f"{event.kind}: {note}"
    return replace(event, sequence=sequence, kind="answered", lost=0, note=note)
