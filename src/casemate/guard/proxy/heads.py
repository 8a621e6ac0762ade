"""The head of a request, read so strictly that nobody after us can read it in another way.

Whatever two parsers might take differently is refused here: bare CR or LF, folded lines, blanks
around names, two lengths, a length beside chunks, unusual transfer codings, dot segments. Sources:
RFC 9112 (2.2, 3.2, 5.1, 5.2, 6.1-6.3, 7.1.1), RFC 9110 5.5 and 7.6.1.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
REQUEST = re.compile(rb"(" + TOKEN + rb") ([\x21-\x7e]+) HTTP/(\d)\.(\d)\r\n")
FIELDS = re.compile(rb"(?:" + TOKEN + rb":[\t\x20-\x7e\x80-\xff]*\r\n)*\r\n")
FIELD = re.compile(rb"([^:\r\n]+):[ \t]*([^\r\n]*?)[ \t]*\r\n")
BARE = re.compile(rb"(?<!\r)\n|\r(?!\n|\Z)|\x00")
HOST = re.compile(r"(?:[A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?")
TABBED = re.compile(rb"\r\n(?:transfer-encoding|content-length|host):[^\r]*\t", re.IGNORECASE)
OPTION = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]*")
LENGTH = re.compile(rb"[0-9]{1,18}")
BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
DOTS = re.compile(r"(?:^|[/\\]|%2f|%5c)(?:\.|%2e){1,2}(?:$|[/\\;]|%2f|%5c|%3b)", re.IGNORECASE)

METHODS = frozenset({b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS"})
ONCE = frozenset(
    {
        "content-encoding", "content-length", "content-type", "expect", "host",
        "inference-header-content-length", "transfer-encoding",
    }
)  # fmt: skip
"""Fields that say how the body is to be read: two of them are two meanings."""
PER_CONNECTION = frozenset(
    {
        "connection", "expect", "http2-settings", "keep-alive", "proxy-authenticate",
        "proxy-authorization", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
    }
)  # fmt: skip
"""Fields between two neighbours (RFC 9110 7.6.1): they never cross the proxy."""
MAX_FIELDS = 128


class Refused(Exception):
    """A request that is not passed on; the caller is told why and the connection is closed."""

    def __init__(self, status: int, why: str, counted: str) -> None:
        super().__init__(why)
        self.status = status
        self.why = why
        self.counted = counted
        """The reason as the metrics name it."""


class Head(NamedTuple):
    """The head of a request that has one meaning only."""

    method: str
    target: bytes
    path: str
    query: str
    fields: tuple[tuple[bytes, bytes], ...]
    """Names as written, values without outer blanks, in order."""
    headers: tuple[tuple[str, str], ...]
    """The same in the guard's form: lower-case names, latin-1 values."""
    length: int
    """Bytes of the body; -1 when it comes in chunks."""
    keep: bool
    """Whether the caller's connection may serve another request."""
    old: bool
    """HTTP/1.0: the answer must not come in chunks."""
    expects: bool
    """Whether the caller waits for `100 Continue`."""


@lru_cache(maxsize=4096)
def lowered(name: bytes) -> str:
    """Return a field's name in lower case; callers send the same few again and again."""
    return name.decode("latin-1").lower()


def early(buffer: bytes) -> Refused | None:
    """Say what is already wrong with a head that has not ended yet."""
    if BARE.search(buffer):
        return Refused(400, "a line does not end in CR LF", "bare-line-end")
    return None


