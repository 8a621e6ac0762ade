"""One HTTP endpoint's connections: send a body, get a body, and nothing else.

Below http.py. It goes only to the host that was named: no redirects, no proxies from the
environment, no cookies. Answers are bounded in size before and after decompression and in time.
httpx's transport is used without its client, which costs a third more per request and would do
those things.
"""

from __future__ import annotations

import contextlib
import math
import socket
import ssl
import time
import zlib
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

import httpx

import casemate
from casemate.errors import Refused, TargetError, UsageError
from casemate.targets.credentials import redact
from casemate.targets.patience import Later, retry_after
from casemate.targets.wire.tensor import Message

if TYPE_CHECKING:
    from collections.abc import Mapping

    from casemate.targets.address import Address
    from casemate.targets.patience import Patience

MAX_ANSWER = 16 << 20
"""Bytes of an answer, before and after decompression."""
_EXCERPT = 160
_AGAIN = frozenset({408, 425, 429, 502, 503, 504})
_REFUSALS = frozenset({403, 406, 409, 422, 423, 451})
"""Statuses that speak of one request: another may be answered."""
_HINTS = {
    400: "the model may want another input name, shape or datatype",
    401: "set CASEMATE_TOKEN, or CASEMATE_HEADER_<NAME>",
    403: "the credentials are not allowed to ask this model",
    404: "look at the path and the model's name in the URI",
    405: "look at the path in the URI, and at the protocol in its scheme",
    415: "another form may suit: #form=...",
    422: "the model may want another input name, shape or datatype",
}


# Linux only; other systems acknowledge sooner or cannot be told.
_QUICKACK: int | None = getattr(socket, "TCP_QUICKACK", None)


class Reply(NamedTuple):
    """A status and a body within the bounds."""

    status: int
    message: Message


class Connection:
    """Connections to one endpoint, kept alive and few; safe to share between threads."""

    def __init__(
        self,
        address: Address,
        patience: Patience,
        *,
        headers: Mapping[str, str],
        ca_file: str | None = None,
        connections: int = 1,
    ) -> None:
        self.address, self.patience = address, patience
        self._secrets = headers
        self._headers = {
            "host": address.host,
            "user-agent": f"casemate/{casemate.__version__}",
            "accept-encoding": "identity",
            **headers,
        }
        self._transport = httpx.HTTPTransport(
            verify=trust(address, ca_file),
            trust_env=False,
            limits=httpx.Limits(
                max_connections=connections,
                max_keepalive_connections=connections,
                keepalive_expiry=60.0,
            ),
        )

    def post(self, path: str, message: Message, *, inputs: int) -> Message | None:
        """Send a question about so many inputs and return the answer, None when it is too large.

        Raises:
            TargetError: The endpoint failed, refused, or answered out of bounds.
        """
        headers = {"accept": "application/json", "content-type": message.content_type}
        headers |= message.headers
        url = self.address.url(path)
        reply = self.patience.call(
            inputs, lambda seconds: self._send("POST", url, headers, message.body, seconds)
        )
        if reply.status == 413:
            return None
        return self._accepted(reply)

    def get(self, path: str) -> bytes | None:
        """Fetch a description, None where the server has none.

        Raises:
            TargetError: The endpoint failed, or wants other credentials.
        """
        url = self.address.url(path, query=False)
        reply = self.patience.call(
            0, lambda seconds: self._send("GET", url, {"accept": "application/json"}, b"", seconds)
        )
        if 200 <= reply.status < 300:
            return reply.message.body
        if reply.status in (401, 403):
            self._accepted(reply)
        return None

    def close(self) -> None:
        """Close all connections."""
        self.patience.close()
        self._transport.close()

    def _accepted(self, reply: Reply) -> Message:
        status, message = reply
        if 300 <= status < 400:
            raise TargetError(
                f"the endpoint redirects ({status}) and is not followed",
                hint=f"name the other address if it is yours: {one_line(_place(message))}",
            )
        if not 200 <= status < 300:
            said = redact(
                one_line(message.body[:_EXCERPT].decode("utf-8", "replace")), self._secrets
            )
            failure = Refused if status in _REFUSALS else TargetError
            raise failure(
                f"the endpoint answered {status}{': ' if said else ''}{said}",
                hint=_HINTS.get(status, ""),
            )
        kind = message.content_type
        if kind.startswith(("text/html", "text/xml", "image/", "video/", "audio/")):
            raise TargetError(
                f"the endpoint answered {one_line(kind)[:40]}, not predictions",
                hint="a login page or a proxy may be in the way",
            )
        return message

    def _send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes, seconds: float
    ) -> Reply | Later:
        until = time.monotonic() + seconds
        limit = None if math.isinf(seconds) else seconds
        request = httpx.Request(
            method,
            url,
            headers={**self._headers, **headers},
            content=body if method == "POST" else None,
            extensions={"timeout": dict.fromkeys(("connect", "read", "write", "pool"), limit)},
        )
        try:
            response = self._transport.handle_request(request)
            try:
                _acknowledge(response)
                if response.status_code in _AGAIN:
                    after = retry_after(response.headers.get("retry-after"))
                    return Later(f"answered {response.status_code}", after)
                raw = _read(response, until)
                if raw is None:
                    return Later(f"took longer than {seconds:.3g} s to answer")
            finally:
                response.close()
        except httpx.TimeoutException:
            return Later(f"took longer than {seconds:.3g} s to answer")
        except httpx.ConnectError as error:
            if "CERTIFICATE" in str(error):
                raise TargetError(
                    f"the certificate of {self.address.host} is not trusted",
                    hint="set CASEMATE_CA_FILE to the authority's PEM file",
                ) from error
            return Later(f"cannot be reached: {one_line(str(error))[:_EXCERPT]}")
        except httpx.TransportError as error:
            return Later(f"broke off: {one_line(str(error))[:_EXCERPT] or type(error).__name__}")
        said = {name: value for name, value in response.headers.items() if name in _KEPT}
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        plain = _decompress(raw, response.headers.get("content-encoding", ""))
        return Reply(response.status_code, Message(plain, kind, said))


