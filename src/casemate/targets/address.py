"""Addresses of endpoints: what an endpoint URI says, and what it must never say.

`http+oip://host:8080/v2/models/m?x=1#output=probabilities`: the scheme names transport and
protocol, path and query go to the server as they are, the fragment holds casemate's own options
and is never sent. Credentials come from the environment, so that no record ever holds one.
"""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import parse_qsl, urlsplit

from casemate.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

_SECRET = re.compile(
    r"(?i)(?:^|[^a-z])(?:.*token|.*secret|pass(?:word|wd)?|pwd|.*api[-_]?key|.*access[-_]?key"
    r"|.*subscription[-_]?key|key|code|auth(?:orization)?|sig(?:nature)?|.*signature"
    r"|.*credentials?|session|jwt|bearer)$"
)
_UNSAFE = re.compile(r"[\x00-\x20\x7f\\\"<>^`{|}]")
_OPTIONS = (
    "answer",
    "columns",
    "connections",
    "datatype",
    "deadline",
    "form",
    "input",
    "output",
    "requests",
    "signature",
    "template",
)
"""Every option an endpoint knows; which protocol reads which is in its catalog entry."""

_REMOTE = re.compile(r"(?i)(https?|grpcs?)(\+[\w-]+)?:")

HINT = "give it in the environment: CASEMATE_TOKEN, or CASEMATE_HEADER_<NAME>"


class Address(NamedTuple):
    """An endpoint URI in its parts."""

    uri: str
    """The URI as it was given; holds no credentials."""
    protocol: str
    """What follows the plus sign: `oip`, `mlflow` ..."""
    secure: bool
    """Whether the connection is encrypted."""
    host: str
    """Host and port; nothing is ever sent anywhere else."""
    path: str
    query: str
    options: Mapping[str, str]

    @property
    def local(self) -> bool:
        """Whether the host is this machine's own loopback address."""
        name = urlsplit(f"//{self.host}").hostname or ""
        return name in ("localhost", "::1") or bool(re.fullmatch(r"127(\.\d{1,3}){3}", name))

    def url(self, path: str, *, query: bool = True) -> str:
        """Return the address to send to; the query goes along with the endpoint's own path."""
        tail = f"?{self.query}" if self.query and query else ""
        return f"{'https' if self.secure else 'http'}://{self.host}{path}{tail}"


def read(uri: str, options: Mapping[str, str] | None = None) -> Address:
    """Read an endpoint URI strictly; its fragment overrules `options` from the configuration.

    Raises:
        UsageError: No host, a credential anywhere, or an option that does not exist. The text
            never repeats the URI, which may hold a password.
    """
    try:
        parts = urlsplit(uri)
        port = parts.port
    except ValueError as error:
        raise UsageError(
            "the endpoint's URI is malformed", hint="scheme://host:port/path"
        ) from error
    transport, _, protocol = parts.scheme.partition("+")
    if "@" in parts.netloc:
        raise UsageError("the endpoint's URI holds a user name or password", hint=HINT)
    if _UNSAFE.search(uri) or not parts.hostname:
        raise UsageError(
            "the endpoint's URI names no host or holds characters a URI cannot",
            hint=f"for example {parts.scheme}://127.0.0.1:8080/path",
        )
    for name, _ in parse_qsl(parts.query, keep_blank_values=True):
        if _SECRET.search(name):
            raise UsageError(f"the endpoint's URI holds a credential in '{name}'", hint=HINT)
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return Address(
        uri,
        protocol,
        transport.endswith("s"),
        host if port is None else f"{host}:{port}",
        parts.path,
        parts.query,
        {**(options or {}), **_fragment(parts.fragment)},
    )


def refuse_credentials(uri: str) -> None:
    """Refuse an endpoint's URI that holds a credential, before any record or file can hold it.

    Raises:
        UsageError: As `read`. Other URIs pass.
    """
    if _REMOTE.match(uri):
        read(uri)


def number(options: Mapping[str, str], name: str) -> float | None:
    """Return an option as a positive number, None when it is not given.

    Raises:
        UsageError: It is not one.
    """
    text = options.get(name)
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < float("inf"):
        raise UsageError(f"the endpoint's option {name} must be a positive number")
    return value


def _fragment(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        if _SECRET.search(name):
            raise UsageError(f"the endpoint's URI holds a credential in '{name}'", hint=HINT)
        if name not in _OPTIONS:
            near = difflib.get_close_matches(name, _OPTIONS, 1)
            hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(_OPTIONS)}"
            raise UsageError(f"an endpoint has no option '{name}'", hint=hint)
        if not value:
            raise UsageError(f"the endpoint's option {name} has no value", hint=f"#{name}=VALUE")
        found[name] = value
    return found
