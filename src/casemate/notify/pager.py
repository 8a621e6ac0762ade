"""Pager: tells people of detections, one page per campaign and channel, whatever fails meanwhile.

Fed by `workflows.page` with what `detect` found, and called again now and then so that pages that
could not be delivered are tried again. What it has decided is kept by a book that outlives it.
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

import msgspec

from casemate.catalog import loader
from casemate.catalog.entries import Detector
from casemate.errors import TargetError, UsageError
from casemate.notify import mutes
from casemate.notify.lines import Lines
from casemate.notify.page import Page, compose, headline
from casemate.notify.syslog import Syslog
from casemate.notify.webhook import Webhook, key
from casemate.records.detection import Detection
from casemate.records.duration import seconds
from casemate.records.severity import Confidence, Severity

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from casemate.notify.settings import ChannelTable, NotifyTable

Outcome = Literal["sent", "failed", "lost", "repeated", "held", "muted", "below", "quiet", "marked"]
"""`failed`: will be tried again. `lost`: nobody will try any more. `held`: too many pages lately.
`quiet`: the catalog says that this kind of detection wakes nobody. `marked`: a red-team run's."""
_SECOND = 1_000_000
_LEASE = 60 * _SECOND
_LONGEST_WAIT = 300 * _SECOND
_GIVE_UP = 24 * 3600 * _SECOND
_KEEP = 90 * 24 * 3600 * _SECOND
_MOST = 5
"""Pages an hour and channel; beyond them campaigns are told together, every ten minutes."""
_PAUSE = 600 * _SECOND
_TOGETHER = 3
"""More campaigns than this at one moment make one page."""
_SURENESS = list(Confidence)
_CONCLUSIONS = ("drift", "probe", "loss", "misuse", "attack")
"""The gravest last: a campaign that rises is told again at once."""


class Told(NamedTuple):
    """What became of a page, or of detections that made none."""

    channel: str
    """`webhook-1`: its kind, and its place in the configuration."""
    outcome: Outcome
    detections: tuple[str, ...]
    page: str | None = None
    why: str = ""
    """In words, where it did not arrive."""


class _Waiting(Protocol):
    @property
    def topic(self) -> str: ...
    @property
    def times(self) -> int: ...
    @property
    def body(self) -> bytes: ...


class _Due(Protocol):
    @property
    def id(self) -> str: ...
    @property
    def channel(self) -> str: ...
    @property
    def made(self) -> int: ...
    @property
    def tries(self) -> int: ...
    @property
    def body(self) -> bytes: ...


class Posted(NamedTuple):
    """A page to keep until it is delivered."""

    id: str
    body: bytes
    topics: tuple[str, ...]


class Book(Protocol):
    """What the pager remembers by; `casemate.store.pages.PageBook` is one."""

    def post(
        self,
        channel: str,
        seen: Mapping[str, bytes],
        compose: Callable[[Sequence[Any]], Sequence[Any]],
        *,
        now: int,
        weights: Mapping[str, tuple[int, int]] | None = None,
        again: int | None = None,
        most: int | None = None,
        pause: int = 0,
    ) -> Mapping[str, str]:
        """Decide what is told, atomically, and keep it."""

    def claim(self, now: int, lease: int, limit: int = 32) -> Sequence[_Due]:
        """Take pages that are to be delivered now."""

    def settle(self, page: str, state: Literal["sent", "lost"]) -> None:
        """Keep that a page needs no more tries."""

    def postpone(self, page: str, until: int, *, tried: bool) -> None:
        """Let a page wait."""

    def forget(self, before: int) -> None:
        """Drop what is old."""


