"""The guard inside a Python model server: ASGI middleware.

Requests are read whole up to the limit and handed on as they came; answers go through untouched
when only observing. Events leave once the answer is known.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from casemate.guard.call import Call, Reply
from casemate.guard.desk import Desk
from casemate.guard.marks import HEADER

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping, Sequence
    from contextlib import AbstractContextManager

    from casemate.guard.ask import Ask, Payload
    from casemate.guard.call import Headers
    from casemate.guard.desk import Copy, Ear
    from casemate.guard.guard import Guard
    from casemate.records.event import Event

    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

_EVENTS = b"text/event-stream"


def asgi(
    app: App,
    guard: Guard,
    record: Callable[[Sequence[Event]], object],
    *,
    lock: AbstractContextManager[object] | None = None,
    keep: Callable[[Payload], object] | None = None,
    clock: Callable[[], int] | None = None,
) -> App:
    """Return the application with a guard around it.

    Args:
        app: The model server.
        guard: Decides and records.
        record: Keeps events; quick, as it is called on the server's loop.
        lock: Held around every use of guard and record, when others use them too.
        keep: Keeps captured payloads.
        clock: Microseconds since the epoch; the machine's own when not given.
    """
    return _Guarded(app, Desk(guard, record, lock, keep, clock))


class _Guarded:
    def __init__(self, app: App, desk: Desk) -> None:
        self._app = app
        self._desk = desk
        self._timer: asyncio.TimerHandle | None = None

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        else:
            await self._lifespan(scope, receive, send)

    async def _websocket(
        self, scope: MutableMapping[str, Any], receive: Receive, send: Send
    ) -> None:
        # Nothing here reads WebSockets; what is not read is not let in where orders must hold.
        if self._desk.guard.enforces:
            await receive()
            await send({"type": "websocket.close", "code": 1008})
            return
        self._desk.bypass("a WebSocket, which is not read")
        await self._app(scope, receive, send)

    async def _lifespan(
        self, scope: MutableMapping[str, Any], receive: Receive, send: Send
    ) -> None:
        async def heard() -> Message:
            message = await receive()
            if message["type"] == "lifespan.shutdown":
                self._desk.rest()
            return message

        await self._app(scope, heard, send)

    async def _http(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        desk = self._desk
        limit = desk.guard.policy.max_body
        parts: list[Message] = []
        size = 0
        more = True
        while more and size <= limit:
            message = await receive()
            parts.append(message)
            if message["type"] != "http.request":
                # The caller left before its request was complete: nothing was asked.
                return
            size += len(message.get("body", b""))
            more = message.get("more_body", False)
        client = scope.get("client")
        oversized = size > limit
        call = Call(
            scope["method"],
            _path(scope),
            scope.get("query_string", b"").decode("latin-1"),
            headers(scope["headers"]),
            b"" if oversized else b"".join(one.get("body", b"") for one in parts),
            client[0] if client else "",
            desk.clock(),
        )
        ask = desk.ask(call, oversized=oversized)
        if ask.action.delay:
            await asyncio.sleep(ask.action.delay)
        if ask.action.reply is not None:
            await _send(send, desk.answer(ask, None))
            self.later()
            return
        if any(name == HEADER for name, _ in call.headers):
            scope = {**scope, "headers": [one for one in scope["headers"] if not _marks(one)]}
        if not ask.recorded:
            await self._app(scope, _again(parts, receive), send)
            return
        answer = _Answer(self, desk, ask, send)
        try:
            await self._app(scope, _again(parts, receive), answer)
        except asyncio.CancelledError:
            answer.fail("the caller left", 0)
            raise
        except BaseException as error:
            answer.fail(f"the application raised {type(error).__name__}", 500)
            raise
        answer.fail("the application did not answer", 500)

    def later(self) -> None:
        """See to it that events that wait for slower ones leave in time."""
        if self._desk.guard.open and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(0.1, self._due)

    def _due(self) -> None:
        self._timer = None
        self._desk.due()
        self.later()


class _Answer:
    """The application's `send`: passes answers on as they come, and holds what may be changed."""

    def __init__(self, shell: _Guarded, desk: Desk, ask: Ask, send: Send) -> None:
        self._shell = shell
        self._desk = desk
        self._ask = ask
        self._send = send
        self._start: Message = {}
        self._parts: list[bytes] = []
        self._size = 0
        self._listener: Ear | Copy | None = None
        self._done = False

    async def __call__(self, message: Message) -> None:
        kind = message["type"]
        if kind == "http.response.start":
            self._start = message
            if any(
                name.lower() == b"content-type" and value.lstrip().lower().startswith(_EVENTS)
                for name, value in message.get("headers", ())
            ):
                self._listener = self._desk.listen(self._ask)
            elif not self._ask.changes:
                self._listener = self._desk.copy(self._ask)
            if self._listener is not None:
                await self._send(message)
        elif kind == "http.response.body":
            await self._body(message)
        else:
            await self._send(message)

    async def _body(self, message: Message) -> None:
        body = message.get("body", b"")
        more = message.get("more_body", False)
        if self._listener is None:
            self._parts.append(body)
            self._size += len(body)
            if self._size <= self._desk.guard.policy.max_body:
                if not more:
                    await self._whole()
                return
            # Too large to be held: from here on it is only listened to.
            self._listener = self._desk.listen(self._ask)
            await self._send(self._start)
            body, self._parts = b"".join(self._parts), []
        self._listener.feed(body)
        if not more:
            # On record before the caller has it all: whoever goes on must find it there.
            self._heard(self._listener)
        await self._send({**message, "body": body, "more_body": more})

    async def _whole(self) -> None:
        self._done = True
        start = self._start
        reply = Reply(start["status"], headers(start.get("headers", ())), b"".join(self._parts))
        served = self._desk.answer(self._ask, reply)
        if served is reply:
            await self._send(start)
            await self._send({"type": "http.response.body", "body": reply.body})
        else:
            await _send(self._send, served)
        self._shell.later()

    def _heard(self, listener: Ear | Copy) -> None:
        self._done = True
        listener.end()
        start = self._start
        reply = Reply(start["status"], headers(start.get("headers", ())), listener.body)
        self._desk.answer(self._ask, reply)
        self._shell.later()

    def fail(self, why: str, status: int) -> None:
        """Put on record that no answer came, or only a part of one."""
        if self._done:
            return
        if self._listener is not None and not self._listener.body:
            self._ask.note = f"{why}, within its answer"
            self._heard(self._listener)
            return
        if self._listener is not None:
            why, status = f"{why}, within its answer", self._start["status"]
        self._done = True
        self._desk.answer(self._ask, None, why=why, status=status)
        self._shell.later()


async def _send(send: Send, reply: Reply) -> None:
    said = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in reply.headers]
    if not any(name == b"content-length" for name, _ in said):
        said.append((b"content-length", str(len(reply.body)).encode()))
    await send({"type": "http.response.start", "status": reply.status, "headers": said})
    await send({"type": "http.response.body", "body": reply.body})


def headers(raw: Any) -> Headers:
    """Return ASGI headers as the guard takes them."""
    return tuple((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in raw)


def _marks(field: tuple[bytes, bytes]) -> bool:
    return field[0].lower() == HEADER.encode()


def _again(parts: list[Message], receive: Receive) -> Receive:
    left = iter(parts)

    async def heard() -> Message:
        for message in left:
            return message
        return await receive()

    return heard


def _path(scope: MutableMapping[str, Any]) -> str:
    raw = scope.get("raw_path")
    path = raw.partition(b"?")[0].decode("latin-1") if raw else scope["path"]
    root = scope.get("root_path", "")
    return str(path.removeprefix(root) if root else path)
