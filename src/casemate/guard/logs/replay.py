"""Pairs to events, through the very guard that stands before live traffic.

The guard reads and digests as it would have; what the log knows better (who asked, which model,
how long it took, where it stands) replaces what a shell would have seen. The judge's part is put
off, so that reading and judging can be done by two processes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from casemate.guard.guard import Guard
from casemate.guard.policy import GuardTable, PrincipalTable
from casemate.records.event import Measures

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from casemate.guard.call import Call
    from casemate.guard.judge import Judge
    from casemate.guard.keys import Keys
    from casemate.guard.logs.pairs import Pair
    from casemate.guard.logs.tally import Tally
    from casemate.records.event import Event
    from casemate.records.exchange import Exchange

UNKNOWN = "unknown principal"
UNREAD = "a request that cannot be read"
UNREAD_ANSWER = "an answer that cannot be read"
NO_BODY = "a request without its body: its input cannot be compared"
_WHO = "x-casemate-logged-principal"
_SESSION = "x-casemate-logged-session"
_NOBODY = "ip:"


def policy_for(given: GuardTable) -> GuardTable:
    """Return a policy under which a log is read: observing, believing the log, without rules."""
    who = given.principal
    return replace(
        given,
        mode="observe",
        rule=(),
        principal=PrincipalTable(
            header=_WHO, session=_SESSION, claim=who.claim, secret_env=who.secret_env,
            jwks=who.jwks, field=who.field,
        ),
    )  # fmt: skip


class Made(NamedTuple):
    """What comes of one pair before anybody has judged it."""

    events: Sequence[Event]
    exchange: Exchange | None = None
    """What is to be judged, with its answer where there is one that could be read."""
    answered: bool = False


def judged(judge: Judge, made: Made, tally: Tally) -> Sequence[Event]:
    """Return the events of a pair with what a judge measures of them.

    A judge that fails costs its measures and is counted.
    """
    exchange, events = made.exchange, made.events
    if exchange is None:
        return events
    ids = [f"{one.writer}:{one.sequence}" for one in events]
    bare = exchange
    if made.answered:
        bare = replace(exchange, scores=None, labels=None, label_names=())
    try:
        found = judge.look(bare, ids)
        if made.answered:
            found = judge.weigh(exchange, found)
    except Exception as error:  # noqa: BLE001 - as before live traffic: it is put on record and counted
        tally.add(f"the judge failed: {type(error).__name__}", events[0].source or "", lost=True)
        return events
    return [
        replace(event, measures=measures) for event, measures in zip(events, found, strict=True)
    ]


class _Put:
    """Stands in for the judge and keeps what it would have been shown."""

    def __init__(self) -> None:
        self.exchange: Exchange | None = None
        self.answered = False

    def look(self, exchange: Exchange, ids: Sequence[str]) -> list[Measures]:
        """Keep the question."""
        self.exchange, self.answered = exchange, False
        return [Measures()] * len(ids)

    def weigh(self, exchange: Exchange, measured: Sequence[Measures]) -> list[Measures]:
        """Keep the question with its answer."""
        self.exchange, self.answered = exchange, True
        return list(measured)

    def take(self) -> tuple[Exchange | None, bool]:
        """Return what was kept since the last time, and whether it has its answer."""
        exchange, self.exchange = self.exchange, None
        return exchange, self.answered


class Replay:
    """Feeds pairs to a guard.

    Args:
        table: The owner's policy; `policy_for` says what of it counts.
        keys: The site key.
        writer: Of every event.
        tally: Where what cannot be read is counted.
        root: Folder that paths in the policy are relative to.
        secrets: The environment.
    """

    def __init__(
        self,
        table: GuardTable,
        keys: Keys,
        writer: str,
        tally: Tally,
        *,
        root: Path,
        secrets: Mapping[str, str],
    ) -> None:
        self._put = _Put()
        self._guard = Guard(
            policy_for(table), keys=keys, judge=self._put, writer=writer, root=root,
            secrets=secrets,
        )  # fmt: skip
        who = table.principal
        self._header = (who.header or "").lower()
        self._session = (who.session or "").lower()
        self._finds = bool(who.claim or who.field)
        self._tally = tally
        self.unknown = 0
        """Events nobody can be named for."""
        self.unread = 0
        """Requests that could not be read."""

    def feed(self, pair: Pair) -> Made:
        """Return the events of one pair."""
        logged = pair.logged
        if logged.call is None:
            events = self._guard.bypass(1, pair.at, "an answer without its request in the log")
            return Made(
                [
                    replace(one, source=pair.source, model=logged.model, principal=UNKNOWN)
                    for one in events
                ]
            )
        ask = self._guard.ask(self._call(logged.call, pair))
        given = logged.reply
        if given is None:
            answered = self._guard.answer(ask, None, pair.at, why="no answer in the log", status=0)
        else:
            # Where the log has an answer and no status, the answer came.
            told = given if given.status else given._replace(status=200)
            answered = self._guard.answer(ask, told, pair.at + logged.took)
        found = [self._event(one, pair) for one in answered.events]
        exchange, whole = self._put.take()
        if exchange is None or not found:
            return Made(found)
        if exchange.model != found[0].model or exchange.principal != found[0].principal:
            exchange = replace(exchange, model=found[0].model, principal=found[0].principal)
        return Made(found, exchange, whole)

    def _call(self, call: Call, pair: Pair) -> Call:
        logged = pair.logged
        headers = [one for one in call.headers if one[0] not in (_WHO, _SESSION)]
        said = dict(headers)
        who = logged.principal or (said.get(self._header) if self._header else None)
        if who is None and not call.peer and not self._finds:
            who = UNKNOWN
        session = logged.session or (said.get(self._session) if self._session else None)
        if who is not None:
            headers.append((_WHO, _wired(who)))
        if session is not None:
            headers.append((_SESSION, _wired(session)))
        return call._replace(headers=tuple(headers), at=pair.at)

    def _event(self, event: Event, pair: Pair) -> Event:
        logged = pair.logged
        kind, note = event.kind, event.note
        reply, call = logged.reply, logged.call
        if kind == "failed" and reply is None:
            kind, note = "inference", None
        if kind == "bypassed":
            if call is not None and not call.body and any(logged.sizes):
                kind, note = "inference", None
                self._tally.add(NO_BODY, pair.source, lost=False)
            else:
                self.unread += 1
                self._tally.add(f"{UNREAD}: {note}", pair.source, lost=True)
        elif note is not None and note.startswith("the answer cannot be read"):
            self._tally.add(
                f"{UNREAD_ANSWER}{note.removeprefix('the answer cannot be read')}",
                pair.answer_source or pair.source,
                lost=False,
            )
        principal = UNKNOWN if event.principal == _NOBODY else event.principal
        self.unknown += principal == UNKNOWN
        return replace(
            event,
            kind=kind,
            note=note,
            principal=principal,
            model=logged.model or event.model,
            version=logged.version or event.version,
            route="",
            status=reply.status if reply is not None else 0,
            bytes_in=event.bytes_in or logged.sizes[0],
            bytes_out=event.bytes_out or logged.sizes[1],
            source=pair.source,
        )


def _wired(text: str) -> str:
    # Headers carry bytes as latin-1; the guard turns them back into text.
    return text.encode("utf-8", "replace").decode("latin-1")