class Pager:
    """Everybody who is told, and what they have been told."""

    def __init__(
        self,
        settings: NotifyTable,
        book: Book,
        *,
        ocsf: Callable[[Detection], bytes] | None = None,
        secrets: Mapping[str, str] | None = None,
        timeout: float = 10.0,
    ) -> None:
        """Read the settings and open nothing yet.

        Args:
            settings: `[notify]`.
            book: The memory, `PageBook(workspace)`.
            ocsf: Writes a detection as one line, for channels of that kind.
            secrets: Where `secret_env` is looked up; the environment by default.
            timeout: Seconds one delivery may take.

        Raises:
            UsageError: An address, secret, mute or length of time that cannot be.
        """
        environment = os.environ if secrets is None else secrets
        self._book = book
        self._again = round(seconds(settings.again_after) * _SECOND)
        self._mutes = mutes.read(settings.mute)
        self._ocsf = ocsf
        self._forgot: int | None = None
        self._channels = {
            f"{table.kind}-{place}": (table, _open(table, environment, timeout))
            for place, table in enumerate(settings.channel, 1)
        }
        if ocsf is None and any(table.kind == "ocsf" for table in settings.channel):
            raise UsageError("a channel of kind 'ocsf' is configured, and nothing writes OCSF here")

    def page(self, detections: Sequence[Detection], now: int) -> list[Told]:
        """Tell of detections, try again what was not delivered, and say what became of each.

        Call it with nothing every few seconds while pages may wait. A receiver that hangs costs its
        timeout and keeps no other from being told.

        Args:
            detections: New ones; the same one again does no harm.
            now: Microseconds since the epoch.

        Raises:
            StoreError: The book cannot be written; nothing was decided.
        """
        told: list[Told] = []
        for channel, (table, _) in self._channels.items():
            # Without anything new as well: what was held may be told by now.
            decide = self._stream if table.kind == "ocsf" else self._wake
            told += decide(channel, table, detections, now)
        told += self._deliver(now)
        if self._forgot is None or not 0 <= now - self._forgot < _GIVE_UP:
            self._book.forget(now - max(_KEEP, 2 * self._again))
            self._forgot = now
        return told

    def _wake(
        self, channel: str, table: ChannelTable, detections: Sequence[Detection], now: int
    ) -> list[Told]:
        topics: dict[str, list[Detection]] = {}
        told = []
        for one in detections:
            outcome, why = self._silent(one, Severity(table.at_least), now)
            if outcome is not None:
                told.append(Told(channel, outcome, (one.id,), why=why))
            else:
                topics.setdefault(_topic(one), []).append(one)
        for found in topics.values():
            found.sort(key=_rank)

        def write(waiting: Sequence[_Waiting]) -> list[Posted]:
            groups = [(one, _detections(one.body)) for one in waiting]
            groups.sort(key=lambda group: _rank(group[1][0]))
            if len(groups) > _TOGETHER:
                return [_posted(channel, groups, now)]
            return [_posted(channel, [group], now) for group in groups]

        states = self._book.post(
            channel,
            {topic: _body(found) for topic, found in topics.items()},
            write,
            now=now,
            weights={topic: _weight(found) for topic, found in topics.items()},
            again=self._again,
            most=_MOST,
            pause=_PAUSE,
        )
        for topic, state in states.items():
            if topic in topics and state != "posted":
                outcome = "held" if state == "held" else "repeated"
                told.append(Told(channel, outcome, tuple(one.id for one in topics[topic])))
        return told

    def _silent(self, one: Detection, bar: Severity, now: int) -> tuple[Outcome | None, str]:
        if one.marked is not None:
            return "marked", "sent by a red-team run"
        entry = _entry(one.rule)
        if entry is not None and not entry.pages:
            return "quiet", f"'{one.rule}' wakes nobody by itself"
        if not one.severity.at_least(bar):
            return "below", f"{one.severity} is below {bar}"
        for mute in self._mutes:
            if mute.covers(one, now):
                return "muted", f"until {mute.table.expires}: {mute.table.reason}"
        return None, ""

    def _stream(
        self, channel: str, table: ChannelTable, detections: Sequence[Detection], now: int
    ) -> list[Told]:
        bar = Severity(table.at_least)
        told = [
            Told(channel, "marked" if one.marked is not None else "below", (one.id,))
            for one in detections
            if one.marked is not None or not one.severity.at_least(bar)
        ]
        write = self._ocsf
        if write is None:
            return told
        lines = {
            one.id: msgspec.json.encode([write(one).decode(), [one.id]])
            for one in detections
            if one.marked is None and one.severity.at_least(bar)
        }

        def each(waiting: Sequence[_Waiting]) -> list[Posted]:
            return [
                Posted(_ident(channel, one.topic, 1), one.body, (one.topic,)) for one in waiting
            ]

        states = self._book.post(channel, lines, each, now=now)
        again = [ident for ident, state in states.items() if state == "repeated"]
        return [*told, *(Told(channel, "repeated", (ident,)) for ident in again)]

    def _deliver(self, now: int) -> list[Told]:
        told: list[Told] = []
        failing: set[str] = set()
        for due in self._book.claim(now, _LEASE):
            detections = _told_of(due.body)
            if due.channel in failing:
                self._book.postpone(due.id, now + 5 * _SECOND, tried=False)
                continue
            found = self._channels.get(due.channel)
            if found is None:
                self._book.settle(due.id, "lost")
                why = "the channel is no longer configured"
                told.append(Told(due.channel, "lost", detections, due.id, why))
                continue
            try:
                _send(found[1], due, now)
            except TargetError as error:
                failing.add(due.channel)
                lost = now - due.made > _GIVE_UP
                if lost:
                    self._book.settle(due.id, "lost")
                else:
                    wait = min(_LONGEST_WAIT, 2**due.tries * _SECOND)
                    self._book.postpone(due.id, now + wait, tried=True)
                outcome: Outcome = "lost" if lost else "failed"
                told.append(Told(due.channel, outcome, detections, due.id, str(error)))
            else:
                self._book.settle(due.id, "sent")
                told.append(Told(due.channel, "sent", detections, due.id))
        return told


