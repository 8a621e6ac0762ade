"""What comes of a request once it is answered: what is served, and the events that say so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from msgspec.structs import replace

from casemate.errors import FormatError
from casemate.guard import protocols
from casemate.guard.ask import Payload
from casemate.guard.bodies import plain
from casemate.guard.call import Reply
from casemate.guard.digests import Digests
from casemate.guard.fault import Fault, attempt
from casemate.guard.mitigations import information
from casemate.guard.mitigations.refusal import refuse
from casemate.guard.rewriting import rewrite
from casemate.guard.sample import part, places, spread
from casemate.records.event import Event, Measures

if TYPE_CHECKING:
    from collections.abc import Sequence

    from casemate.guard.ask import Ask
    from casemate.guard.judge import Judge
    from casemate.guard.keys import Keys
    from casemate.guard.policy import GuardTable
    from casemate.guard.shaping import Outputs
    from casemate.records.exchange import Exchange

_NOBODY = 0
_BLANK = Measures()


class Found(NamedTuple):
    """What is served, recorded and kept."""

    reply: Reply
    events: Sequence[Event]
    payloads: Sequence[Payload] = ()


class _Served(NamedTuple):
    reply: Reply
    outputs: Sequence[str | None]
    """Digest of the model's own answer, per row."""
    served: Sequence[str | None]
    """Digest of what the caller got, per row, where it is not the model's own."""


