"""Model servers in one process, on loopback: ASGI under uvicorn, WSGI by the library."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from casemate.targets.wire import chat

if TYPE_CHECKING:
    from collections.abc import Iterator

SCORES = (
    b'{"model_name":"digits","outputs":'
    b'[{"name":"p","shape":[1,2],"datatype":"FP64","data":[0.26,0.74]}]}'
)


async def infer(request: Any) -> Response:
    await request.body()
    return Response(SCORES, media_type="application/json", headers={"x-served-by": "pod-3"})


async def echo(request: Any) -> Response:
    body = await request.body()
    said = [[k, v] for k, v in request.headers.items() if k not in ("host", "connection")]
    return JSONResponse({"body": body.hex(), "headers": said, "query": str(request.url.query)})


async def stream(request: Any) -> Response:
    await request.body()
    gate: threading.Semaphore = request.app.state.gate

    async def pieces() -> Any:
        import asyncio

        for piece in chat.encode_stream("gpt", ["one ", "two"]):
            while not gate.acquire(blocking=False):
                await asyncio.sleep(0.005)
            yield piece

    return StreamingResponse(pieces(), media_type="text/event-stream")


async def large(request: Any) -> Response:
    await request.body()

    async def pieces() -> Any:
        for _ in range(64):
            yield b"x" * 65536

    return StreamingResponse(pieces(), media_type="application/octet-stream")


async def broken(request: Any) -> Response:
    await request.body()
    raise ZeroDivisionError


async def slow(request: Any) -> Response:
    import asyncio

    await request.body()
    await asyncio.sleep(2)
    return Response(SCORES)


def application() -> Starlette:
    """Return a small model server."""
    app = Starlette(
        routes=[
            Route("/v2/models/digits/infer", infer, methods=["POST"]),
            Route("/v2/models/large/infer", large, methods=["POST"]),
            Route("/v2/models/broken/infer", broken, methods=["POST"]),
            Route("/v2/models/slow/infer", slow, methods=["POST"]),
            Route("/v1/chat/completions", stream, methods=["POST"]),
            Route("/{rest:path}", echo, methods=["GET", "POST", "PUT"]),
        ]
    )
    app.state.gate = threading.Semaphore(0)
    return app


@contextlib.contextmanager
def uvicorn_server(app: Any) -> Iterator[int]:
    """Serve an ASGI application; yield the port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        config = uvicorn.Config(app, log_level="critical", lifespan="on", ws="none")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        deadline = time.monotonic() + 20
        while not server.started:
            assert time.monotonic() < deadline
            time.sleep(0.005)
        try:
            yield listening.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(20)


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, *args: Any) -> None:
        """Say nothing."""


@contextlib.contextmanager
def wsgi_server(app: Any) -> Iterator[int]:
    """Serve a WSGI application from several threads; yield the port."""
    server = make_server("127.0.0.1", 0, app, server_class=_Server, handler_class=_Quiet)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join(20)
        server.server_close()
