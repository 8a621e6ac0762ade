"""Connections to the model server: one question at a time each, kept warm for a moment."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, cast
from urllib.parse import urlsplit

import httptools

from casemate.errors import UsageError

if TYPE_CHECKING:
    import ssl

KEEP_IDLE = 1.5
"""Seconds an unused connection is kept: less than common servers' own patience (gunicorn 2 s)."""
MAX_HEAD = 64 * 1024
CONNECT_TIMEOUT = 5.0
# Linux only; other systems acknowledge sooner or cannot be told.
_QUICKACK: int | None = getattr(socket, "TCP_QUICKACK", None)


class Address(NamedTuple):
    """Where a model server is."""

    scheme: str
    host: str
    port: int
    prefix: str
    """Path before every request's own, without a trailing slash."""

    @property
    def name(self) -> bytes:
        """The server's own name, as a Host field has it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        usual = {"http": 80, "https": 443}[self.scheme]
        return (host if self.port == usual else f"{host}:{self.port}").encode("ascii")


def read_address(url: str) -> Address:
    """Read `http://host:port/prefix`.

    Raises:
        UsageError: It is no such address, or carries credentials, a query or a fragment.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise UsageError(f"not an upstream address: {url}") from error
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise UsageError(f"not an upstream address: {url}", hint="http://127.0.0.1:8080")
    if parts.username is not None or parts.password is not None:
        raise UsageError("an upstream address must not carry credentials")
    if not url.isascii() or any(c <= " " for c in url):
        raise UsageError(f"not an upstream address: {url!r}")
    default = 443 if parts.scheme == "https" else 80
    return Address(parts.scheme, parts.hostname, port or default, parts.path.rstrip("/"))


class Asker(Protocol):
    """Who waits for an answer. Called from inside the parser: it must not raise."""

    bodiless: bool
    """Whether the answer has no body whatever its head says: the question was HEAD."""

    def on_answer(
        self, status: int, reason: bytes, fields: list[tuple[bytes, bytes]], kind: str
    ) -> None:
        """Take the head; `kind` is how the body ends: `length`, `chunked`, `close` or `none`."""

    def on_data(self, data: bytes) -> None:
        """Take a part of the body."""

    def on_end(self) -> None:
        """Take note that the answer is whole."""

    def on_flush(self) -> None:
        """Pass on what has come in: one read of the socket has been dealt with."""

    def on_failure(self, counted: str, *, fresh: bool) -> None:
        """Take note that no answer, or no more of it, will come.

        Args:
            counted: The reason as the metrics name it.
            fresh: False when a kept connection broke before the first byte: it had gone stale.
        """


