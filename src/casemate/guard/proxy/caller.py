"""A caller's connection: requests are read whole, one at a time, within limits of size and time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from casemate.guard.proxy.bodies import Chunked, body_of
from casemate.guard.proxy.heads import Refused, early, read_head
from casemate.guard.proxy.hygiene import own_answer
from casemate.guard.proxy.relay import Relay

if TYPE_CHECKING:
    from casemate.guard.proxy.bodies import Counted
    from casemate.guard.proxy.heads import Head
    from casemate.guard.proxy.listening import Proxy

IDLE = 75.0
"""Seconds a connection may stay open between two requests."""
LINGER = 2.0
"""Seconds in which what a refused caller still sends is thrown away, so that it can read why."""
THROWN = 16 << 20
"""Bytes of it that are thrown away at most."""
AHEAD = 64 * 1024
"""Bytes a caller may send ahead while its request is under way."""
FOREVER = float("inf")


class Caller(asyncio.Protocol):
    """One connection of a caller."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._head: Head | None = None
        self._body: Counted | Chunked | None = None
        self._relay: Relay | None = None
        self._held = self._thrown = 0
        self._ended = False
        self._reading_paused = self._stalled = self._lingering = self._closing = False
        self._ahead = False
        self.deadline = FOREVER
        """When the proxy's watch ends whatever is under way, in seconds of the loop's clock."""
        self.peer = ""
        self.scheme = "http"

    # What follows is called by the loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet nobody: note the peer and start the clock."""
        self._transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        self.peer = peer[0] if isinstance(peer, tuple) else ""
        if transport.get_extra_info("sslcontext") is not None:
            self.scheme = "https"
        if not self._proxy.admit(self):
            self.refuse(503, "too many connections", counted="connections")
            return
        self.wait(self._proxy.settings.client_timeout)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the loop's
        """The connection is gone, whoever closed it."""
        self._transport = None
        self._proxy.leave(self)
        self._release()
        relay, self._relay = self._relay, None
        if relay is not None:
            relay.left()
        elif self._head is not None:
            self._proxy.count("caller-left", "")

    def eof_received(self) -> bool:
        """A caller that closes its side while its request is under way still gets the answer."""
        self._ended = True
        return self._relay is not None and self.scheme == "http"

    def pause_writing(self) -> None:
        """The caller does not read: stop reading the model server, and start the clock."""
        self._stalled = True
        self.wait(self._proxy.settings.client_timeout)
        if self._relay is not None:
            self._relay.pause(paused=True)

    def resume_writing(self) -> None:
        """The caller has caught up."""
        self._stalled = False
        self.wait(self._proxy.settings.timeout if self._relay else IDLE)
        if self._relay is not None:
            self._relay.pause(paused=False)

    def data_received(self, data: bytes) -> None:
        """Gather a request; what comes ahead of its turn waits."""
        if self._lingering or self._closing:
            self._thrown += len(data)
            if self._thrown > THROWN:
                self.cut()
            return
        if self._relay is not None:
            self._buffer += data
            if len(self._buffer) > AHEAD and self._transport is not None:
                self._reading_paused = True
                self._transport.pause_reading()
            return
        try:
            if self._head is None:
                self._read_head(data)
            else:
                self._read_body(data)
        except Refused as refused:
            bodiless = self._head is not None and self._head.method == "HEAD"
            self.refuse(refused.status, refused.why, counted=refused.counted, bodiless=bodiless)

    def _read_head(self, data: bytes) -> None:
        if not self._buffer:
            # The time for a request runs from its first byte.
            self.wait(self._proxy.settings.client_timeout)
            data = data.lstrip(b"\r\n") if data.startswith(b"\r\n") else data
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n") + 4
        limit = self._proxy.settings.max_header_bytes
        if end > limit or (end == 3 and len(self._buffer) > limit):
            raise Refused(431, "the header is too large", "header-size")
        if end == 3:
            refused = early(self._buffer)
            if refused is not None:
                raise refused
            return
        raw, rest = self._buffer[:end], self._buffer[end:]
        self._buffer = b""
        self._head = head = read_head(raw)
        self._body = body_of(head, self._proxy.settings.max_body)
        if self._body is None:
            self._buffer = rest
            self._begin(b"")
        elif rest:
            self._read_body(rest)
        if head.expects and self._body is not None and self._head is head and not rest:
            self.write([b"HTTP/1.1 100 Continue\r\n\r\n"])

    def _read_body(self, data: bytes) -> None:
        assert self._body is not None
        self._held += len(data)
        if not self._proxy.hold(len(data)):
            raise Refused(503, "too much is under way", "memory")
        rest = self._body.feed(data)
        if rest is not None:
            self._buffer = rest
            self._ahead = isinstance(self._body, Chunked) and self._body.ahead
            self._begin(self._body.whole())

    def _begin(self, body: bytes) -> None:
        assert self._head is not None
        head = self._head._replace(keep=False) if self._ahead else self._head
        self._head = self._body = None
        self._proxy.count("requests", "")
        self.deadline = FOREVER
        self._relay = Relay(self._proxy, self, head, body)
        self._relay.start()

    # What follows is called by the request under way, and by the proxy's watch.

    def wait(self, seconds: float) -> None:
        """Set the clock; a caller that does not read keeps the one it has."""
        if not self._stalled or seconds == self._proxy.settings.client_timeout:
            self.deadline = self._proxy.now() + seconds

    def write(self, parts: list[bytes]) -> None:
        """Send bytes of an answer."""
        if self._transport is not None:
            self._transport.write(b"".join(parts) if len(parts) > 1 else parts[0])

    def finished(self, *, keep: bool) -> None:
        """The answer has been written: take the next request, or close."""
        self._relay = None
        self._release()
        transport = self._transport
        if transport is None:
            return
        if not keep or self._proxy.closing or (self._ended and not self._buffer):
            self._closing = True
            self.wait(self._proxy.settings.client_timeout)
            transport.close()
            return
        if self._reading_paused:
            self._reading_paused = False
            transport.resume_reading()
        self.wait(IDLE)
        if self._buffer:
            self._proxy.loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        """Read on in what was sent ahead."""
        if self._relay is None and self._head is None and self._buffer:
            ahead, self._buffer = self._buffer, b""
            self.data_received(ahead)

    def refuse(self, status: int, why: str, *, counted: str = "", bodiless: bool = False) -> None:
        """Answer for the proxy itself and close, once the caller has had time to read it."""
        if counted:
            self._proxy.count("refused", counted)
        self._relay = self._head = self._body = None
        self._buffer = b""
        self._release()
        transport = self._transport
        if transport is None or self._lingering:
            return
        self._lingering = True
        self.deadline = self._proxy.now() + LINGER
        transport.write(own_answer(status, why, bodiless=bodiless))
        if transport.can_write_eof():
            transport.write_eof()
        else:
            transport.close()
        if self._reading_paused:
            transport.resume_reading()

    def cut(self) -> None:
        """Break the connection: what was sent is not the whole answer."""
        self._relay = None
        if self._transport is not None:
            self._transport.abort()

    def overdue(self) -> None:
        """Called when the deadline has passed."""
        self.deadline = FOREVER
        if self._stalled or self._lingering or self._closing:
            if self._stalled:
                self._proxy.count("refused", "slow-reader")
            relay, self._relay = self._relay, None
            if relay is not None:
                relay.left()
            self.cut()
        elif self._relay is not None:
            self._relay.late()
        elif self._head is not None or self._buffer:
            self.refuse(408, "the request took too long", counted="slow-request")
        elif self._transport is not None:
            self._transport.close()

    def shut(self) -> None:
        """Close if nothing is under way; else after the answer."""
        if self._relay is None and self._transport is not None:
            self._transport.close()

    def _release(self) -> None:
        if self._held:
            self._proxy.hold(-self._held)
            self._held = 0
