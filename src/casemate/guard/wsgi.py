"""The guard inside a Python model server: WSGI middleware.

Servers call it from many threads; a lock around the guard keeps the record in order. The model
itself runs outside of the lock.
"""

from __future__ import annotations

import io
import threading
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from casemate.guard.call import Call, Reply
from casemate.guard.desk import Desk
from casemate.guard.marks import HEADER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from casemate.guard.ask import Ask, Payload
    from casemate.guard.call import Headers
    from casemate.guard.desk import Copy, Ear
    from casemate.guard.guard import Guard
    from casemate.records.event import Event

_REASONS = {
    200: "OK",
    202: "Accepted",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    413: "Content Too Large",
    429: "Too Many Requests",
    502: "Bad Gateway",
}
_PIECE = 1 << 16
_MARK = "HTTP_" + HEADER.upper().replace("-", "_")
_SAFE = "/!$&'()*+,;=:@-._~"


def wsgi(
    app: WSGIApplication,
    guard: Guard,
    record: Callable[[Sequence[Event]], object],
    *,
    lock: AbstractContextManager[object] | None = None,
    keep: Callable[[Payload], object] | None = None,
    clock: Callable[[], int] | None = None,
) -> WSGIApplication:
    """Return the application with a guard around it; see `asgi.asgi` for the arguments."""
    return _Guarded(app, Desk(guard, record, lock or threading.Lock(), keep, clock))


class _Guarded:
    def __init__(self, app: WSGIApplication, desk: Desk) -> None:
        self._app = app
        self._desk = desk

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        desk = self._desk
        limit = desk.guard.policy.max_body
        body = _body(environ, limit)
        unknown = body is None
        body = body or b""
        oversized = len(body) > limit or (unknown and "HTTP_TRANSFER_ENCODING" in environ)
        call = Call(
            environ["REQUEST_METHOD"],
            _path(environ),
            environ.get("QUERY_STRING", ""),
            _headers(environ),
            b"" if oversized else body,
            environ.get("REMOTE_ADDR", ""),
            desk.clock(),
        )
        ask = desk.ask(call, oversized=oversized)
        if ask.action.delay:
            time.sleep(ask.action.delay)
        if ask.action.reply is not None:
            return _serve(start_response, desk.answer(ask, None))
        environ.pop(_MARK, None)
        rest = environ["wsgi.input"]
        if not unknown:
            environ["wsgi.input"] = _Again(body, rest) if oversized else io.BytesIO(body)
        if not ask.recorded:
            return self._app(environ, start_response)
        return _Answer(desk, ask, start_response).of(self._app, environ)


