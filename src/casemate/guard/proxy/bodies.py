"""The body of a request, gathered up to a limit: by its length, or chunk by chunk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from casemate.guard.proxy.heads import Refused

if TYPE_CHECKING:
    from casemate.guard.proxy.heads import Head

CHUNKED = b"POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n"
SLACK = 64 * 1024


class Body(Protocol):
    """A body under way."""

    def feed(self, data: bytes) -> bytes | None:
        """Take bytes; return those beyond the body once it is whole, None while it is not."""

    def whole(self) -> bytes:
        """Return the body without its framing."""


class Counted:
    """A body of known length."""

    def __init__(self, length: int) -> None:
        self._length = length
        self._data: bytes | bytearray = b""

    def feed(self, data: bytes) -> bytes | None:
        """Take bytes."""
        missing = self._length - len(self._data)
        if not self._data and len(data) >= missing:
            self._data = data[:missing]
            return data[missing:]
        if not self._data:
            self._data = bytearray()
        self._data += data[:missing]
        return data[missing:] if len(data) >= missing else None

    def whole(self) -> bytes:
        """Return the body; a body that came in one piece is not copied."""
        return bytes(self._data)


class Chunked:
    """A body in chunks, unpacked by llhttp: strict about line ends, signs and overflow.

    Chunk extensions are dropped, trailers too. Bytes that follow in the same read belong to a
    request the caller sent ahead; they are given up and the connection is closed after the answer
    (RFC 9112 9.3.2 lets the caller send them again).
    """

    def __init__(self, limit: int) -> None:
        import httptools

        self._data = bytearray()
        self._limit = limit
        self._size = 0
        self._raw = 0
        self._done = False
        self.ahead = False
        """Whether bytes followed that were given up."""
        self._parser = httptools.HttpRequestParser(self)
        self._parser.feed_data(CHUNKED)

    def on_body(self, data: bytes) -> None:
        """Called by the parser."""
        if not self._done:
            self._size += len(data)
            if self._size <= self._limit:
                self._data += data

    def on_message_begin(self) -> None:
        """Called by the parser: the body's own head, or a request sent ahead."""
        self.ahead = self._done

    def on_message_complete(self) -> None:
        """Called by the parser."""
        self._done = True

    def feed(self, data: bytes) -> bytes | None:
        """Take bytes.

        Raises:
            Refused: The chunks are malformed, larger than the limit, or nearly all framing.
        """
        import httptools

        self._raw += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            if not self._done:
                raise Refused(400, "the chunks are malformed", "chunks") from error
            self.ahead = True
        if self._size > self._limit:
            raise Refused(413, "the body is too large", "body-size")
        if self._raw > 8 * self._size + SLACK:
            raise Refused(400, "the chunks are nearly all framing", "chunk-overhead")
        return b"" if self._done else None

    def whole(self) -> bytes:
        """Return the body without its framing."""
        return bytes(self._data)


def body_of(head: Head, limit: int) -> Counted | Chunked | None:
    """Return what gathers the body that a head announces; None when there is none.

    Args:
        head: The request's head.
        limit: Largest body in bytes.

    Raises:
        Refused: It is announced larger than the limit.
    """
    if head.length > limit:
        raise Refused(413, "the body is too large", "body-size")
    if head.length < 0:
        return Chunked(limit)
    return Counted(head.length) if head.length else None
