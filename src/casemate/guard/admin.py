"""The guard's own pages for its operators: health, readiness, metrics, orders in force.

On a port of its own, on the loopback unless told otherwise, and behind a token that has no default:
what a guard knows is worth much to whoever it guards against.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from casemate.errors import UsageError
from casemate.export.prometheus import MEDIA_TYPE, Counters, family, sample

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence

    from starlette.requests import Request
    from starlette.types import ASGIApp, Receive, Scope, Send

    from casemate.records.detection import Detection
    from casemate.records.order import Order

VARIABLE = "CASEMATE_ADMIN_TOKEN"
LEAST = 16
HELP = {
    "requests": "Requests read whole.",
    "answered": "Requests answered, by class of status.",
    "refused": "Requests refused by the proxy itself, by reason.",
    "upstream-failed": "Requests the upstream did not answer, by reason.",
    "caller-left": "Callers that left before their answer was whole.",
    "bypassed": "Requests served without being looked at, by reason.",
    "events-lost": "Events that could not be put on record.",
}
"""What the proxy counts; a principal is never a label."""


def read_token(environ: Mapping[str, str]) -> str:
    """Return the token from the environment.

    Raises:
        UsageError: There is none, or one that could be guessed.
    """
    token = environ.get(VARIABLE, "")
    if len(token) < LEAST or len(set(token)) < LEAST // 2:
        raise UsageError(
            f"the admin pages need a token of {LEAST} characters or more in {VARIABLE}",
            hint="python -c 'import secrets; print(secrets.token_urlsafe(32))', or admin = none",
        )
    return token


def admin_app(
    token: str,
    *,
    counts: Callable[[], Mapping[tuple[str, str], int]],
    counters: Counters,
    detections: Callable[[], Sequence[Detection]],
    connections: Callable[[], int],
    orders: Callable[[], Sequence[Order]],
    ready: Callable[[], Awaitable[bool]],
    mode: str,
) -> ASGIApp:
    """Return the ASGI application.

    Args:
        token: What a caller must present as `Authorization: Bearer TOKEN`.
        counts: What the proxy has counted, by name and label.
        counters: The events since the start.
        detections: All there are on record; called in another thread, as there may be many.
        connections: Connections open now.
        orders: Orders in force.
        ready: Whether the upstream can be reached.
        mode: `observe` or `enforce`.
    """

    async def health(_: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def readiness(_: Request) -> Response:
        good = await ready()
        return PlainTextResponse("ready\n" if good else "upstream down\n", 200 if good else 503)

    async def metrics(_: Request) -> Response:
        text = exposition(counts(), connections(), mode)
        more = await asyncio.to_thread(lambda: counters.text(detections()))
        return Response(text.encode() + more, media_type=MEDIA_TYPE)

    async def in_force(_: Request) -> Response:
        return Response(msgspec.json.encode(list(orders())), media_type="application/json")

    app = Starlette(
        routes=[
            Route("/health", health),
            Route("/ready", readiness),
            Route("/metrics", metrics),
            Route("/orders", in_force),
        ]
    )
    return _Locked(app, token)


def exposition(counts: Mapping[tuple[str, str], int], connections: int, mode: str) -> str:
    """Write what the proxy itself counts in the text format of Prometheus."""
    lines = []
    for name, words in HELP.items():
        metric = f"casemate_guard_{name.replace('-', '_')}_total"
        lines += family(metric, words)
        for (counted, label), number in sorted(counts.items()):
            if counted == name:
                lines.append(sample(metric, number, **({"reason": label} if label else {})))
    lines += [
        *family("casemate_guard_connections", "Connections of callers that are open.", "gauge"),
        sample("casemate_guard_connections", connections),
        *family("casemate_guard_enforcing", "Whether the guard acts on what it sees.", "gauge"),
        sample("casemate_guard_enforcing", int(mode == "enforce")),
    ]
    return "\n".join(lines) + "\n"


class _Locked:
    """Lets nobody in without the token, whatever the path."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._expected = b"Bearer " + token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            given = [value for name, value in scope["headers"] if name == b"authorization"]
            if len(given) != 1 or not hmac.compare_digest(given[0], self._expected):
                answer: Any = Response(status_code=401, headers={"WWW-Authenticate": "Bearer"})
                await answer(scope, receive, send)
                return
        await self._app(scope, receive, send)


async def serve_admin(app: ASGIApp, listen: str) -> None:
    """Serve the pages until cancelled.

    Args:
        app: What `admin_app` returned.
        listen: `host:port`.
    """
    import uvicorn

    host, _, port = listen.rpartition(":")
    config = uvicorn.Config(
        app,
        host=host.strip("[]") or "127.0.0.1",
        port=int(port),
        log_level="warning",
        access_log=False,
        lifespan="off",
        limit_concurrency=32,
        timeout_keep_alive=5,
        server_header=False,
    )

    class Server(uvicorn.Server):
        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield  # signals are the proxy's

    server = Server(config)
    try:
        await server.serve()
    finally:
        for each in getattr(server, "servers", ()):
            each.close()