class Outcome:
    """Reads answers, changes them where that was decided, and makes events."""

    def __init__(self, policy: GuardTable, keys: Keys, judge: Judge | None, writer: str) -> None:
        self._policy = policy
        self._judge = judge
        self._writer = writer
        self._digests = Digests(keys)

    def of(self, ask: Ask, reply: Reply | None, now: int, status: int) -> Found:
        """Return what comes of a request; measures are completed on the way."""
        exchange = ask.exchange
        assert exchange is not None
        blank: Sequence[str | None] = (None,) * places(exchange.rows)
        if ask.action.reply is not None or reply is None:
            failed = status if reply is None else None
            told = refuse(exchange.protocol, status or 502) if reply is None else reply
            return Found(
                told, self._events(ask, exchange, now, _Served(told, blank, blank), failed=failed)
            )
        if not 200 <= reply.status < 300:
            # The model refused: nothing was inferred, whatever the guard thought of the request.
            if ask.kind == "inference":
                ask.kind = "failed"
            served = _Served(reply, blank, blank)
            return Found(reply, self._events(ask, exchange, now, served))
        served = self._serve(ask, exchange, reply)
        events = self._events(ask, exchange, now, served)
        return Found(served.reply, events, self._payloads(ask, exchange, events))

    def plainly(self, ask: Ask, reply: Reply | None, now: int, status: int) -> Found:
        """Return what comes of a request without looking at it: what to do when `of` failed."""
        exchange = ask.exchange
        assert exchange is not None
        told = refuse(exchange.protocol, status or 502) if reply is None else reply
        blank: Sequence[str | None] = (None,) * places(exchange.rows)
        served = _Served(told, blank, blank)
        return Found(told, self._events(ask, exchange, now, served, digest=False))

    def early(self, ask: Ask) -> list[Event]:
        """Return the events of a request whose answer is still out."""
        exchange = ask.exchange
        assert exchange is not None
        blank: Sequence[str | None] = (None,) * places(exchange.rows)
        told = Reply(_NOBODY, (), b"")
        return self._events(ask, exchange, exchange.at, _Served(told, blank, blank))

    def _serve(self, ask: Ask, exchange: Exchange, reply: Reply) -> _Served:
        blank: Sequence[str | None] = (None,) * places(exchange.rows)
        if ask.listener is not None:
            ask.listener.end()
            heard = self._digests.of(exchange.principal, ask.listener.hash.digest())
            if ask.listener.stream.text:
                self._charge(ask, information.bits_of_text(ask.listener.stream.text))
            self._unchanged(ask)
            return _Served(reply, (heard,) * len(blank), blank)
        headers = dict(reply.headers)
        question, route = ask.question, ask.route
        body = reply.body
        if question is None or route is None:
            digest = self._digests.of(exchange.principal, body)
            self._unchanged(ask)
            return self._closed(ask, _Served(reply, (digest,) * len(blank), blank))
        try:
            body = plain(body, headers.get("content-encoding", ""), self._policy.max_body)
            _, found = protocols.answer(question, route, headers, body)
        except FormatError as error:
            ask.note = f"the answer cannot be read: {error}"[:300]
            digest = self._digests.of(exchange.principal, body)
            self._unchanged(ask)
            return self._closed(ask, _Served(reply, (digest,) * len(blank), blank))
        true = self._output_digests(ask, exchange, found, body)
        self._weigh(ask, exchange, found)
        served, digests = reply, blank
        if ask.changes:
            changes = [step.change for step in ask.steps if step.change is not None]

            def change(name: str, values: Any) -> Any:
                for one in changes:
                    values = one(name, values)
                return values

            try:
                served = rewrite(question, route, reply, headers, body, change)
                if served is not reply:
                    headers = dict(served.headers)
                    packing = headers.get("content-encoding", "")
                    body = plain(served.body, packing, self._policy.max_body)
                    _, found = protocols.answer(question, route, headers, body)
                    digests = self._output_digests(ask, exchange, found, body)
            except FormatError as error:
                ask.note = f"the answer cannot be changed: {error}"[:300]
                self._unchanged(ask)
                return self._closed(ask, _Served(reply, true, blank))
        if ask.steps and any(step.charge is not None for step in ask.steps):
            self._charge(ask, _bits(found, exchange.rows, body, ask.measured))
        return _Served(served, true, digests)

    def _unchanged(self, ask: Ask) -> None:
        if ask.changes and ask.decision in ("coarsen", "cluster-answer"):
            ask.enforced = False
            ask.note = ask.note or "the answer was served as it came"

    def _closed(self, ask: Ask, served: _Served) -> _Served:
        # What was ordered cannot be done to this answer: the route says what then.
        route = ask.route
        asked = any(step.change is not None for step in ask.steps)
        if not asked or route is None or route.table.fail == "open" or ask.exchange is None:
            return served
        ask.decision, ask.enforced = "refuse", True
        return served._replace(reply=refuse(ask.exchange.protocol, 502))

    def _weigh(self, ask: Ask, exchange: Exchange, found: Outputs) -> None:
        if self._judge is None or ask.kind == "bypassed":
            return
        complete = replace(
            exchange, scores=found.scores, labels=found.labels, label_names=found.label_names
        )
        seen, full = ask.chosen, ask.measured
        looked = full if len(seen) == len(full) else [full[row] for row in seen]
        measured = attempt(self._judge.weigh, part(complete, seen), looked)
        if isinstance(measured, Fault):
            ask.note = f"the judge failed at the answer: {measured.kind}"
        else:
            ask.measured = spread(measured, ask.chosen, exchange.rows)

    def _charge(self, ask: Ask, bits: float) -> None:
        for step in ask.steps:
            if step.charge is not None:
                step.charge(bits)

    def _output_digests(
        self, ask: Ask, exchange: Exchange, found: Outputs, body: bytes
    ) -> Sequence[str | None]:
        who = exchange.principal
        if exchange.rows == 1:
            return (self._digests.of(who, body),)
        made: list[str | None]
        if found.scores is not None:
            rows = np.ascontiguousarray(found.scores)
            made = [self._digests.of(who, rows[row].data) for row in ask.chosen]
        elif found.labels is not None:
            made = [self._digests.of(who, f"{found.labels[row]}".encode()) for row in ask.chosen]
        else:
            return (self._digests.of(who, body),) * places(exchange.rows)
        if len(made) < exchange.rows:
            made.append(self._digests.of(who, body))
        return made

    def _input_digests(self, ask: Ask, exchange: Exchange) -> Sequence[str | None]:
        who = exchange.principal
        if exchange.x is None and not exchange.texts:
            return (self._digests.of(who, ask.call.body),) * places(exchange.rows)
        x = None if exchange.x is None else np.ascontiguousarray(exchange.x)
        made: list[str | None] = []
        for row in ask.chosen:
            if x is not None and not exchange.texts:
                made.append(self._digests.of(who, x[row].data))
                continue
            data = exchange.texts[row].encode("utf-8", "surrogatepass")
            if x is not None:
                data = x[row].tobytes() + b"\0" + data
            made.append(self._digests.of(who, data))
        if len(made) < exchange.rows:
            made.append(self._digests.of(who, ask.call.body))
        return made

    def _payloads(self, ask: Ask, exchange: Exchange, events: Sequence[Event]) -> Sequence[Payload]:
        if not events or events[0].payload is None:
            return ()
        kind = protocols.content_type(ask.headers)
        return (Payload(events[0].payload, exchange.principal, kind, ask.call.body),)

    def _kept(self, ask: Ask, exchange: Exchange) -> str | None:
        keep = self._policy.capture.keep
        if keep == "nothing":
            return None
        plain_one = ask.decision == "pass" and ask.kind == "inference"
        if keep == "suspicious" and plain_one and not any(one.signs for one in ask.measured):
            return None
        return self._digests.of(exchange.principal, ask.call.body)

    def _events(
        self,
        ask: Ask,
        exchange: Exchange,
        now: int,
        served: _Served,
        *,
        digest: bool = True,
        failed: int | None = None,
    ) -> list[Event]:
        slot, route = ask.slot, ask.route
        assert slot is not None
        inputs = self._input_digests(ask, exchange) if digest else (None,) * places(exchange.rows)
        heard = ask.listener.bytes if ask.listener else 0
        measured: Sequence[Measures] = ask.measured
        if len(measured) != exchange.rows:
            measured = (Measures(),) * exchange.rows
        component = route.table.component if route else None
        payload = self._kept(ask, exchange)
        request, bytes_out = str(slot.first), heard or len(served.reply.body)
        status = served.reply.status if failed is None else failed
        took = max(0, now - exchange.at)
        events = [
            Event(
                writer=self._writer,
                sequence=slot.first + place,
                at=exchange.at,
                kind=ask.kind,
                principal=exchange.principal,
                session=exchange.session,
                model=exchange.model,
                version=exchange.version,
                route=exchange.route,
                protocol=exchange.protocol,
                request=request,
                row=row,
                rows=exchange.rows,
                status=status,
                took=took,
                bytes_in=len(ask.call.body),
                bytes_out=bytes_out,
                input_digest=inputs[place],
                output_digest=served.outputs[place],
                served_digest=served.served[place],
                payload=payload,
                measures=measured[row],
                decision=ask.decision,
                enforced=ask.enforced,
                order=ask.order,
                purpose=exchange.purpose,
                marked=exchange.marked,
                components=(component,) if component else (),
                trained=route.trained if route else None,
                newest_row=route.newest_row if route else None,
                lost=1 if ask.kind == "bypassed" and place == 0 else 0,
                note=ask.note,
            )
            for place, row in enumerate(ask.chosen)
        ]
        if len(ask.chosen) < exchange.rows:
            events.append(_rest(events[-1], ask, inputs[-1], served))
        return events


