"""As much of HTTP/2 and gRPC as one bidirectional method needs, on a plain asyncio protocol.

A general gRPC server costs ten times what this does per message, and Envoy asks four times per
request. There is one method on the port, so request heads are not decoded: no header compression
state is kept (its table is declared empty). Sources: RFC 9113 4-6, RFC 7541 6.1 and 6.2.2, gRPC
over HTTP/2. The port is for Envoy alone: bind it to the loopback or a socket only Envoy reaches.
"""

from __future__ import annotations

import asyncio
import struct
from typing import TYPE_CHECKING, Any, Protocol, cast

if TYPE_CHECKING:
    from collections.abc import Callable

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_STREAM, ACK, PADDED = 0x1, 0x1, 0x8
WIDEST = 2**31 - 1
FRAME = 1 << 17
"""Largest frame taken; larger ones would be pieced together from several reads."""
SENT_FRAME = 16_384
"""Largest frame sent: what every peer must take."""
REPLENISH = 1 << 24
STREAMS = 10_000
ANSWER_HEAD = b"\x88\x0f\x10\x10application/grpc"
"""`:status 200` and the content type, in indexed and literal form."""
TRAILER = b"\x00\x0bgrpc-status\x01"


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """Write one frame."""
    size = len(payload)
    return struct.pack(">BHBBI", size >> 16, size & 0xFFFF, kind, flags, stream) + payload


GREETING = frame(
    SETTINGS, 0, 0,
    struct.pack(">HIHIHIHI", 1, 0, 3, STREAMS, 4, WIDEST, 5, FRAME),
) + frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", WIDEST - 65_535))  # fmt: skip


class Conversation(Protocol):
    """What is said on one stream: a message in, a message out."""

    def take(self, message: bytes) -> tuple[bytes, float]:
        """Take a message; return the answer to it and the seconds to wait before it is sent."""

    def end(self) -> None:
        """Take note that nothing more will come."""


class _Stream:
    __slots__ = ("buffer", "conversation", "ended", "head_sent", "later", "queue", "window")

    def __init__(self, conversation: Conversation, window: int) -> None:
        self.conversation = conversation
        self.window = window
        self.buffer = bytearray()
        self.queue = b""
        """What may not be sent yet: the peer's window is full."""
        self.ended = self.head_sent = False
        self.later: asyncio.TimerHandle | None = None


