"""What the proxy changes in a head, in one published list, and the heads it writes."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from casemate.guard.marks import HEADER
from casemate.guard.proxy.heads import PER_CONNECTION

if TYPE_CHECKING:
    from collections.abc import Sequence

    from casemate.guard.proxy.heads import Head

Fields = tuple[tuple[bytes, bytes], ...]

TOUCHED = {
    HEADER: "dropped from requests: it marks the red team's own to the guard, nobody else",
    "connection": "dropped both ways: it speaks of one connection only",
    "content-length": "written by the proxy for a request whose body came in chunks",
    "expect": "dropped from requests: the proxy itself answers 100 Continue",
    "host": "added to an HTTP/1.0 request without one",
    "http2-settings": "dropped from requests: upgrades are not passed on",
    "keep-alive": "dropped both ways: it speaks of one connection only",
    "proxy-authenticate": "dropped both ways: it is for a forward proxy",
    "proxy-authorization": "dropped both ways: it is for a forward proxy",
    "proxy-connection": "dropped both ways: it speaks of one connection only",
    "te": "dropped from requests: trailers are not passed on",
    "trailer": "dropped both ways: trailers are not passed on",
    "transfer-encoding": "written anew: requests go out with their length, answers keep their kind",
    "upgrade": "dropped both ways: upgrades are not passed on",
    "x-forwarded-for": "the connection's address is appended on requests",
    "x-forwarded-proto": "set on requests that carry none",
}
"""The published list: every field that the proxy may add, drop or change in observe mode. All
others pass with name, value, order and repeats unchanged; blanks around a value are not part of it
(RFC 9110 5.5)."""

_DROPPED = frozenset(name.encode() for name in PER_CONNECTION)
_REASONS = {status.value: status.phrase.encode() for status in HTTPStatus}


def request_head(
    head: Head, body: int, *, peer: str, scheme: str, host: bytes, prefix: bytes
) -> bytes:
    """Write the head that goes to the upstream.

    Args:
        head: The caller's.
        body: Length of the gathered body in bytes.
        peer: Address of the caller's connection.
        scheme: `http` or `https`, as the caller came.
        host: The upstream's own name, for requests without one.
        prefix: Path of the upstream's address, put before the request's.
    """
    lines = [head.method.encode(), b" ", prefix, head.target, b" HTTP/1.1\r\n"]
    via, proto, named = b"", False, False
    for (name, value), (lower, _) in zip(head.fields, head.headers, strict=True):
        if lower in PER_CONNECTION or lower == HEADER:
            continue
        if lower == "x-forwarded-for":
            via = via + b", " + value if via else value
            continue
        proto = proto or lower == "x-forwarded-proto"
        named = named or lower == "host"
        lines += (name, b": ", value, b"\r\n")
    if not named:
        lines += (b"Host: ", host, b"\r\n")
    if head.length < 0:
        lines.append(b"Content-Length: %d\r\n" % body)
    if peer:
        via = via + b", " + peer.encode() if via else peer.encode()
    if via:
        lines += (b"X-Forwarded-For: ", via, b"\r\n")
    if not proto:
        lines += (b"X-Forwarded-Proto: ", scheme.encode(), b"\r\n")
    lines.append(b"\r\n")
    return b"".join(lines)


def answer_head(
    status: int, reason: bytes, fields: Sequence[tuple[bytes, bytes]], *, chunked: bool, keep: bool
) -> bytes:
    """Write the head of an answer: fields as given but for those between neighbours.

    Args:
        status: Three digits.
        reason: The upstream's own words for it.
        fields: As the upstream sent them.
        chunked: Whether the body follows in chunks.
        keep: Whether the connection stays open; the caller is told when it does not.
    """
    lines = [b"HTTP/1.1 %d %b\r\n" % (status, reason)]
    for name, value in fields:
        if name.lower() not in _DROPPED:
            lines += (name, b": ", value, b"\r\n")
    if chunked:
        lines.append(b"Transfer-Encoding: chunked\r\n")
    lines.append(b"\r\n" if keep else b"Connection: close\r\n\r\n")
    return b"".join(lines)


def own_answer(status: int, why: str, *, bodiless: bool = False) -> bytes:
    """Write a whole answer of the proxy itself, after which the connection is closed."""
    body = f"{why}\n".encode()
    return b"HTTP/1.1 %d %b\r\n%b%b" % (
        status,
        phrase(status),
        b"Content-Type: text/plain; charset=utf-8\r\n"
        b"Content-Length: %d\r\nConnection: close\r\n\r\n" % len(body),
        b"" if bodiless else body,
    )


def phrase(status: int) -> bytes:
    """Return the standard words for a status."""
    return _REASONS.get(status, b"Unknown")
