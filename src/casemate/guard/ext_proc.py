"""The guard as Envoy's external processor: a gRPC service that Envoy asks about every request.

Envoy moves the bytes, TLS and HTTP/2 included; the guard sees heads and bodies and answers. How
bodies come is set in Envoy (`processing_mode`): BUFFERED, where a request can be held back, or
STREAMED, where it is only heard. Source: envoy.service.ext_proc.v3.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

from envoy.extensions.filters.http.ext_proc.v3 import processing_mode_pb2 as modes
from envoy.service.ext_proc.v3 import external_processor_pb2 as wire

from casemate.errors import UsageError
from casemate.guard.call import Call, Reply
from casemate.guard.ext_proc_wire import Connection, begin_with
from casemate.guard.marks import HEADER

if TYPE_CHECKING:
    from casemate.guard.ask import Ask
    from casemate.guard.call import Action, Headers
    from casemate.guard.desk import Desk, Ear
    from casemate.guard.policy import GuardTable

UPSTREAM = "x-casemate-upstream"
"""Field that names another upstream; the owner's Envoy routes by it and strips it from callers."""
ATTRIBUTES = "envoy.filters.http.ext_proc"
_NOTHING = wire.BodyResponse()
_HEADERS_ON = wire.ProcessingResponse(request_headers=wire.HeadersResponse())
_UNMARKED = wire.ProcessingResponse()
_UNMARKED.request_headers.response.header_mutation.remove_headers.append(HEADER)
_BODY_ON = wire.ProcessingResponse(request_body=_NOTHING)
_ANSWER_HEADERS_ON = wire.ProcessingResponse(response_headers=wire.HeadersResponse())
_ANSWER_BODY_ON = wire.ProcessingResponse(response_body=_NOTHING)
_TRAILERS_ON = wire.ProcessingResponse(request_trailers=wire.TrailersResponse())
_ANSWER_TRAILERS_ON = wire.ProcessingResponse(response_trailers=wire.TrailersResponse())
_HEAR_ONLY = wire.ProcessingResponse(
    response_headers=wire.HeadersResponse(),
    mode_override=modes.ProcessingMode(response_body_mode=modes.ProcessingMode.STREAMED),
)
_NO_BODY = wire.ProcessingResponse(
    response_headers=wire.HeadersResponse(),
    mode_override=modes.ProcessingMode(response_body_mode=modes.ProcessingMode.NONE),
)


class Exchanging:
    """One request and its answer, as Envoy tells them piece by piece."""

    def __init__(self, desk: Desk, limit: int) -> None:
        self._desk = desk
        self._limit = limit
        self._heads: dict[str, str] = {}
        self._headers: Headers = ()
        self._body: bytes | bytearray = bytearray()
        self._peer = ""
        self._ask: Ask | None = None
        self._over = False
        self._status = 0
        self._answer_headers: Headers = ()
        self._ear: Ear | None = None
        self.delay = 0.0

    def take(self, message: Any) -> Any:
        """Take one ProcessingRequest; return the ProcessingResponse to it."""
        kind = message.WhichOneof("request")
        if kind == "request_headers":
            return self._head(message)
        if kind == "request_body":
            return self._part(message.request_body)
        if kind == "response_headers":
            return self._answer_head(message.response_headers)
        if kind == "response_body":
            return self._answer_part(message.response_body)
        if kind == "request_trailers":
            return _TRAILERS_ON
        self._finish()
        return _ANSWER_TRAILERS_ON

    def _head(self, message: Any) -> Any:
        head = message.request_headers
        pairs = _pairs(head.headers)
        self._heads = {name: value for name, value in pairs if name.startswith(":")}
        self._headers = tuple(
            ("host", value) if name == ":authority" else (name, value)
            for name, value in pairs
            if name == ":authority" or not name.startswith(":")
        )
        if ATTRIBUTES in message.attributes:
            fields = message.attributes[ATTRIBUTES].fields
            if "source.address" in fields:
                self._peer = fields["source.address"].string_value.rpartition(":")[0].strip("[]")
        marked = any(name == HEADER for name, _ in self._headers)
        go_on = _UNMARKED if marked else _HEADERS_ON
        if head.end_of_stream:
            return self._decide(go_on, "request_headers")
        return go_on

    def _part(self, part: Any) -> Any:
        if part.end_of_stream and not self._body:
            self._body = part.body  # the usual case is whole, and not copied
        elif len(self._body) <= self._limit:
            self._body += part.body
        if part.end_of_stream:
            return self._decide(_BODY_ON, "request_body")
        return _BODY_ON

    def _decide(self, go_on: Any, kind: str) -> Any:
        path, _, query = self._heads.get(":path", "").partition("?")
        call = Call(
            self._heads.get(":method", ""), path, query, self._headers,
            bytes(self._body if len(self._body) <= self._limit else b""), self._peer,
            self._desk.clock(),
        )  # fmt: skip
        oversized = len(self._body) > self._limit
        self._body = bytearray()
        self._ask = self._desk.ask(call, oversized=oversized)
        action = self._ask.action
        self.delay = action.delay
        if action.kind == "answer" and action.reply is not None:
            self._over = True
            return _immediate(self._desk.answer(self._ask, None))
        return go_on if action.upstream is None else _routed(action, kind, go_on)

    def _answer_head(self, head: Any) -> Any:
        pairs = _pairs(head.headers)
        self._status = next((int(value) for name, value in pairs if name == ":status"), 0)
        self._answer_headers = tuple(pair for pair in pairs if not pair[0].startswith(":"))
        if head.end_of_stream:
            self._finish()
            return _ANSWER_HEADERS_ON
        if self._ask is None or not self._ask.recorded:
            return _NO_BODY
        types = dict(self._answer_headers).get("content-type", "")
        if types.lower().startswith("text/event-stream"):
            self._ear = self._desk.listen(self._ask)
            return _HEAR_ONLY
        return _ANSWER_HEADERS_ON

    def _answer_part(self, part: Any) -> Any:
        if self._ear is not None:
            self._ear.feed(part.body)
        elif part.end_of_stream and not self._body and len(part.body) <= self._limit:
            self._body = part.body
        else:
            self._body += part.body
            if len(self._body) > self._limit and self._ask is not None:
                self._ear = self._desk.listen(self._ask)
                self._ear.feed(bytes(self._body))
                self._body = bytearray()
        if not part.end_of_stream:
            return _ANSWER_BODY_ON
        return self._finish()

    def _finish(self) -> Any:
        """The answer is whole: let the guard see it; return what Envoy is to make of the body."""
        if self._over:
            return _ANSWER_BODY_ON
        self._over = True
        if self._ear is not None:
            self._ear.end()
        reply = Reply(self._status, self._answer_headers, bytes(self._body))
        served = reply if self._ask is None else self._desk.answer(self._ask, reply)
        if served is reply or served == reply or self._ear is not None:
            return _ANSWER_BODY_ON
        return _changed(reply, served)

    def end(self) -> None:
        """Envoy has hung up: the request was answered, or never will be."""
        if not self._over and self._ask is not None:
            self._over = True
            if self._ask.recorded or self._status == 0:
                why = "the caller left or the upstream failed"
                self._desk.answer(self._ask, None, why=why, status=0)