_KEPT = frozenset({"inference-header-content-length", "location"})


def _acknowledge(response: httpx.Response) -> None:
    """Acknowledge the head at once.

    A server that writes head and body apart and leaves Nagle's algorithm on holds the body back
    until the head is acknowledged, which a kernel puts off for 40 ms: most of a query's time.
    """
    stream = response.extensions.get("network_stream")
    open_socket = stream.get_extra_info("socket") if stream is not None else None
    if open_socket is not None and _QUICKACK is not None:
        with contextlib.suppress(OSError):
            open_socket.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)


def _read(response: httpx.Response, until: float) -> bytes | None:
    claimed = response.headers.get("content-length", "0")
    if claimed.isdecimal() and int(claimed) > MAX_ANSWER:
        raise TargetError(_too_large())
    parts: list[bytes] = []
    size = 0
    for part in response.iter_raw():
        size += len(part)
        if size > MAX_ANSWER:
            raise TargetError(_too_large())
        if time.monotonic() > until:
            return None
        parts.append(part)
    return b"".join(parts)


def _decompress(body: bytes, encoding: str) -> bytes:
    kind = encoding.strip().lower()
    if kind in ("", "identity"):
        return body
    if kind not in ("gzip", "x-gzip", "deflate"):
        raise TargetError(f"the endpoint answered in the encoding {one_line(kind)[:20]}")
    reader = zlib.decompressobj(47)
    try:
        plain = reader.decompress(body, MAX_ANSWER + 1)
    except zlib.error as error:
        raise TargetError("the endpoint's compressed answer is damaged", retry=True) from error
    if len(plain) > MAX_ANSWER:
        raise TargetError(_too_large())
    if not reader.eof or reader.unused_data:
        raise TargetError("the endpoint's compressed answer is cut off", retry=True)
    return plain


def _too_large() -> str:
    return f"the endpoint's answer is larger than {MAX_ANSWER >> 20} MiB; a smaller batch may help"


def trust(address: Address, ca_file: str | None) -> ssl.SSLContext | bool:
    """Return whom to trust: the authorities in `ca_file`, or the public ones."""
    if ca_file is None or not address.secure:
        return True
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise UsageError(f"CASEMATE_CA_FILE {ca_file} cannot be used: {error}") from error


def _place(message: Message) -> str:
    parts = urlsplit(message.headers.get("location", "")[:_EXCERPT])
    return f"{parts.scheme}://{parts.hostname or ''}{parts.path}" if parts.hostname else parts.path


def one_line(text: str) -> str:
    """Return one printable line: what a server says must not steer a terminal."""
    line = " ".join(text.split())
    return "".join(character if character.isprintable() else "?" for character in line)
