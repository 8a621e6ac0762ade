"""A JSON service asked over HTTP: a registry, a tracking server. Nothing but what was asked for.

It goes only to the host that was named: no redirects, no proxies from the environment, no cookies.
Answers are bounded in size and time; credentials come from the environment, as for endpoints.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import httpx

import casemate
from casemate.errors import Refused, TargetError
from casemate.targets import address, credentials
from casemate.targets.connection import MAX_ANSWER, one_line, trust

if TYPE_CHECKING:
    import types
    from collections.abc import Iterator, Mapping

SECONDS = 30.0
"""For one answer, whole."""
_HINTS = {
    401: "set CASEMATE_TOKEN, or CASEMATE_HEADER_AUTHORIZATION='Basic ...'",
    403: "the credentials are not allowed to do this",
    404: "look at the path in the URI",
}


class Service:
    """One service, kept connected; a context manager."""

    def __init__(self, uri: str, environ: Mapping[str, str]) -> None:
        """Take where it answers, `http(s)://host:port/path`, and where credentials are found.

        Raises:
            UsageError: The URI is malformed or holds credentials.
        """
        self.address = address.read(uri)
        self._secrets = credentials.headers(environ, self.address)
        ca_file = credentials.ca_file(environ)
        self._client = httpx.Client(
            verify=trust(self.address, ca_file),
            trust_env=False,
            follow_redirects=False,
            timeout=SECONDS,
            headers={
                "user-agent": f"casemate/{casemate.__version__}",
                "accept-encoding": "identity",
                **self._secrets,
            },
        )
        self._base = self.address.url(self.address.path.rstrip("/"), query=False)

    def __enter__(self) -> Service:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: types.TracebackType | None,
    ) -> None:
        self._client.close()

    def get(self, path: str, /, **params: str | int) -> dict[str, Any]:
        """Ask for an object.

        Raises:
            TargetError: The service cannot be reached or did not answer with a JSON object.
            Refused: It answered with a status that is no success; the message says which.
        """
        return self._object("GET", path, params=params)

    def send(self, method: str, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Send an object and return the one that comes back; raises as `get`."""
        return self._object(method, path, content=json.dumps(body).encode())

    def pieces(self, path: str, most: int, /, **params: str) -> Iterator[bytes]:
        """Yield the bytes of a file; raises as `get`, also where there are more than `most`."""
        until = time.monotonic() + SECONDS + most / (1 << 20)
        yield from self._read("GET", path, until, most, params=params)

    def _object(self, method: str, path: str, **more: Any) -> dict[str, Any]:
        until = time.monotonic() + SECONDS
        raw = b"".join(self._read(method, path, until, MAX_ANSWER, **more))
        try:
            found = json.loads(raw)
        except (ValueError, RecursionError) as error:
            raise TargetError(
                f"{self.address.host}{path} did not answer with JSON",
                hint="a login page or a proxy may be in the way",
            ) from error
        if not isinstance(found, dict):
            raise TargetError(f"{self.address.host}{path} did not answer with a JSON object")
        return found

    def _read(
        self, method: str, path: str, until: float, most: int, **more: Any
    ) -> Iterator[bytes]:
        headers = {"content-type": "application/json"} if "content" in more else {}
        try:
            with self._client.stream(method, self._base + path, headers=headers, **more) as reply:
                if not reply.is_success:
                    raise self._refusal(path, reply)
                size = 0
                for piece in reply.iter_raw():
                    size += len(piece)
                    if size > most:
                        raise TargetError(f"{path} is longer than {most:,} bytes")
                    if time.monotonic() > until:
                        raise TargetError(f"{path} took too long to come", retry=True)
                    yield piece
        except httpx.TimeoutException as error:
            raise TargetError(
                f"{self.address.host} did not answer in {SECONDS:.0f} s", retry=True
            ) from error
        except httpx.HTTPError as error:
            said = one_line(str(error))[:160] or type(error).__name__
            raise TargetError(
                f"{self.address.host} cannot be asked: {said}",
                retry=True,
                hint="look at host and port; CASEMATE_CA_FILE names a private authority",
            ) from error

    def _refusal(self, path: str, reply: httpx.Response) -> TargetError:
        if reply.is_redirect:
            return TargetError(
                f"{self.address.host} redirects ({reply.status_code}) and is not followed",
                hint="name the address it redirects to, if it is yours",
            )
        raw = b""
        for piece in reply.iter_raw():
            raw += piece
            if len(raw) > 4096:
                break
        said = credentials.redact(one_line(_message(raw)), self._secrets)[:200]
        return Refused(
            f"{self.address.host}{path} answered {reply.status_code}{': ' if said else ''}{said}",
            hint=_HINTS.get(reply.status_code, ""),
        )


def _message(raw: bytes) -> str:
    text = raw.decode("utf-8", "replace")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return str(found.get("message", text)) if isinstance(found, dict) else text
