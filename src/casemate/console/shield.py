"""What every request passes before anything else looks at it, and every answer on its way out.

The Host must be one of ours, as a page elsewhere could otherwise point a name of its own at the
loopback (DNS rebinding); bodies are small; answers tell the browser to run nothing but our script.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.responses import PlainTextResponse

if TYPE_CHECKING:
    from collections.abc import Collection

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_BODY = 64 * 1024
"""Bytes a request may carry."""
MOST_PATH = 2048
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS = (
    ("content-security-policy", POLICY),
    ("x-content-type-options", "nosniff"),
    # Not `no-referrer`: browsers would then send `Origin: null` with our own forms.
    ("referrer-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("permissions-policy", "camera=(), geolocation=(), microphone=()"),
    ("x-frame-options", "DENY"),
)
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class Shield:
    """An ASGI layer around the whole application."""

    def __init__(self, app: ASGIApp, *, hosts: Collection[str], scheme: str) -> None:
        """Wrap an application.

        Args:
            app: What to wrap.
            hosts: Values of the Host header that are ours, `127.0.0.1:8700`, in lower case.
            scheme: `http` or `https`, as the browser sees it.
        """
        self._app = app
        self._hosts = frozenset(hosts)
        self._origins = frozenset(f"{scheme}://{one}" for one in hosts)
        self._secure = scheme == "https"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Look at a request, pass it on, and put the headers on its answer."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return

        async def out(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": self._headers(message["headers"])}
            await send(message)

        problem = self._problem(scope)
        if problem is not None:
            status, words = problem
            await PlainTextResponse(f"{words}\n", status)(scope, receive, out)
            return
        body = await self._body(receive) if scope["method"] not in SAFE else b""
        if body is None:
            words = f"a request of more than {MOST_BODY} bytes is not read\n"
            await PlainTextResponse(words, 413, {"connection": "close"})(scope, receive, out)
            return
        if scope["method"] in SAFE:
            await self._app(scope, receive, out)
        else:
            await self._app(scope, _Given(body, receive), out)

    def _problem(self, scope: Scope) -> tuple[int, str] | None:
        given: dict[bytes, list[bytes]] = {}
        for name, value in scope["headers"]:
            given.setdefault(name, []).append(value)
        host = given.get(b"host", [])
        if len(host) != 1 or host[0].decode("latin-1").lower() not in self._hosts:
            return 421, "this console does not answer to that name; open the address it printed"
        if len(scope["raw_path"]) > MOST_PATH or len(scope["query_string"]) > MOST_PATH:
            return 414, "that address is too long"
        if scope["method"] in SAFE:
            return None
        origin = given.get(b"origin", [])
        if origin and (len(origin) > 1 or origin[0].decode("latin-1").lower() not in self._origins):
            return 403, "a page of another site asked for that"
        site = given.get(b"sec-fetch-site", [b"none"])
        if site[0] not in (b"same-origin", b"none"):
            return 403, "a page of another site asked for that"
        return None

    async def _body(self, receive: Receive) -> bytes | None:
        parts, size, more = [], 0, True
        while more:
            message = await receive()
            if message["type"] != "http.request":
                return None
            part = message.get("body", b"")
            size += len(part)
            if size > MOST_BODY:
                return None
            parts.append(part)
            more = message.get("more_body", False)
        return b"".join(parts)

    def _headers(self, given: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        names = {name.lower() for name, _ in given}
        added = [(name.encode(), value.encode()) for name, value in HEADERS]
        if b"cache-control" not in names:
            added.append((b"cache-control", b"no-store"))
        if self._secure:
            added.append((b"strict-transport-security", b"max-age=31536000"))
        return [*given, *added]


class _Given:
    """A receive channel whose body has been read."""

    def __init__(self, body: bytes, receive: Receive) -> None:
        self._body: bytes | None = body
        self._receive = receive

    async def __call__(self) -> Any:
        body, self._body = self._body, None
        if body is not None:
            return {"type": "http.request", "body": body, "more_body": False}
        return await self._receive()