class Connection(asyncio.Protocol):
    """One connection of an Envoy.

    Args:
        begin: Called for every stream; what it returns is told the messages.
        limit: Largest message in bytes; a longer one ends its stream.
        known: All open connections: this one adds and removes itself.
    """

    def __init__(
        self, begin: Callable[[], Conversation], limit: int, known: set[Connection]
    ) -> None:
        self._begin = begin
        self._limit = limit
        self._known = known
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._greeted = False
        self._streams: dict[int, _Stream] = {}
        self._window = self._initial = 65_535
        self._taken = 0
        self._out: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        self._transport = cast("asyncio.Transport", transport)
        self._known.add(self)
        self._transport.write(GREETING)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the loop's
        """Called by the loop: nothing more will come on any stream."""
        self._transport = None
        self._known.discard(self)
        for number in list(self._streams):
            self._forget(number)

    def data_received(self, data: bytes) -> None:
        """Called by the loop: deal with all whole frames, then write once."""
        buffer = self._buffer + data if self._buffer else data
        at = 0
        if not self._greeted:
            if len(buffer) < len(PREFACE):
                self._buffer = buffer
                return
            if not buffer.startswith(PREFACE):
                self.close()
                return
            self._greeted, at = True, len(PREFACE)
        size = len(buffer)
        while size - at >= 9:
            length = int.from_bytes(buffer[at : at + 3], "big")
            if length > FRAME:
                self.close()
                return
            if size - at - 9 < length:
                break
            number = int.from_bytes(buffer[at + 5 : at + 9], "big") & WIDEST
            payload = buffer[at + 9 : at + 9 + length]
            self._frame(buffer[at + 3], buffer[at + 4], number, payload)
            at += 9 + length
        self._buffer = buffer[at:]
        self._flush()

    def close(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    def finish(self) -> None:
        """Tell the peer to open no more streams."""
        self._out.append(frame(GOAWAY, 0, 0, struct.pack(">II", WIDEST, 0)))
        self._flush()

    @property
    def busy(self) -> bool:
        """Whether a stream is open."""
        return bool(self._streams)

    def _flush(self) -> None:
        if self._out and self._transport is not None:
            self._transport.write(b"".join(self._out))
        self._out.clear()

    def _frame(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        if kind == DATA:
            self._data(flags, number, payload)
        elif kind == HEADERS:
            if number not in self._streams:
                self._streams[number] = _Stream(self._begin(), self._initial)
            if flags & END_STREAM:
                self._half_closed(number)
        elif kind == RST_STREAM:
            self._forget(number)
        elif kind == SETTINGS and not flags & ACK:
            self._settings(payload)
        elif kind == PING and not flags & ACK:
            self._out.append(frame(PING, ACK, 0, payload))
        elif kind == WINDOW_UPDATE and len(payload) == 4:
            self._widen(number, int.from_bytes(payload, "big") & WIDEST)

    def _settings(self, payload: bytes) -> None:
        for at in range(0, len(payload) - 5, 6):
            name, value = struct.unpack_from(">HI", payload, at)
            if name == 4:
                for stream in self._streams.values():
                    stream.window += value - self._initial
                self._initial = value
        self._out.append(frame(SETTINGS, ACK, 0))
        for number in list(self._streams):
            self._send(number)

    def _widen(self, number: int, more: int) -> None:
        if number == 0:
            self._window += more
            for each in list(self._streams):
                self._send(each)
        elif number in self._streams:
            self._streams[number].window += more
            self._send(number)

    def _data(self, flags: int, number: int, payload: bytes) -> None:
        self._taken += len(payload)
        if self._taken > REPLENISH:
            self._out.append(frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", self._taken)))
            self._taken = 0
        stream = self._streams.get(number)
        if stream is None:
            return
        if flags & PADDED and payload:
            payload = payload[1 : len(payload) - payload[0]]
        stream.buffer += payload
        stream.ended = bool(flags & END_STREAM)
        self._read(number, stream)

    def _read(self, number: int, stream: _Stream) -> None:
        """Hand in the whole messages, one at a time: the next only when the last is answered."""
        while stream.later is None and len(stream.buffer) >= 5:
            length = int.from_bytes(stream.buffer[1:5], "big")
            if stream.buffer[0] or length > self._limit:
                self._reset(number)
                return
            if len(stream.buffer) < 5 + length:
                break
            with memoryview(stream.buffer) as view:
                message = bytes(view[5 : 5 + length])
            del stream.buffer[: 5 + length]
            try:
                answer, delay = stream.conversation.take(message)
            except Exception:  # noqa: BLE001 - one bad message must not end the other streams
                self._reset(number)
                return
            reply = b"\0" + len(answer).to_bytes(4, "big") + answer
            if delay > 0:
                loop = asyncio.get_running_loop()
                stream.later = loop.call_later(delay, self._late, number, reply)
            else:
                stream.queue += reply
        if len(stream.buffer) > self._limit + FRAME:
            self._reset(number)
        else:
            self._send(number)

    def _late(self, number: int, reply: bytes) -> None:
        stream = self._streams[number]  # the timer is cancelled when a stream is forgotten
        stream.later = None
        stream.queue += reply
        self._read(number, stream)
        self._flush()

    def _send(self, number: int) -> None:
        """Send of a stream's queue what the windows allow; end it when all has been said."""
        stream = self._streams[number]
        if stream.queue and not stream.head_sent:
            stream.head_sent = True
            self._out.append(frame(HEADERS, 0x4, number, ANSWER_HEAD))
        while stream.queue:
            room = min(stream.window, self._window, SENT_FRAME)
            if room <= 0:
                return
            part, stream.queue = stream.queue[:room], stream.queue[room:]
            stream.window -= len(part)
            self._window -= len(part)
            self._out.append(frame(DATA, 0, number, part))
        if stream.ended and stream.later is None:
            head = b"" if stream.head_sent else ANSWER_HEAD
            self._out.append(frame(HEADERS, 0x5, number, head + TRAILER + b"0"))
            self._forget(number)

    def _half_closed(self, number: int) -> None:
        self._streams[number].ended = True
        self._send(number)

    def _reset(self, number: int) -> None:
        self._out.append(frame(RST_STREAM, 0, number, struct.pack(">I", 2)))
        self._forget(number)

    def _forget(self, number: int) -> None:
        stream = self._streams.pop(number, None)
        if stream is not None:
            if stream.later is not None:
                stream.later.cancel()
            stream.conversation.end()


def begin_with(
    start: Callable[[], Any], read: Callable[[bytes], Any], write: Callable[[Any], bytes]
) -> Callable[[], Conversation]:
    """Return what begins a conversation over messages in their decoded form.

    Args:
        start: Makes what takes decoded messages: `take(message)`, `delay`, `end()`.
        read: Decodes a message.
        write: Encodes an answer.
    """

    class Decoded:
        def __init__(self) -> None:
            self._inner = start()
            self.end = self._inner.end

        def take(self, message: bytes) -> tuple[bytes, float]:
            answer = write(self._inner.take(read(message)))
            delay, self._inner.delay = self._inner.delay, 0.0
            return answer, delay

    return Decoded
