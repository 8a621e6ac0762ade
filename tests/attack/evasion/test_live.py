"""Every black-box attack against a real HTTP server, one question about one input at a time."""

from __future__ import annotations

import contextlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from casemate.attack.run import run
from casemate.targets.open import open_target
from casemate.targets.settings import Settings
from tests.attack.evasion.test_black_box import NEW, within
from tests.attack.models import linear, near_boundary

SHAPE = (1, 6, 6)


@contextlib.contextmanager
def served(whole):
    """Serve the probabilities of a model in the Open Inference Protocol; yield address and log."""
    asked = []

    class Server(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            (given,) = body["inputs"]
            x = np.asarray(given["data"], np.float32).reshape(given["shape"])
            asked.append(len(x))
            odds = np.exp(whole.scores(x))
            said = {"name": "p", "datatype": "FP64", "shape": [len(x), whole.classes]}
            said["data"] = (odds / odds.sum(axis=1, keepdims=True)).reshape(-1).tolist()
            self._answer(200, {"model_name": "m", "outputs": [said]})

        def do_GET(self):
            self._answer(404, {})

        def _answer(self, status, content):
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http+oip://127.0.0.1:{server.server_port}/v2/models/m", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def world():
    whole = linear(SHAPE, 3, scale=0.3)
    return whole, near_boundary(whole, 3, spread=0.1)


@pytest.mark.parametrize("ident", NEW)
def test_each_input_costs_what_is_reported_and_is_fooled(ident, world):
    whole, data = world
    with served(whole) as (uri, asked):
        settings = Settings(sample=data.x, shape=SHAPE, classes=3, bounds=(0.0, 1.0))
        model = open_target(uri, settings=settings)
        try:
            asked.clear()
            trial = run(model, data, ident, params=within(ident, 0.3), budget=60, batch=1)
        finally:
            model.close()
    assert trial.state in ("complete", "budget-spent")
    assert all(o.success and o.queries <= 60 for o in trial.outcomes)
    # What the attack asked, the three inputs before it (thrice: two looks for luck) and after it.
    fooled = sum(o.success for o in trial.outcomes)
    assert sum(asked) == trial.cost.queries + 3 * len(data.y) + fooled