class _Answer:
    """What the application says, held until it is whole, or listened to as it passes."""

    def __init__(self, desk: Desk, ask: Ask, start_response: StartResponse) -> None:
        self._desk = desk
        self._ask = ask
        self._start_response = start_response
        self._started: tuple[Any, ...] = ()
        self._written: list[bytes] = []
        self._sole = False

    def of(self, app: WSGIApplication, environ: WSGIEnvironment) -> Iterable[bytes]:
        """Run the application; return what to serve."""
        try:
            found = app(environ, self._start)
        except BaseException as error:
            self._failed(f"the application raised {type(error).__name__}")
            raise
        self._sole = isinstance(found, (list, tuple)) and len(found) == 1 and not self._written
        # An application that is a generator starts its answer with its first piece.
        pieces = iter(found)
        close = getattr(found, "close", None)
        try:
            first = next(pieces, b"")
        except BaseException as error:
            self._failed(f"the application raised {type(error).__name__}")
            if close is not None:
                close()
            raise
        if self._streamed():
            return self._pass_on(self._desk.listen(self._ask), first, pieces, close)
        if self._started and not self._ask.changes and not isinstance(found, (list, tuple)):
            return self._pass_on(self._desk.copy(self._ask), first, pieces, close)
        return self._whole(first, pieces, close)

    def _start(self, status: str, headers: Any, exc_info: Any = None) -> Callable[[bytes], object]:
        self._started = (status, headers) if exc_info is None else (status, headers, exc_info)
        return self._written.append

    def _streamed(self) -> bool:
        return bool(self._started) and any(
            name.lower() == "content-type"
            and value.lstrip().lower().startswith("text/event-stream")
            for name, value in self._started[1]
        )

    def _pass_on(
        self,
        listener: Ear | Copy,
        first: bytes,
        pieces: Iterator[bytes],
        close: Callable[[], object] | None,
    ) -> Iterator[bytes]:
        self._start_response(*self._started)
        return self._heard(listener, first, pieces, close)

    def _heard(
        self,
        listener: Ear | Copy,
        first: bytes,
        pieces: Iterator[bytes],
        close: Callable[[], object] | None,
    ) -> Iterator[bytes]:
        why: str | None = "the caller left, within its answer"
        try:
            for one in (*self._written, first):
                listener.feed(one)
                yield one
            for one in pieces:
                listener.feed(one)
                yield one
            why = None
        except GeneratorExit:
            raise
        except BaseException as error:
            why = f"the application raised {type(error).__name__}, within its answer"
            raise
        finally:
            if close is not None:
                close()
            listener.end()
            if why and listener.body:
                self._desk.answer(self._ask, None, why=why, status=self._status())
            else:
                self._ask.note = why or self._ask.note
                self._desk.answer(self._ask, self._reply(listener.body))

    def _whole(
        self, first: bytes, pieces: Iterator[bytes], close: Callable[[], object] | None
    ) -> Iterable[bytes]:
        limit = self._desk.guard.policy.max_body
        parts = [*self._written, first]
        size = sum(map(len, parts))
        try:
            for one in pieces:
                parts.append(one)
                size += len(one)
                if size > limit:
                    # Too large to be held: from here on it is only listened to.
                    listener = self._desk.listen(self._ask)
                    self._start_response(*self._started)
                    self._written = []
                    return self._heard(listener, b"".join(parts), pieces, close)
        except BaseException as error:
            self._failed(f"the application raised {type(error).__name__}")
            if close is not None:
                close()
            raise
        if close is not None:
            close()
        reply = self._reply(b"".join(parts))
        served = self._desk.answer(self._ask, reply)
        if served is not reply:
            return self._changed(served)
        self._start_response(*self._started)
        # Servers give a lone piece a length; what came in several, or one by one, has none.
        return parts if self._sole else iter(parts)

    def _changed(self, served: Reply) -> list[bytes]:
        if served.status != self._status():
            return _serve(self._start_response, served)
        # As the application writes them, so that nothing but the values tells.
        written = {name.lower(): name for name, _ in self._started[1]}
        headers = [(written.get(name, name), value) for name, value in served.headers]
        self._start_response(self._started[0], headers)
        return [served.body]

    def _reply(self, body: bytes) -> Reply:
        headers = tuple((name.lower(), value) for name, value in self._started[1])
        return Reply(self._status(), headers, body)

    def _status(self) -> int:
        return int(self._started[0].split(" ", 1)[0])

    def _failed(self, why: str) -> None:
        self._desk.answer(self._ask, None, why=why, status=500)


class _Again(io.RawIOBase):
    """What was read already, and then the rest."""

    def __init__(self, body: bytes, rest: Any) -> None:
        self._body = io.BytesIO(body)
        self._rest = rest

    def read(self, size: int = -1) -> bytes:
        """Return up to `size` bytes."""
        found = self._body.read(size)
        if size < 0:
            return bytes(found + self._rest.read())
        left = size - len(found)
        return bytes(found + self._rest.read(left)) if left else found

    def readline(self, size: int | None = -1) -> bytes:
        """Return up to the next line's end, of what was read or of the rest."""
        size = -1 if size is None else size
        line = self._body.readline(size)
        if line.endswith(b"\n") or len(line) == size:
            return line
        return line + bytes(self._rest.readline(size if size < 0 else size - len(line)))


def _serve(start_response: StartResponse, reply: Reply) -> list[bytes]:
    headers = [one for one in reply.headers if one[0] != "content-length"]
    headers.append(("content-length", str(len(reply.body))))
    reason = _REASONS.get(reply.status, "Unknown")
    start_response(f"{reply.status} {reason}", headers)
    return [reply.body]


def _body(environ: WSGIEnvironment, limit: int) -> bytes | None:
    # None where nobody says where it ends: reading it could take for ever.
    source = environ["wsgi.input"]
    said = environ.get("CONTENT_LENGTH") or ""
    if said.isascii() and said.isdigit():
        left = min(int(said), limit + 1)
    elif environ.get("wsgi.input_terminated"):
        left = limit + 1
    else:
        return None
    parts: list[bytes] = []
    while left:
        part = source.read(min(left, _PIECE))
        if not part:
            break
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def _headers(environ: WSGIEnvironment) -> Headers:
    found = [
        (name[5:].replace("_", "-").lower(), value)
        for name, value in environ.items()
        if name.startswith("HTTP_") and isinstance(value, str)
    ]
    found += [
        (name.replace("_", "-").lower(), environ[name])
        for name in ("CONTENT_TYPE", "CONTENT_LENGTH")
        if environ.get(name)
    ]
    return tuple(found)


def _path(environ: WSGIEnvironment) -> str:
    return quote(environ.get("PATH_INFO", "").encode("latin-1"), safe=_SAFE)
