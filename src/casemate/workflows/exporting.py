"""Exporting: events on their way to a SIEM, a lake or a collector, as `[[guard.export]]` says.

Runs in the analysis process, one thread a destination, so that a receiver that hangs holds up
neither detection nor another receiver. Nothing is queued: what is not delivered yet is still on
record, and is read from there when the receiver is back. How far each got is kept in the
workspace; an event may arrive twice after a crash, with the same id, and is never left out.
"""

from __future__ import annotations

import hashlib
import itertools
import logging
import os
import threading
from typing import TYPE_CHECKING, Protocol
from urllib.parse import unquote, urlsplit

import msgspec

from casemate.errors import CasemateError, TargetError, UsageError
from casemate.notify.lines import Lines
from casemate.notify.wording import short
from casemate.workflows.page import AGAIN, now_us

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import ExitStack
    from pathlib import Path

    from casemate.guard.policy import ExportTable
    from casemate.records.event import Event
    from casemate.store.telemetry.sink import EventQuery
    from casemate.workflows.config import Loaded

_log = logging.getLogger(__name__)
_BATCH = 500
_EVERY = 1.0
_LONGEST_PAUSE = 60.0
_FINAL = (400, 413, 422)
"""Answers that the same bytes will get again; all others may pass, a wrong token too."""
_READ = 64 * 1024


class Progress(msgspec.Struct, kw_only=True):
    """How far a destination got."""

    read: dict[str, int] | None = None
    """Last sequence by writer; None before the first turn."""
    delivered: int = 0
    refused: int = 0
    """Events the receiver would not have, or that could not be written in its form."""
    trouble: str = ""
    """Why nothing arrives at present."""


class Receiver(Protocol):
    """Where bytes go."""

    def send(self, line: bytes) -> int:
        """Deliver, and return how many of the events the receiver threw away.

        Raises:
            TargetError: They did not arrive; with `retry`, they may later.
        """


class Export:
    """One destination."""

    def __init__(self, kind: str, receiver: Receiver, query: EventQuery, memory: Path) -> None:
        """Go on where the last process stopped.

        Args:
            kind: Form of the events, as in `[[guard.export]]`.
            receiver: Who gets them.
            query: Where they are read; this thread's own.
            memory: File that says how far it got.
        """
        self._render = _FORMS[kind]
        self._receiver, self._query, self._memory = receiver, query, memory
        self.progress = _remembered(memory)

    def turn(self, now: int) -> bool:
        """Deliver what is on record and was not delivered; say whether everything was.

        Never raises: what goes wrong is in `progress`, and tried again with the next turn.
        """
        try:
            if self.progress.read is None:
                self.progress.read = self._beginning(now)
            events = self._query.tail(dict(self.progress.read))
            while batch := list(itertools.islice(events, _BATCH)):
                self._deliver(batch)
                for one in batch:
                    self.progress.read[one.writer] = one.sequence
                self._remember()
            self._say("")
        except Exception as error:  # noqa: BLE001 - no receiver and no event may end the others'
            self._say(str(error) if isinstance(error, CasemateError) else repr(error)[:200])
            return False
        return True

    def _beginning(self, now: int) -> dict[str, int]:
        rows = self._query.sql(
            'SELECT writer, max("sequence") FROM events WHERE "at" < ? GROUP BY writer',
            (now - AGAIN,),
        )[1]
        return {str(writer): int(last) for writer, last in rows}

    def _deliver(self, events: Sequence[Event]) -> None:
        try:
            refused = self._receiver.send(self._render(events))
        except TargetError as error:
            if error.retry:
                raise
        except Exception:  # noqa: BLE001 - one event that cannot be written must not stop the rest
            _log.debug("an event cannot be written", exc_info=True)
        else:
            self.progress.delivered += len(events) - refused
            self.progress.refused += refused
            return
        if len(events) == 1:
            self.progress.refused += 1
            return
        middle = len(events) // 2
        self._deliver(events[:middle])
        self._deliver(events[middle:])

    def _remember(self) -> None:
        self._memory.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._memory.with_suffix(".new")
        fresh.write_bytes(msgspec.json.encode(self.progress))
        fresh.replace(self._memory)

    def _say(self, trouble: str) -> None:
        if trouble == self.progress.trouble:
            return
        self.progress.trouble = trouble
        _log.error("export: %s", trouble or "events arrive again")
        try:
            self._remember()
        except OSError as error:
            _log.error("export: %s", error)


class Collector:
    """An OpenTelemetry collector, asked over HTTP."""

    def __init__(self, to: str, token: str | None, timeout: float = 10.0) -> None:
        """Take its address; `/v1/traces` is added where it has no path."""
        parts = urlsplit(to)
        self._to = to if parts.path.strip("/") else f"{to.rstrip('/')}/v1/traces"
        self._place = parts.hostname
        self._headers = {"content-type": "application/json"}
        if token:
            self._headers["authorization"] = f"Bearer {token}"
        self._timeout = timeout

    def send(self, line: bytes) -> int:
        """Post one request; see `Receiver`."""
        import httpx

        try:
            with httpx.stream(
                "POST", self._to, content=line, headers=self._headers, timeout=self._timeout
            ) as answer:
                status, body = answer.status_code, b""
                if status == httpx.codes.OK:
                    for chunk in answer.iter_bytes():
                        body += chunk
                        if len(body) > _READ:
                            break
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            why = short(f"{type(error).__name__} {error}", 200)
            raise TargetError(f"{self._place}: {why}", retry=True) from error
        if not 200 <= status < 300:
            raise TargetError(f"{self._place} answered {status}", retry=status not in _FINAL)
        return _rejected(body)


