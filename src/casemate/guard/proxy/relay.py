"""One request on its way: past the guard to the model server, and its answer back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from casemate.errors import UsageError
from casemate.guard.call import Call, Reply
from casemate.guard.proxy.heads import lowered
from casemate.guard.proxy.hygiene import answer_head, phrase, request_head
from casemate.guard.proxy.upstream import read_address

if TYPE_CHECKING:
    import asyncio

    from casemate.guard.call import Action
    from casemate.guard.desk import Ear
    from casemate.guard.proxy.caller import Caller
    from casemate.guard.proxy.heads import Head
    from casemate.guard.proxy.listening import Proxy
    from casemate.guard.proxy.upstream import Address, Upstream

SAFE_AGAIN = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
"""Methods that may be sent twice (RFC 9110 9.2.2)."""
STREAM = b"text/event-stream"
WORDS = {
    502: "the model server did not answer properly",
    504: "the model server did not answer in time",
}


class Relay:
    """A request under way.

    In observe mode an answer is passed on as it comes and a copy is shown to the guard at its end.
    It is held only where the guard may change it (`Ask.changes`) and it is no stream of events.
    """

    def __init__(self, proxy: Proxy, caller: Caller, head: Head, body: bytes) -> None:
        self._proxy = proxy
        self._caller = caller
        self._head = head
        self._body = body
        self._upstream: Upstream | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._over = False
        self.bodiless = head.method == "HEAD"
        self._address = proxy.address
        call = Call(
            head.method, head.path, head.query, head.headers, body, caller.peer, proxy.clock()
        )
        self._ask = proxy.desk.ask(call)
        self._clear()

    def _clear(self) -> None:
        self._status = 0
        self._reason = b""
        self._fields: list[tuple[bytes, bytes]] = []
        self._kind = ""
        self._copy = bytearray()
        self._out: list[bytes] = []
        self._begun = self._held = False
        self._ear: Ear | None = None

    def start(self) -> None:
        """Carry out what the guard decided."""
        if self._ask.action.delay > 0:
            self._timer = self._proxy.loop.call_later(self._ask.action.delay, self._go)
        else:
            self._go()

    def _go(self) -> None:
        self._timer = None
        action = self._ask.action
        if action.kind == "answer" and action.reply is not None:
            self._serve(self._proxy.desk.answer(self._ask, None))
            return
        self._address = self._where(action)
        self._send(again=False)

    def _where(self, action: Action) -> Address:
        if action.upstream is None:
            return self._proxy.address
        try:
            return read_address(action.upstream)
        except UsageError:
            self._proxy.desk.bypass("an order names no upstream: ignored")
            return self._proxy.address

    def _send(self, *, again: bool) -> None:
        upstream = None if again else self._proxy.pool.idle(self._address)
        if upstream is not None:
            self._put(upstream)
        else:
            self._connecting = self._proxy.loop.create_task(self._connect())

    async def _connect(self) -> None:
        try:
            upstream = await self._proxy.pool.connect(self._address)
        except TimeoutError:
            self._give_up(504, "connect-timeout")
        except (OSError, ValueError):  # refused, unknown name, certificate not trusted
            self._give_up(502, "connect")
        else:
            if self._over:
                upstream.abandon()
            else:
                self._put(upstream)

    def _put(self, upstream: Upstream) -> None:
        self._upstream = upstream
        caller, address = self._caller, self._address
        self._caller.wait(self._proxy.settings.timeout)
        head = request_head(
            self._head, len(self._body), peer=caller.peer, scheme=caller.scheme,
            host=address.name, prefix=address.prefix.encode(),
        )  # fmt: skip
        upstream.ask(self, head, self._body)

    # What follows is called by the upstream's connection.

    def on_answer(
        self, status: int, reason: bytes, fields: list[tuple[bytes, bytes]], kind: str
    ) -> None:
        """Take the head of the answer; decide whether the body is held or passed on."""
        self._status, self._reason, self._fields, self._kind = status, reason, fields, kind
        if any(
            name.lower() == b"content-type" and value.lower().startswith(STREAM)
            for name, value in fields
        ):
            self._ear = self._proxy.desk.listen(self._ask)
        self._held = self._ear is None and self._ask.changes
        if not self._held:
            self._begin()

    def _begin(self) -> None:
        self._begun = True
        chunked = self._kind in {"chunked", "close"} and not self._head.old
        self._out.append(
            answer_head(
                self._status, self._reason, self._fields, chunked=chunked, keep=self._head.keep
            )
        )

    def on_data(self, data: bytes) -> None:
        """Take a part of the body."""
        self._caller.wait(self._proxy.settings.timeout)
        if self._ear is not None:
            self._ear.feed(data)
        else:
            self._copy += data
            if len(self._copy) > self._proxy.settings.max_body:
                data = self._overflow(data)
        if not self._held:
            self._pass(data)

    def _overflow(self, data: bytes) -> bytes:
        """Keep no more of the answer: from here on it is only heard as it passes."""
        copy, self._copy = bytes(self._copy), bytearray()
        self._ear = self._proxy.desk.listen(self._ask)
        self._ear.feed(copy)
        if not self._held:
            return data
        self._held = False
        self._proxy.desk.count_only("an answer too large to be changed")
        self._begin()
        return copy

    def _pass(self, data: bytes) -> None:
        if self._kind in {"chunked", "close"} and not self._head.old:
            self._out += (b"%x\r\n" % len(data), data, b"\r\n")
        else:
            self._out.append(data)

    def on_flush(self) -> None:
        """Write what is due in one go."""
        if self._out:
            self._caller.write(self._out)
            self._out = []

    def on_end(self) -> None:
        """The answer is whole: let the guard see it, and finish."""
        self._upstream = None
        if self._ear is not None:
            self._ear.end()
        reply = self._reply()
        served = self._proxy.desk.answer(self._ask, reply)
        if self._held:
            if served is not reply and served != reply:
                if served.status != self._status or self._kind == "none":
                    self._serve(served)
                    return
                self._fields, self._copy = self._like(served), bytearray(served.body)
            self._begin_whole()
        if self._kind in {"chunked", "close"} and not self._head.old:
            self._out.append(b"0\r\n\r\n")
        self.on_flush()
        self._finish(keep=self._head.keep)

    def _like(self, served: Reply) -> list[tuple[bytes, bytes]]:
        """Return the upstream's fields as written, with what is served instead."""
        left = list(served.headers)
        fields = []
        for name, value in self._fields:
            lower, said = lowered(name), value.decode("latin-1")
            if lower == "content-length":
                fields.append((name, b"%d" % len(served.body)))
            elif (lower, said) in left:
                left.remove((lower, said))
                fields.append((name, value))
        fields += [
            (name.encode("latin-1"), value.encode("latin-1"))
            for name, value in left
            if name != "content-length"
        ]
        return fields

    def _begin_whole(self) -> None:
        self._begin()
        if self._copy:
            self._pass(bytes(self._copy))

    def _reply(self) -> Reply:
        headers = tuple([(lowered(name), value.decode("latin-1")) for name, value in self._fields])
        return Reply(self._status, headers, bytes(self._copy))

    def on_failure(self, counted: str, *, fresh: bool) -> None:
        """No answer, or no more of it, will come."""
        self._upstream = None
        if not fresh and self._head.method in SAFE_AGAIN:
            self._clear()
            self._send(again=True)
            return
        self._give_up(502, counted)

    # What follows is called by the caller's connection.

    def late(self) -> None:
        """The model server took too long."""
        self._drop()
        self._give_up(504, "timeout")

    def left(self) -> None:
        """The caller went away before its answer was whole."""
        self._drop()
        if not self._over:
            self._over = True
            self._proxy.count("caller-left", "")
            self._proxy.desk.answer(self._ask, None, why="the caller left", status=0)

    def pause(self, *, paused: bool) -> None:
        """The caller reads more slowly than the model server writes, or has caught up."""
        if self._upstream is not None:
            self._upstream.pause(paused=paused)

    def _drop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._connecting is not None:
            self._connecting.cancel()
        if self._upstream is not None:
            self._upstream.abandon()
            self._upstream = None

    def _give_up(self, status: int, counted: str) -> None:
        if self._over:
            return
        self._proxy.count("upstream-failed", counted)
        self._proxy.desk.answer(self._ask, None, why=f"upstream: {counted}", status=status)
        self._over = True
        if self._begun:
            self._caller.cut()  # the caller must see that the answer is not whole
        else:
            self._caller.refuse(status, WORDS[status], bodiless=self.bodiless)

    def _serve(self, reply: Reply) -> None:
        fields = [
            (name.encode("latin-1"), value.encode("latin-1"))
            for name, value in reply.headers
            if name != "content-length"
        ]
        bodiless = self.bodiless or reply.status in {204, 304}
        if not bodiless:
            fields.append((b"content-length", b"%d" % len(reply.body)))
        keep = self._head.keep
        head = answer_head(reply.status, phrase(reply.status), fields, chunked=False, keep=keep)
        self._caller.write([head, b"" if bodiless else reply.body])
        self._finish(keep=keep)

    def _finish(self, *, keep: bool) -> None:
        self._over = True
        self._proxy.count("answered", f"{self._status // 100 or 2}xx")
        self._caller.finished(keep=keep)
