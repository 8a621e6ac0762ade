"""The ready-made guard: inside an ASGI server, as a proxy with admin pages, with payloads kept."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.request
from datetime import UTC, datetime, timedelta

import httpx
import numpy as np
import pytest

from casemate.errors import UsageError
from casemate.guard.policy import GuardTable, PrincipalTable
from casemate.records.make import make, new_id
from casemate.records.order import Order, Scope
from casemate.store.orders import OrderBook
from casemate.store.telemetry.opening import open_query
from casemate.store.telemetry.sink import Filter
from casemate.store.workspace import Workspace
from casemate.workflows import serve
from tests.journeys import service

TOKEN = "a-token-for-the-admin-pages-1234567890"


@pytest.fixture(scope="module")
def model():
    weights = np.random.default_rng(0).normal(size=(784, 10))
    x = np.random.default_rng(1).random((50, 784), dtype=np.float32)
    return service.Digits(x, np.zeros(50, np.int64), weights)


@pytest.fixture
def keys(tmp_path, monkeypatch):
    monkeypatch.setenv("CASEMATE_KEYS", str(tmp_path / "keys"))


def ask(port, path, body=None, headers=None):
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", body, headers or {})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def test_a_python_server_wears_the_guard_and_obeys_orders(tmp_path, model, keys):
    async def app(scope, receive, send):
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        given = json.loads(body)["inputs"][0]
        p = model.probabilities(np.array(given["data"]).reshape(given["shape"]))
        raw = json.dumps(
            {
                "model_name": "digits",
                "outputs": [
                    {"name": "p", "datatype": "FP64", "shape": [1, 10], "data": p[0].tolist()}
                ],
            }
        ).encode()
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": raw})

    config = tmp_path / "casemate.toml"
    config.write_text(
        'version = 1\n[guard]\nmode = "enforce"\nprincipal = { header = "x-user" }\n'
        '[guard.capture]\nkeep = "all"\n'
    )
    client = httpx.AsyncClient(
        transport=httpx.ASGITransport(serve.asgi(app, config)), base_url="http://model"
    )
    runner = asyncio.Runner()

    def post(body, headers):
        return runner.run(client.post(path, content=body, headers=headers)).status_code

    path = "/v2/models/digits/infer"
    body = service.body(model.x[0])
    headers = {"x-user": "ann", "content-type": "application/json"}
    assert post(body, headers) == 200
    now = datetime.now(UTC)
    order = make(
        Order,
        id=new_id("ord"),
        at=now,
        expires=now + timedelta(minutes=5),
        action="block",
        scope=Scope(principal="ann"),
        author="test",
        reason="test",
    )
    with Workspace.open(tmp_path / ".casemate") as workspace:
        OrderBook(workspace).add(order)
        end = time.monotonic() + 30
        while post(body, headers) == 200:
            assert time.monotonic() < end
            time.sleep(0.2)
        other = {**headers, "x-user": "bob"}
        assert post(body, other) == 200
    runner.run(asyncio.sleep(0.5))
    runner.close()
    events = list(open_query(tmp_path / ".casemate" / "telemetry").scan(Filter()))
    assert events[0].kind == "started"
    assert {one.principal for one in events if one.kind == "inference"} == {"ann", "bob"}
    refused = [one for one in events if one.kind == "refused"]
    assert {one.order for one in refused} == {order.id}
    kept = [path for path in (tmp_path / ".casemate" / "payloads").rglob("*") if path.is_file()]
    assert kept
    assert not any(body[:40] in path.read_bytes() for path in kept), "encrypted at rest"


def test_the_proxy_has_admin_pages_behind_a_token_and_counts(tmp_path, model, monkeypatch):
    monkeypatch.setenv("CASEMATE_ADMIN_TOKEN", TOKEN)
    admin = service.free_port()
    with service.upstream(model) as upstream:
        words = ("--upstream", f"http://127.0.0.1:{upstream}", "--admin", f"127.0.0.1:{admin}")
        with service.guard(tmp_path, *words, "--no-analysis") as guard:
            for row in model.x[:5]:
                status, _ = ask(guard.port, "/v2/models/digits/infer", service.body(row))
                assert status == 200
            assert ask(admin, "/metrics")[0] == 401
            headers = {"authorization": f"Bearer {TOKEN}"}
            status, text = ask(admin, "/metrics", headers=headers)
            assert status == 200
            assert b"casemate_guard_requests_total" in text
            assert b'casemate_events_total{kind="inference",decision="pass",model="digits"' in text
            assert b"casemate_detections_total" in text
            assert ask(admin, "/ready", headers=headers)[0] == 200
        events = list(open_query(tmp_path / ".casemate" / "telemetry").scan(Filter()))
        assert [one.kind for one in events] == ["started", *["inference"] * 5, "stopped"]
        assert {one.principal for one in events[1:6]} != {""}


def test_without_a_token_there_are_no_admin_pages_and_it_is_said(tmp_path, model, monkeypatch):
    monkeypatch.delenv("CASEMATE_ADMIN_TOKEN", raising=False)
    with service.upstream(model) as upstream:
        words = ("--upstream", f"http://127.0.0.1:{upstream}", "--no-analysis")
        with service.guard(tmp_path, *words) as guard:
            assert "no admin pages" in guard.log.read_text()


def test_the_owner_is_warned_when_anybody_may_be_anybody(tmp_path, keys, monkeypatch):
    from casemate.workflows.config import Config, Loaded

    monkeypatch.setattr(serve, "_serve", _nobody)
    said = []
    table = GuardTable(mode="enforce", principal=PrincipalTable(header="X-User"))
    serve.run(Loaded(config=Config(), root=tmp_path), table, say=said.append)
    assert [one.partition(":")[0] for one in said] == ["warning"]
    assert "trusted_proxies" in said[0]


async def _nobody(*_args, **_given):
    """Serve nothing."""


def test_what_the_command_line_says_beats_the_file():
    made = serve.changed(
        GuardTable(), upstream="http://u", listen=":9", admin="none", principal="claim:sub",
        enforce=True,
    )  # fmt: skip
    assert (made.upstream, made.listen, made.admin) == ("http://u", "0.0.0.0:9", None)
    assert (made.principal.claim, made.mode) == ("sub", "enforce")
    with pytest.raises(UsageError, match="who asks"):
        serve.changed(GuardTable(), principal="x-user")