class Upstream(asyncio.Protocol):
    """One connection to a model server."""

    def __init__(self, pool: Pool, address: Address) -> None:
        self._pool = pool
        self.address = address
        self._transport: asyncio.Transport | None = None
        self._socket: Any = None
        self._asker: Asker | None = None
        self._asked = 0
        self._parser = httptools.HttpResponseParser(self)
        self.idle_since = 0.0
        self._reset()

    def _reset(self) -> None:
        self._fields: list[tuple[bytes, bytes]] = []
        self._reason = b""
        self._kind = ""
        self._head_bytes = 0
        self._begun = self._done = self._dirty = self._keep = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        self._transport = cast("asyncio.Transport", transport)
        self._socket = transport.get_extra_info("socket")

    def ask(self, asker: Asker, head: bytes, body: bytes) -> None:
        """Send one request; its answer comes by the asker's methods."""
        assert self._transport is not None
        self._asker = asker
        self._asked += 1
        if len(body) < 16_384:
            self._transport.write(head + body)
        else:
            self._transport.writelines((head, body))

    def abandon(self) -> None:
        """Close at once: nobody waits for the answer any more."""
        self._asker = None
        if self._transport is not None:
            self._transport.abort()

    def pause(self, *, paused: bool) -> None:
        """Stop or go on reading: the caller is slower than the model server."""
        if self._transport is not None and not self._transport.is_closing():
            if paused:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()

    def stale(self, now: float) -> bool:
        """Say whether it has waited unused for too long, or is closing already."""
        assert self._transport is not None
        return self._transport.is_closing() or now - self.idle_since > KEEP_IDLE

    def data_received(self, data: bytes) -> None:
        """Called by the loop."""
        asker = self._asker
        if asker is None or self._done:
            self.abandon()  # bytes that nobody asked for would answer the next question
            return
        self._begun = True
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._dirty = True
            if self._unfinished():
                self._fail("garbage")
                return
        self._read_on(asker, len(data))

    def _read_on(self, asker: Asker, size: int) -> None:
        """See what the parser made of one read."""
        if not self._kind:
            self._head_bytes += size
            if self._head_bytes > MAX_HEAD:
                self._fail("head-too-large")
                return
        asker.on_flush()
        if self._done:
            self._finish()
        else:
            self._acknowledge()

    def _acknowledge(self) -> None:
        """Have what came in acknowledged at once, as more is to come.

        A server that writes head and body apart and leaves Nagle's algorithm on holds the body
        back until the head is acknowledged, which a kernel puts off for 40 ms. It forgets what it
        was told, so it is told after each part.
        """
        if self._socket is not None and _QUICKACK is not None:
            with contextlib.suppress(OSError):
                self._socket.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)

    def _unfinished(self) -> bool:
        return not self._done

    def _finish(self) -> None:
        asker, self._asker = self._asker, None
        keep = self._keep and not self._dirty
        if keep and self._transport is not None and not self._transport.is_closing():
            self._reset()
            self._pool.give(self)
        else:
            self.abandon()
        if asker is not None:
            asker.on_end()

    def _fail(self, counted: str) -> None:
        asker, fresh = self._asker, self._begun or self._asked < 2
        self.abandon()
        if asker is not None:
            asker.on_failure(counted, fresh=fresh)

    def eof_received(self) -> None:
        """Called by the loop; the connection is closed after it."""

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the loop."""
        self._pool.forget(self)
        if self._asker is None:
            return
        if self._kind == "close" and exc is None:
            self._done = True
            self._finish()
        else:
            self._fail("truncated" if self._begun else "closed")

    # What follows is called by the parser.

    def on_message_begin(self) -> None:
        """A second answer to one question makes the connection useless."""
        self._dirty = self._dirty or self._done

    def on_status(self, reason: bytes) -> None:
        """Keep the reason phrase, which may come in pieces."""
        self._reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a field of the head; a trailer is dropped."""
        if not self._kind:
            self._fields.append((name, value))

    def on_headers_complete(self) -> None:
        """Pass the head on, unless it is provisional (1xx)."""
        asker, status = self._asker, self._parser.get_status_code()
        if self._done or asker is None:
            return
        if status < 200:
            return
        self._keep = self._parser.should_keep_alive()
        names = {name.lower(): value for name, value in self._fields}
        if asker.bodiless or status in {204, 304}:
            self._kind = "none"
        elif b"transfer-encoding" in names:
            self._kind = "chunked"
        else:
            self._kind = "length" if b"content-length" in names else "close"
        asker.on_answer(status, self._reason, self._fields, self._kind)
        if asker.bodiless:
            self._done = self._dirty = True

    def on_body(self, data: bytes) -> None:
        """Pass a part of the body on."""
        if self._asker is not None and not self._done:
            self._asker.on_data(data)

    def on_message_complete(self) -> None:
        """The answer is whole, or it was provisional and another one follows."""
        if self._kind:
            self._done = True
        else:
            self._fields, self._reason = [], b""


class Pool:
    """The kept connections, by address."""

    def __init__(self, tls: ssl.SSLContext | None) -> None:
        self._tls = tls
        self._idle: dict[Address, list[Upstream]] = defaultdict(list)

    def idle(self, address: Address) -> Upstream | None:
        """Take a kept connection, the one used last; None when there is none."""
        kept = self._idle[address]
        now = asyncio.get_running_loop().time()
        while kept:
            upstream = kept.pop()
            if not upstream.stale(now):
                return upstream
            upstream.abandon()
        return None

    async def connect(self, address: Address) -> Upstream:
        """Open a connection.

        Raises:
            OSError: It cannot be opened, or the server's certificate is not trusted.
            TimeoutError: It was not open after five seconds.
        """
        loop = asyncio.get_running_loop()
        secure: dict[str, Any] = {}
        if address.scheme == "https":
            secure = {"ssl": self._tls, "server_hostname": address.host}
        async with asyncio.timeout(CONNECT_TIMEOUT):
            _, upstream = await loop.create_connection(
                lambda: Upstream(self, address), address.host, address.port, **secure
            )
        return upstream

    def give(self, upstream: Upstream) -> None:
        """Keep a connection whose answer is whole."""
        upstream.idle_since = asyncio.get_running_loop().time()
        self._idle[upstream.address].append(upstream)

    def forget(self, upstream: Upstream) -> None:
        """Drop a connection that was closed."""
        kept = self._idle[upstream.address]
        if upstream in kept:
            kept.remove(upstream)

    def sweep(self, now: float) -> None:
        """Close what has been idle too long."""
        for kept in self._idle.values():
            for upstream in [each for each in kept if each.stale(now)]:
                kept.remove(upstream)
                upstream.abandon()

    def close(self) -> None:
        """Close all that is idle."""
        for kept in self._idle.values():
            while kept:
                kept.pop().abandon()