def _rest(last: Event, ask: Ask, asked: str | None, served: _Served) -> Event:
    # Never silent: what was not looked at is counted as such, unless it was not served at all.
    count = last.rows - len(ask.chosen)
    seen = frozenset(ask.chosen)
    kind = "bypassed" if last.kind == "inference" else last.kind
    note = f"{count} of {last.rows} inputs were not looked at one by one"
    return replace(
        last,
        sequence=last.sequence + 1,
        kind=kind,
        row=next(row for row in range(last.rows) if row not in seen),
        input_digest=asked,
        output_digest=served.outputs[-1],
        served_digest=served.served[-1],
        measures=_BLANK,
        lost=count if kind == "bypassed" else 0,
        note=note if last.note is None else f"{note}; {last.note}",
    )


def _bits(found: Outputs, rows: int, body: bytes, measured: Sequence[Measures]) -> float:
    # An exact repeat by the same caller tells it nothing it was not told before.
    fresh = [not (one.near_same and one.delta == 0.0) for one in measured]
    if len(fresh) != rows:
        fresh = [True] * rows
    if found.scores is not None:
        return float(information.bits_of_scores(found.scores)[fresh].sum())
    if found.labels is not None or found.label_names:
        named = {*found.label_names} or {*np.asarray(found.labels).tolist()}
        return sum(fresh) * information.bits_of_labels(len(named))
    return information.bits_of_text(body.decode("utf-8", "replace")) if any(fresh) else 0.0
