"""Small real servers on loopback that speak each protocol, parsing bodies on their own.

They share no code with the codecs under test: json, csv, numpy and struct only.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import socket
import socketserver
import threading
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator

    from starlette.requests import Request

WEIGHTS = np.random.default_rng(7).normal(size=(4, 3))
COLUMNS = ("sepal length", "sepal width", "petal length", "petal width")


def probabilities(x: Any) -> np.ndarray:
    """The model all servers serve: a softmax over a linear map of four features."""
    z = np.asarray(x, np.float64).reshape(-1, 4) @ WEIGHTS
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


@contextlib.contextmanager
def serve(app: Any, *, nagle: bool = True) -> Iterator[str]:
    """Run an ASGI app in a thread and yield its host:port.

    A socket made without naming TCP, as uvicorn's own workers make theirs, is one on which asyncio
    leaves Nagle's algorithm on.
    """
    listener = socket.socket(proto=0 if nagle else socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_level="critical", lifespan="off", loop="asyncio")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.005)
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)
        listener.close()


@contextlib.contextmanager
def speak(
    answer: Callable[[int, bytes], bytes | None], tls: ssl.SSLContext | None = None
) -> Iterator[str]:
    """Run a server of raw bytes: `answer(k, request)` to the k-th request; None hangs up."""
    asked = iter(range(10**9))
    open_connections: list[socket.socket] = []

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            while True:
                request = _one_request(self.request)
                if not request:
                    return
                reply = answer(next(asked), request)
                if reply is None:
                    return
                with contextlib.suppress(OSError):
                    self.request.sendall(reply)
                if b"connection: close" in reply.lower():
                    return

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        allow_reuse_address = True

        def get_request(self) -> Any:
            connection, place = super().get_request()
            if tls is not None:
                connection = tls.wrap_socket(connection, server_side=True)
            open_connections.append(connection)
            return connection, place

        def handle_error(self, *_: object) -> None:
            """A client that goes away, or does not trust the certificate, is what is tested."""

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join(10)
            for connection in open_connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)


def http(status: str, body: bytes, *headers: str) -> bytes:
    """Write a raw HTTP answer."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def _one_request(connection: socket.socket) -> bytes:
    data = b""
    with contextlib.suppress(OSError):
        while b"\r\n\r\n" not in data:
            part = connection.recv(65536)
            if not part:
                return b""
            data += part
        head, _, body = data.partition(b"\r\n\r\n")
        length = 0
        for line in head.split(b"\r\n"):
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        while len(body) < length:
            part = connection.recv(65536)
            if not part:
                return b""
            body += part
        return head + b"\r\n\r\n" + body
    return b""


async def oip_metadata(request: Request) -> Response:
    if request.path_params["model"] != "iris":
        return JSONResponse({"error": "no such model"}, 404)
    return JSONResponse(
        {
            "name": "iris",
            "platform": "numpy",
            "inputs": [
                {"name": "rows", "datatype": "FP64", "shape": [-1, len(request.app.state.columns)]}
            ],
            "outputs": [{"name": "probabilities", "datatype": "FP64", "shape": [-1, 3]}],
        }
    )


async def oip_infer(request: Request) -> Response:
    body = await request.body()
    split = request.headers.get("inference-header-content-length")
    head = json.loads(body[: int(split)] if split else body)
    (given,) = head["inputs"]
    assert given["name"] == "rows"
    assert given["datatype"] == "FP64"
    size = given.get("parameters", {}).get("binary_data_size")
    if size is None:
        x = np.array(given["data"], np.float64).reshape(given["shape"])
    else:
        assert request.headers["content-type"] == "application/octet-stream"
        tail = body[int(split or 0) :]
        assert len(tail) == size
        x = np.frombuffer(tail, "<f8").reshape(given["shape"])
    p = request.app.state.predict(x)
    label = {"name": "label", "datatype": "BYTES", "shape": [len(p)]}
    label["data"] = [f"class-{i}" for i in p.argmax(1)]
    out: dict[str, Any] = {"name": "probabilities", "datatype": "FP64", "shape": list(p.shape)}
    if not head.get("parameters", {}).get("binary_data_output"):
        out["data"] = p.ravel().tolist()
        return JSONResponse({"model_name": "iris", "outputs": [label, out]})
    raw = p.astype("<f8").tobytes()
    out["parameters"] = {"binary_data_size": len(raw)}
    text = json.dumps({"model_name": "iris", "outputs": [label, out]}).encode()
    return Response(
        text + raw,
        media_type="application/octet-stream",
        headers={"Inference-Header-Content-Length": str(len(text))},
    )


