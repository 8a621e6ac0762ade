"""Queries per second against an endpoint, ours and by hand.

    python bench/endpoints.py           # MNIST-sized inputs, 300 requests each way
    python bench/endpoints.py 1000

A small server runs in a process of its own and answers a constant, so that what is measured is the
client: CPU and wall per request of one input, and inputs per second in batches of 64. By hand
means what one writes for a black-box attack: httpx's client, JSON in, JSON out, no checks. The
second table is for servers that leave Nagle's algorithm on, as uvicorn with several workers does.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from starlette.requests import Request

ROOT = Path(__file__).resolve().parent.parent
SHAPE = (784,)


def serve(nagle: bool) -> None:
    """Print the port and answer 0.25, 0.75 for every row, in three protocols."""
    sys.path.insert(0, str(ROOT))
    from starlette.applications import Starlette
    from starlette.responses import JSONResponse, Response
    from starlette.routing import Route
    from tests.targets import serving

    async def described(_: Request) -> Response:
        spec = {"name": "x", "datatype": "FP32", "shape": [-1, *SHAPE]}
        return JSONResponse({"name": "m", "inputs": [spec], "outputs": []})

    async def oip(request: Request) -> Response:
        body = await request.body()
        length = request.headers.get("inference-header-content-length")
        n = json.loads(body[: int(length)] if length else body)["inputs"][0]["shape"][0]
        out = {"name": "p", "datatype": "FP32", "shape": [n, 2], "data": [0.25, 0.75] * n}
        return JSONResponse({"model_name": "m", "outputs": [out]})

    async def mlflow(request: Request) -> Response:
        n = len((await request.json())["inputs"])
        return JSONResponse({"predictions": [[0.25, 0.75]] * n})

    app = Starlette(
        routes=[
            Route("/v2/models/m", described),
            Route("/v2/models/m/infer", oip, methods=["POST"]),
            Route("/invocations", mlflow, methods=["POST"]),
        ]
    )
    with serving.serve(app, nagle=nagle) as host:
        print(host, flush=True)
        sys.stdin.read()


def measure(ask: object, x: np.ndarray, times: int) -> tuple[float, float]:
    """Return the least CPU and wall seconds of a request in five rounds."""
    best_cpu = best_wall = float("inf")
    for _ in range(5):
        cpu, wall = time.process_time(), time.perf_counter()
        for _ in range(times // 5):
            ask(x)  # type: ignore[operator]
        best_cpu = min(best_cpu, (time.process_time() - cpu) / (times // 5))
        best_wall = min(best_wall, (time.perf_counter() - wall) / (times // 5))
    return best_cpu, best_wall


def main(times: int, kind: str) -> None:
    import httpx

    from casemate.targets.open import open_target
    from casemate.targets.settings import Settings

    server = subprocess.Popen(
        [sys.executable, __file__, "serve", kind],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    host = server.stdout.readline().strip()
    x = np.random.default_rng(0).random((64, *SHAPE), dtype=np.float32)
    client = httpx.Client()

    def by_hand(rows: np.ndarray) -> np.ndarray:
        answer = client.post(f"http://{host}/invocations", json={"inputs": rows.tolist()})
        return np.array(answer.json()["predictions"])

    settings = Settings(bounds=(0.0, 1.0), sample=x[:4])
    ways: dict[str, object] = {"by hand, JSON": by_hand}
    for name, uri in (
        ("casemate, MLflow JSON", f"http+mlflow://{host}/invocations#form=inputs"),
        ("casemate, OIP JSON", f"http+oip://{host}/v2/models/m"),
        ("casemate, OIP binary", f"http+oip-binary://{host}/v2/models/m"),
    ):
        ways[name] = open_target(uri, settings=settings).scores  # type: ignore[attr-defined]
    first = None
    said = "sends an answer at once" if kind == "quick" else "leaves Nagle's algorithm on"
    print(f"\na server that {said}")
    print(f"{'':24}  one input: cpu ms  wall ms   requests/s   ratio  batch of 64: inputs/s")
    for name, ask in ways.items():
        cpu, wall = measure(ask, x[:1], times)
        _, many = measure(ask, x, max(20, times // 10))
        first = first or cpu
        print(
            f"{name:24} {cpu * 1e3:18.2f} {wall * 1e3:8.2f} {1 / wall:12.0f} {cpu / first:7.2f}"
            f" {64 / many:22.0f}"
        )
    assert server.stdin is not None
    server.stdin.close()
    server.wait(10)


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve(sys.argv[2] == "nagle")
    else:
        for kind in ("quick", "nagle"):
            main(int(sys.argv[1]) if len(sys.argv) > 1 else 300, kind)
