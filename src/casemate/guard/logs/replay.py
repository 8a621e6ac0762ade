"""Pairs to events, through the very guard that stands before live traffic.

The guard reads, judges and digests as it would have; what the log knows better (who asked, which
model, how long it took, where it stands) replaces what a shell would have seen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from casemate.guard.policy import GuardTable, PrincipalTable

if TYPE_CHECKING:
    from casemate.guard.call import Call
    from casemate.guard.guard import Guard
    from casemate.guard.logs.pairs import Pair
    from casemate.guard.logs.tally import Tally
    from casemate.records.event import Event

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


class Replay:
    """Feeds pairs to a guard.

    Args:
        guard: Made with `policy_for`, with a writer of its own.
        who: The principal part of the owner's policy: its headers may be in the log.
        tally: Where what cannot be read is counted.
    """

    def __init__(self, guard: Guard, who: PrincipalTable, tally: Tally) -> None:
        self._guard = guard
        self._header = (who.header or "").lower()
        self._session = (who.session or "").lower()
        self._finds = bool(who.claim or who.field)
        self._tally = tally
        self.unknown = 0
        """Events nobody can be named for."""
        self.unread = 0
        """Requests that could not be read."""

    def feed(self, pair: Pair) -> list[Event]:
        """Return the events of one pair."""
        logged = pair.logged
        if logged.call is None:
            events = self._guard.bypass(1, pair.at, "an answer without its request in the log")
            return [replace(one, source=pair.source, model=logged.model) for one in events]
        ask = self._guard.ask(self._call(logged.call, pair))
        given = logged.reply
        if given is None:
            answered = self._guard.answer(ask, None, pair.at, why="no answer in the log", status=0)
        else:
            # Where the log has an answer and no status, the answer came.
            told = given if given.status else given._replace(status=200)
            answered = self._guard.answer(ask, told, pair.at + logged.took)
        return [self._event(one, pair) for one in answered.events]

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
        if principal == UNKNOWN:
            self.unknown += 1
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