def read_head(raw: bytes) -> Head:
    r"""Read a head, from the request line to the empty line.

    Args:
        raw: All of it, `\r\n\r\n` included.

    Raises:
        Refused: It is malformed, or could be read in two ways.
    """
    line = REQUEST.match(raw)
    if line is None:
        raise early(raw) or Refused(400, "not an HTTP request line", "request-line")
    method, target, major, minor = line.groups()
    if major != b"1" or minor not in b"01":
        raise Refused(505, "HTTP/1.1 is spoken here", "version")
    if FIELDS.fullmatch(raw, line.end()) is None:
        raise early(raw) or Refused(400, "a header field is malformed", "header-syntax")
    if method not in METHODS:
        raise Refused(501, "method not supported", "method")
    if b"\t" in raw and TABBED.search(raw):
        raise Refused(400, "a tab in a field that frames the body", "header-syntax")
    fields = tuple(FIELD.findall(raw, line.end()))
    if len(fields) > MAX_FIELDS:
        raise Refused(431, f"more than {MAX_FIELDS} header fields", "header-count")
    headers = tuple([(lowered(name), value.decode("latin-1")) for name, value in fields])
    path, query = _target(target.decode("ascii"))
    old = minor == b"0"
    seen = _single(headers)
    _host(seen.get("host"), old=old)
    length = _length(seen, old=old)
    keep = _connection(headers, seen, old=old)
    expects = "expect" in seen and not old
    if expects and seen["expect"].lower() != "100-continue":
        raise Refused(417, "unknown expectation", "expectation")
    return Head(
        method.decode("ascii"), target, path, query, fields, headers, length, keep, old, expects
    )


def _target(target: str) -> tuple[str, str]:
    if not target.startswith("/"):
        raise Refused(400, "the request target must be a path", "target-form")
    path, _, query = target.partition("?")
    if "#" in target or "\\" in path:
        raise Refused(400, "the request target has a fragment or a backslash", "target-form")
    if "%" in target and BROKEN_ESCAPE.search(target):
        raise Refused(400, "a per cent sign without two hex digits", "escape")
    if "%00" in path or DOTS.search(path):
        raise Refused(400, "the path has dot segments or NUL", "dot-segments")
    return path, query


def _single(headers: tuple[tuple[str, str], ...]) -> dict[str, str]:
    """First value by name; refuse repeats of what frames the body, and names that collide."""
    seen: dict[str, str] = {}
    for name, value in headers:
        if name in seen:
            if name in ONCE:
                raise Refused(400, f"two {name} fields", "duplicate-field")
            continue
        seen[name] = value
    for name in seen:
        if "_" in name:
            # CGI and WSGI servers read X_User as X-User.
            twin = name.replace("_", "-")
            if twin in seen or twin in ONCE or twin in PER_CONNECTION:
                raise Refused(400, f"{name} would be read as {twin}", "underscore")
    return seen


def _host(host: str | None, *, old: bool) -> None:
    if host is None:
        if not old:
            raise Refused(400, "no Host field", "host")
    elif not HOST.fullmatch(host):
        raise Refused(400, "the Host field is malformed", "host")


def _length(seen: dict[str, str], *, old: bool) -> int:
    coding, length = seen.get("transfer-encoding"), seen.get("content-length")
    if coding is not None:
        if length is not None:
            raise Refused(400, "both Content-Length and Transfer-Encoding", "two-lengths")
        if old or coding.lower() != "chunked":
            raise Refused(501, "only the transfer coding chunked is known", "transfer-coding")
        return -1
    if length is None:
        return 0
    if not LENGTH.fullmatch(length.encode("latin-1")):
        raise Refused(400, "Content-Length is not a number", "content-length")
    return int(length)


def _connection(headers: tuple[tuple[str, str], ...], seen: dict[str, str], *, old: bool) -> bool:
    """Return whether the connection stays open; refuse upgrades and names smuggled out."""
    if "upgrade" in seen and "websocket" in seen["upgrade"].lower():
        raise Refused(501, "websockets are not proxied", "websocket")
    if "connection" not in seen:
        return not old
    options = {
        option.strip().lower()
        for name, value in headers
        if name == "connection"
        for option in value.split(",")
    }
    for option in options:
        if not OPTION.fullmatch(option):
            raise Refused(400, "the Connection field is malformed", "connection-option")
        # Taken away here and still seen by the guard, the request would have two meanings.
        if option in seen and option not in PER_CONNECTION:
            raise Refused(400, "Connection names an end-to-end field", "connection-option")
    # nginx and others look for the letters: an option that contains them ends the connection.
    return not old and not any("close" in option for option in options)