class _Rejected(msgspec.Struct):
    rejectedSpans: int | str = 0  # noqa: N815 - OTLP's name


class _Answer(msgspec.Struct):
    partialSuccess: _Rejected | None = None  # noqa: N815


def _rejected(body: bytes) -> int:
    try:
        told = msgspec.json.decode(body, type=_Answer).partialSuccess
        return max(0, int(told.rejectedSpans)) if told else 0
    except (msgspec.DecodeError, ValueError):
        return 0  # it took them, and says nothing that can be read


class Plain:
    """A file, or a receiver over TCP, that takes lines."""

    def __init__(self, to: str) -> None:
        self._lines = Lines(to)

    def send(self, line: bytes) -> int:
        """Send lines; see `Receiver`."""
        self._lines.send(line)
        return 0


def receiver(table: ExportTable, root: Path, environment: Mapping[str, str]) -> Receiver:
    """Return where a table says that events go; nothing is opened.

    Raises:
        UsageError: A place that cannot be, or not for this form; no token where one is named.
    """
    parts = urlsplit(table.to)
    if "@" in parts.netloc:
        raise UsageError("a [[guard.export]] holds credentials", hint='token_env = "VARIABLE"')
    if parts.scheme in ("http", "https"):
        if table.kind != "otel" or not parts.hostname:
            raise UsageError(f"[[guard.export]]: '{table.kind}' does not go to {table.to[:80]}")
        token = environment.get(table.token_env) if table.token_env else None
        if table.token_env and not token:
            raise UsageError(f"the environment variable {table.token_env} is not set")
        return Collector(table.to, token)
    if parts.scheme == "tcp" and table.kind != "otel":
        return Plain(table.to)
    if parts.scheme == "file" and parts.netloc in ("", "localhost") and parts.path:
        return Plain(unquote(parts.path))
    if "://" not in table.to:
        return Plain(str(root / table.to))
    raise UsageError(
        f"[[guard.export]]: '{table.kind}' does not go to {table.to[:80]}",
        hint="file:///..., tcp://host:port, or for otel http(s)://host:4318",
    )


def check(tables: Sequence[ExportTable], root: Path, environment: Mapping[str, str]) -> None:
    """Hold the tables to what can be, before anything is served.

    Raises:
        UsageError: As `receiver`.
    """
    for table in tables:
        receiver(table, root, environment)


def start(loaded: Loaded, workspace: Path, place: str, until: ExitStack) -> None:
    """Deliver from now on, until the stack is closed.

    Args:
        loaded: The configuration.
        workspace: Its folder remembers how far each destination got.
        place: Where the events are.
        until: Ends it.

    Raises:
        UsageError: As `receiver`.
    """
    from casemate.store.telemetry.opening import open_query

    for table in loaded.config.guard.export:
        where = receiver(table, loaded.root, os.environ)
        name = hashlib.sha256(f"{table.kind} {table.to}".encode()).hexdigest()[:16]
        memory = workspace / "exports" / f"{table.kind}-{name}.json"
        export = Export(table.kind, where, open_query(place), memory)
        stop = threading.Event()
        worker = threading.Thread(target=_run, args=(export, stop), name=memory.stem, daemon=True)
        worker.start()
        until.callback(worker.join, 2.0)
        until.callback(stop.set)


def _run(export: Export, stop: threading.Event) -> None:
    pause = _EVERY
    while not stop.wait(pause):
        pause = _EVERY if export.turn(now_us()) else min(_LONGEST_PAUSE, 2 * pause)


def _remembered(memory: Path) -> Progress:
    try:
        return msgspec.json.decode(memory.read_bytes(), type=Progress)
    except (OSError, msgspec.DecodeError):
        return Progress()


def _ocsf(events: Sequence[Event]) -> bytes:
    from casemate.export.ocsf import event_line

    return b"\n".join(event_line(one) for one in events)


def _cloudevents(events: Sequence[Event]) -> bytes:
    from casemate.export.cloudevents import line

    return b"\n".join(line(one) for one in events)


def _flat(events: Sequence[Event]) -> bytes:
    from casemate.export.siem import flat

    return b"\n".join(msgspec.json.encode(flat(one)) for one in events)


def _otel(events: Sequence[Event]) -> bytes:
    from casemate.export.otel import traces

    return traces(events)


_FORMS: dict[str, Callable[[Sequence[Event]], bytes]] = {
    "ocsf": _ocsf,
    "cloudevents": _cloudevents,
    "flat": _flat,
    "otel": _otel,
}