def _open(
    table: ChannelTable, secrets: Mapping[str, str], timeout: float
) -> Webhook | Syslog | Lines:
    if table.kind == "syslog":
        return Syslog(table.to, timeout=timeout)
    if table.kind == "ocsf":
        return Lines(table.to, timeout=timeout)
    if table.secret_env is None:
        return Webhook(table.to, None, timeout=timeout)
    secret = secrets.get(table.secret_env)
    if not secret:
        raise UsageError(
            f"the environment variable {table.secret_env} is not set, so pages cannot be signed",
            hint="openssl rand -base64 32 makes a secret",
        )
    return Webhook(table.to, key(secret), timeout=timeout)


def _send(channel: Webhook | Syslog | Lines, due: _Due, now: int) -> None:
    if isinstance(channel, Webhook):
        channel.send(due.id, due.body, now)
    elif isinstance(channel, Syslog):
        channel.send(msgspec.json.decode(due.body, type=Page), now)
    else:
        channel.send(msgspec.json.decode(due.body)[0].encode())


def _told_of(body: bytes) -> tuple[str, ...]:
    found = msgspec.json.decode(body)
    return tuple(found["detections"] if isinstance(found, dict) else found[1])


def _posted(channel: str, groups: Sequence[tuple[_Waiting, list[Detection]]], now: int) -> Posted:
    first, found = groups[0]
    times = first.times + 1
    page = compose(
        _ident(channel, first.topic, times),
        found,
        _entry(found[0].rule),
        now=now,
        times=times,
        others=[headline(more[0], _entry(more[0].rule)) for _, more in groups[1:]],
    )
    return Posted(page.id, msgspec.json.encode(page), tuple(one.topic for one, _ in groups))


def _ident(channel: str, topic: str, times: int) -> str:
    """Return the same id for the same page, so that two processes cannot make two of it."""
    text = f"{channel}\0{topic}\0{times}".encode()
    return f"page-{hashlib.blake2b(text, digest_size=13).hexdigest()}"


def _topic(one: Detection) -> str:
    if one.campaign:
        return one.campaign[:80]
    text = "\0".join((one.rule, one.model, *one.principals[:1]))
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _rank(one: Detection) -> tuple[int, int, int]:
    return one.severity.rank, _SURENESS.index(one.confidence), one.began


def _weight(found: Sequence[Detection]) -> tuple[int, int]:
    """Return how grave the gravest is, by severity and by conclusion; more is worse."""
    severity = len(Severity) - min(one.severity.rank for one in found)
    return severity, max(_CONCLUSIONS.index(one.conclusion) for one in found)


def _body(found: Sequence[Detection]) -> bytes:
    """Return what is kept of a campaign until it is told: of all but the first, the figures."""
    lead = msgspec.structs.replace(found[0], principals=found[0].principals[:64], events=())
    rest = [
        msgspec.structs.replace(one, principals=(), events=(), message="", next_steps=())
        for one in found[1:64]
    ]
    return msgspec.json.encode([lead, *rest])


def _detections(body: bytes) -> list[Detection]:
    return msgspec.json.decode(body, type=list[Detection])


def _entry(rule: str) -> Detector | None:
    return loader.entries("detections", Detector).get(rule)
