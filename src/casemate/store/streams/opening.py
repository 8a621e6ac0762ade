"""`open_stream`: the stream at an address, with credentials from the environment."""

from __future__ import annotations

import os
import re
import ssl
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from casemate.errors import UsageError
from casemate.store.streams.stream import Stream

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from casemate.store.streams.carrier import Carrier

_HINT = "nats://host:4222, nats+tls://..., kafka://host:9092,host2:9092, kafka+tls://..."
_PREFIX = re.compile(r"[a-z0-9]([a-z0-9-]{0,60}[a-z0-9])?", re.ASCII)
_PORTS = {"nats": 4222, "kafka": 9092}


def open_stream(
    url: str,
    *,
    key: bytes | None,
    environment: Mapping[str, str] | None = None,
    room: int = 64 * 1024 * 1024,
) -> Stream:
    """Open the stream at an address; the broker need not be there yet.

    Args:
        url: `nats://host:4222`, `kafka://host:9092,other:9092`, with `+tls` for TLS. A path names
            the stream, `casemate` by default: `nats://host/fraud`.
        key: Shared by the guards; seals every message. None for a stream anybody may write to.
        environment: Where `CASEMATE_STREAM_USER`, `_PASSWORD`, `_TOKEN`, `_CREDENTIALS` (a file,
            NATS) and `_CA` (a file) are looked up; the process's own by default.
        room: Bytes of each kind of record that may wait for the broker.

    Raises:
        UsageError: Not such an address, or one that holds credentials.
        MissingExtra: The broker's client is not installed.
    """
    given = os.environ if environment is None else environment
    parts = urlsplit(url)
    scheme, _, secured = parts.scheme.partition("+")
    if scheme not in _PORTS or secured not in ("", "tls") or parts.query or parts.fragment:
        raise UsageError(f"not the address of a stream: {url[:80]}", hint=_HINT)
    if "@" in parts.netloc:
        raise UsageError(
            "the address of the stream holds credentials",
            hint="put them into CASEMATE_STREAM_USER and CASEMATE_STREAM_PASSWORD",
        )
    prefix = parts.path.strip("/") or "casemate"
    if not _PREFIX.fullmatch(prefix):
        raise UsageError(
            f"not a name for a stream: '{prefix[:80]}'", hint="lower case letters, digits and -"
        )
    servers = [_server(one, _PORTS[scheme]) for one in parts.netloc.split(",")]
    tls = _tls(given) if secured else None
    return Stream(_carrier(scheme, servers, prefix, tls, given), key=key, room=room)


def _carrier(
    scheme: str,
    servers: list[str],
    prefix: str,
    tls: ssl.SSLContext | None,
    given: Mapping[str, str],
) -> Callable[[], Carrier]:
    user, password = given.get("CASEMATE_STREAM_USER"), given.get("CASEMATE_STREAM_PASSWORD")
    if scheme == "kafka":
        from casemate.store.streams.kafka import Kafka

        return lambda: Kafka(servers, prefix, user=user, password=password, tls=tls)

    from casemate.store.streams.nats import Login, Nats

    login = Login(
        user,
        password,
        given.get("CASEMATE_STREAM_TOKEN"),
        given.get("CASEMATE_STREAM_CREDENTIALS"),
    )
    kind = "tls" if tls else "nats"
    addresses = [f"{kind}://{one}" for one in servers]
    return lambda: Nats(addresses, prefix, login=login, tls=tls)


def _server(text: str, port: int) -> str:
    parts = urlsplit(f"//{text}")
    try:
        found = parts.port or port
    except ValueError as error:
        raise UsageError(f"not a server: '{text[:80]}'", hint=_HINT) from error
    if not parts.hostname:
        raise UsageError("the address of the stream names no server", hint=_HINT)
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{host}:{found}"


def _tls(given: Mapping[str, str]) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=given.get("CASEMATE_STREAM_CA"))
    except OSError as error:
        raise UsageError(f"CASEMATE_STREAM_CA cannot be read: {error}") from error
