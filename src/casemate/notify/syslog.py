"""Syslog: a page as one RFC 5424 message, over UDP, or over TCP with octet counting (RFC 6587).

UDP is not acknowledged by anybody; over TCP the receiver's closing is waited for, which shows one
that has gone away.
"""

from __future__ import annotations

import os
import re
import socket
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from casemate.errors import TargetError, UsageError
from casemate.notify.wording import short
from casemate.records.severity import Severity

if TYPE_CHECKING:
    from casemate.notify.page import Page

_FACILITY = 13
"""Log audit, of RFC 5424's table 1."""
_LEVELS = {
    Severity.CRITICAL: 2,
    Severity.IMPORTANT: 3,
    Severity.MODERATE: 4,
    Severity.LOW: 5,
}
_UDP = 2048
"""Octets every receiver should take (RFC 5424, 6.1); beyond them one may cut or drop."""
_TCP = 8192
_DATA = "casemate@32473"
"""32473 is the enterprise number for documentation (RFC 5612); casemate has none of its own."""


class Syslog:
    """One receiver at `udp://host:514` or `tcp://host:601`."""

    def __init__(self, to: str, *, timeout: float = 10.0, host: str | None = None) -> None:
        """Take its address; `host` is the name this machine gives itself.

        Raises:
            UsageError: Not such an address.
        """
        parts = urlsplit(to)
        try:
            port = parts.port or {"udp": 514, "tcp": 601}.get(parts.scheme, 0)
        except ValueError:
            port = 0
        if parts.scheme not in ("udp", "tcp") or not parts.hostname or not port:
            raise UsageError(
                f"not the address of a syslog receiver: {short(to, 80)}",
                hint="udp://host:514 or tcp://host:601",
            )
        self._udp = parts.scheme == "udp"
        self._address = (parts.hostname, port)
        self._timeout = timeout
        self._host = host or socket.gethostname()

    def send(self, page: Page, now: int) -> None:
        """Send the page as one message.

        Raises:
            TargetError: The receiver cannot be reached, or went away while it was told.
        """
        try:
            if self._udp:
                self._datagram(message(page, now, host=self._host, limit=_UDP))
            else:
                self._stream(message(page, now, host=self._host, limit=_TCP))
        except (OSError, UnicodeError) as error:
            place = f"{self._address[0]}:{self._address[1]}"
            raise TargetError(f"{place}: {short(str(error), 200)}", retry=True) from error

    def _datagram(self, data: bytes) -> None:
        family, kind, protocol, _, address = socket.getaddrinfo(
            *self._address, type=socket.SOCK_DGRAM
        )[0]
        with socket.socket(family, kind, protocol) as door:
            door.settimeout(self._timeout)
            door.sendto(data, address)

    def _stream(self, data: bytes) -> None:
        with socket.create_connection(self._address, self._timeout) as door:
            door.sendall(f"{len(data)} ".encode() + data)
            door.shutdown(socket.SHUT_WR)
            door.settimeout(1.0)
            try:
                # A receiver that is alive closes or says nothing; one that is gone resets.
                while door.recv(4096):
                    pass
            except TimeoutError:
                pass


def message(page: Page, now: int, *, host: str, limit: int) -> bytes:
    """Return the page as an RFC 5424 message of at most `limit` octets, cut at a character."""
    priority = _FACILITY * 8 + _LEVELS[page.severity]
    when = datetime.fromtimestamp(now / 1e6, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    head = " ".join(
        (
            f"<{priority}>1",
            when,
            _word(host, 255),
            "casemate",
            str(os.getpid()),
            _word(page.rule, 32),
        )
    )
    fields = {
        "page": page.id,
        "campaign": page.campaign or "",
        "severity": page.severity.value,
        "confidence": page.confidence.value,
        "model": page.model,
        "principal": page.principals[0] if page.principals else "",
        "queries": str(page.queries),
    }
    data = " ".join(f'{key}="{_quoted(value)}"' for key, value in fields.items() if value)
    # The byte order mark says that what follows is UTF-8 (RFC 5424, 6.4).
    lines = " | ".join(" ".join(line.split()) for line in page.text.splitlines() if line.strip())
    whole = f"{head} [{_DATA} {data}] \ufeff{lines}".encode("utf-8", "backslashreplace")
    return whole if len(whole) <= limit else whole[:limit].decode("utf-8", "ignore").encode()


def _word(text: str, limit: int) -> str:
    return re.sub(r"[^\x21-\x7e]", "_", text)[:limit] or "-"


def _quoted(value: str) -> str:
    return re.sub(r'(["\\\]])', r"\\\1", value)