async def tf_metadata(request: Request) -> Response:
    return JSONResponse(
        {
            "model_spec": {"name": "iris", "signature_name": "", "version": "1"},
            "metadata": {
                "signature_def": {
                    "signature_def": {
                        "serving_default": {
                            "inputs": {
                                "dense": {
                                    "dtype": "DT_FLOAT",
                                    "tensor_shape": {
                                        "dim": [
                                            {"size": "-1", "name": ""},
                                            {"size": str(len(request.app.state.columns))},
                                        ],
                                        "unknown_rank": False,
                                    },
                                    "name": "serving_default_dense:0",
                                }
                            },
                            "outputs": {},
                            "method_name": "tensorflow/serving/predict",
                        }
                    }
                }
            },
        }
    )


async def tf_predict(request: Request) -> Response:
    body = await request.json()
    if "instances" in body:
        rows = body["instances"]
        if isinstance(rows[0], dict):
            rows = [
                row["dense"]
                if "dense" in row
                else [row[column] for column in request.app.state.columns]
                for row in rows
            ]
        return JSONResponse({"predictions": request.app.state.predict(rows).tolist()})
    rows = body["inputs"]
    if isinstance(rows, dict):
        rows = (
            rows["dense"]
            if "dense" in rows
            else np.array([rows[column] for column in request.app.state.columns]).T.tolist()
        )
    return JSONResponse({"outputs": request.app.state.predict(rows).tolist()})


async def mlflow_score(request: Request) -> Response:
    kind = request.headers["content-type"]
    if kind == "text/csv":
        lines = list(csv.reader(io.StringIO((await request.body()).decode())))
        assert lines[0] == request.app.state.columns
        return JSONResponse({"predictions": request.app.state.predict(lines[1:]).tolist()})
    assert kind == "application/json"
    body = await request.json()
    ((form, value),) = body.items()
    if form == "dataframe_split":
        assert value["columns"] == request.app.state.columns
        value = value["data"]
    elif form == "dataframe_records":
        value = [[row[column] for column in request.app.state.columns] for row in value]
    else:
        assert form in ("inputs", "instances")
    return JSONResponse({"predictions": request.app.state.predict(value).tolist()})


async def sagemaker_score(request: Request) -> Response:
    kind, body = request.headers["content-type"], await request.body()
    if kind == "text/csv":
        p = request.app.state.predict(list(csv.reader(io.StringIO(body.decode()))))
        text = "\n".join(",".join(map(repr, row)) for row in p.tolist())
        return Response(text, media_type="text/csv")
    if kind == "application/x-npy":
        out = io.BytesIO()
        np.save(out, request.app.state.predict(np.load(io.BytesIO(body), allow_pickle=False)))
        return Response(out.getvalue(), media_type="application/x-npy")
    if kind == "application/jsonlines":
        p = request.app.state.predict([json.loads(line)["features"] for line in body.splitlines()])
        lines = [{"score": row, "predicted_label": int(np.argmax(row))} for row in p.tolist()]
        return Response("\n".join(map(json.dumps, lines)), media_type="application/jsonlines")
    value = json.loads(body)
    if isinstance(value, dict):
        value = value["instances"]
    if isinstance(value[0], dict):
        p = request.app.state.predict([row["features"] for row in value])
        rows = [{"predicted_label": int(np.argmax(r)), "score": r} for r in p.tolist()]
        return JSONResponse({"predictions": rows})
    return JSONResponse(request.app.state.predict(value).tolist())


async def json_score(request: Request) -> Response:
    body = await request.json()
    assert body["model"] == "iris"
    if "row" in body:
        return JSONResponse(
            {"result": {"scores": request.app.state.predict(body["row"])[0].tolist()}}
        )
    rows = body["rows"]
    if isinstance(rows[0], dict):
        rows = [[row[column] for column in request.app.state.columns] for row in rows]
    p = request.app.state.predict(rows).tolist()
    return JSONResponse({"result": [{"p": row, "id": i} for i, row in enumerate(p)]})


def app(predict: Callable[[Any], Any] = probabilities, columns: Any = COLUMNS) -> Starlette:
    """Every protocol, one path each, in front of one model: rows to scores or labels."""
    made = Starlette(
        routes=[
            Route("/v2/models/{model}", oip_metadata),
            Route("/v2/models/iris/infer", oip_infer, methods=["POST"]),
            Route("/v1/models/iris/metadata", tf_metadata),
            Route("/v1/models/iris:predict", tf_predict, methods=["POST"]),
            Route("/invocations", mlflow_score, methods=["POST"]),
            Route("/sagemaker/invocations", sagemaker_score, methods=["POST"]),
            Route("/json", json_score, methods=["POST"]),
        ]
    )
    made.state.predict = lambda rows: np.asarray(predict(rows))
    made.state.columns = list(columns)
    return made