def _pairs(headers: Any) -> Headers:
    return tuple(
        (one.key, (one.raw_value.decode("latin-1") if one.raw_value else one.value))
        for one in headers.headers
    )


def _set(message: Any, headers: Headers) -> None:
    for name, value in headers:
        option = message.set_headers.add()
        option.header.key = name
        option.header.raw_value = value.encode("latin-1")
        option.append_action = option.OVERWRITE_IF_EXISTS_OR_ADD


def _immediate(reply: Reply) -> Any:
    message = wire.ImmediateResponse(body=reply.body)
    message.status.code = reply.status
    _set(message.headers, reply.headers)
    return wire.ProcessingResponse(immediate_response=message)


def _routed(action: Action, kind: str, go_on: Any) -> Any:
    message = wire.ProcessingResponse()
    message.CopyFrom(go_on)
    common = getattr(message, kind).response
    _set(common.header_mutation, ((UPSTREAM, action.upstream or ""),))
    common.clear_route_cache = True
    return message


def _changed(reply: Reply, served: Reply) -> Any:
    message = wire.ProcessingResponse()
    common = message.response_body.response
    common.body_mutation.body = served.body
    kept = {name for name, _ in served.headers}
    common.header_mutation.remove_headers.extend(
        {name for name, _ in reply.headers} - kept - {"content-length"}
    )
    headers = tuple(pair for pair in served.headers if pair[0] != "content-length")
    if served.status != reply.status:
        headers = (*headers, (":status", str(served.status)))
    _set(common.header_mutation, (*headers, ("content-length", str(len(served.body)))))
    return message


class Processor:
    """The gRPC service over a guard.

    Args:
        settings: `[guard]` of casemate.toml; `listen` is where Envoy finds it.
        desk: Where it meets the guard.
    """

    def __init__(
        self,
        settings: GuardTable,
        desk: Desk,
    ) -> None:
        self._settings = settings
        self._desk = desk
        self._server: asyncio.Server | None = None
        self._open: set[Connection] = set()
        self._ticking: asyncio.Task[None] | None = None

    async def start(self) -> int:
        """Open the port, or the socket of `unix:/path`, which costs less; return the port's number.

        Raises:
            UsageError: It cannot be opened.
        """
        begin = begin_with(
            lambda: Exchanging(self._desk, self._settings.max_body),
            wire.ProcessingRequest.FromString,
            wire.ProcessingResponse.SerializeToString,
        )
        limit = self._settings.max_body + (1 << 20)
        loop = asyncio.get_running_loop()
        listen = self._settings.listen
        try:
            if listen.startswith("unix:"):
                path = Path(listen.removeprefix("unix:"))
                self._server = await loop.create_unix_server(
                    lambda: Connection(begin, limit, self._open), path
                )
                path.chmod(0o660)  # Envoy's user must be in the guard's group
                port = 0
            else:
                host, _, wanted = listen.rpartition(":")
                self._server = await loop.create_server(
                    lambda: Connection(begin, limit, self._open),
                    host.strip("[]") or None,
                    int(wanted),
                )
                port = int(self._server.sockets[0].getsockname()[1])
        except (OSError, ValueError, OverflowError) as error:
            raise UsageError(f"cannot listen on {listen}: {error}") from error
        self._ticking = loop.create_task(self._tick())
        return port

    async def stop(self, grace: float = 5.0) -> None:
        """Let requests under way finish, then close."""
        if self._ticking is not None:
            self._ticking.cancel()
        if self._server is not None:
            self._server.close()
        for connection in self._open:
            connection.finish()
        loop = asyncio.get_running_loop()
        end = loop.time() + grace
        while any(connection.busy for connection in self._open) and loop.time() < end:
            await asyncio.sleep(0.02)
        for connection in list(self._open):
            connection.close()
        self._desk.rest()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(0.1)
            self._desk.due()
