"""The operators' pages: nothing without the token, nothing about callers in the metrics."""

import asyncio
import contextlib
from datetime import UTC, datetime

import httpx
import pytest

from casemate.errors import UsageError
from casemate.export.prometheus import Counters
from casemate.guard.admin import VARIABLE, admin_app, exposition, read_token, serve_admin
from casemate.records.order import Order, Scope
from tests.export.records import event
from tests.notify.made import detection
from tests.servers.envoy import free_port

TOKEN = "a-token-for-tests-0123456789"
ORDER = Order(
    id="ord-1", at=datetime(2026, 1, 1, tzinfo=UTC), expires=datetime(2026, 1, 2, tzinfo=UTC),
    action="rate", scope=Scope(principal="ann"), author="bob", reason="too many questions",
)  # fmt: skip


@pytest.fixture
def ask():
    up = {"now": True}

    async def ready():
        return up["now"]

    counters = Counters()
    counters.count([event(principal="ann"), event(principal="ann", kind="refused")])
    app = admin_app(
        TOKEN,
        counts=lambda: {("requests", ""): 7, ("refused", 'a"b\n'): 2},
        counters=counters,
        detections=lambda: [detection(principals=("ann",), model="fraud")],
        connections=lambda: 3,
        orders=lambda: [ORDER],
        ready=ready,
        mode="observe",
    )

    def ask(path, token=TOKEN, headers=None):
        async def once():
            transport = httpx.ASGITransport(app=app)
            async with httpx.AsyncClient(transport=transport, base_url="http://a") as client:
                if headers is None:
                    return await client.get(path, headers={"Authorization": f"Bearer {token}"})
                return await client.get(path, headers=headers)

        return asyncio.run(once())

    ask.up = up
    return ask


@pytest.mark.parametrize("path", ["/health", "/ready", "/metrics", "/orders", "/none"])
def test_no_page_without_the_token(ask, path):
    for headers in (
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer "},
        {"Authorization": f"Bearer {TOKEN}x"},
        {"Authorization": TOKEN},
        [("Authorization", f"Bearer {TOKEN}"), ("Authorization", "Bearer x")],
    ):
        assert ask(path, headers=headers).status_code == 401


def test_the_pages(ask):
    assert ask("/health").text == "ok\n"
    assert ask("/ready").status_code == 200
    ask.up["now"] = False
    assert (ask("/ready").status_code, ask("/ready").text) == (503, "upstream down\n")
    assert ask("/orders").json()[0]["scope"]["principal"] == "ann"
    assert ask("/none").status_code == 404
    assert "ann" not in ask("/metrics").text


def test_the_metrics_are_read_by_prometheus(ask):
    from prometheus_client.parser import text_string_to_metric_families

    text = ask("/metrics").text
    samples = {
        (one.name, tuple(one.labels.items())): one.value
        for family in text_string_to_metric_families(text)
        for one in family.samples
    }
    assert samples["casemate_guard_requests_total", ()] == 7
    assert samples["casemate_guard_refused_total", (("reason", 'a"b\n'),)] == 2
    assert samples["casemate_guard_connections", ()] == 3
    found = {
        (labels["kind"], labels["model"], labels["decision"]): value
        for (name, pairs), value in samples.items()
        if name == "casemate_events_total" and (labels := dict(pairs))
    }
    assert found == {("inference", "fraud", "pass"): 1, ("refused", "fraud", "pass"): 1}
    (told,) = [dict(pairs) for name, pairs in samples if name == "casemate_detections_total"]
    assert (told["rule"], told["severity"], told["model"]) == (
        "test-border-walk", "important", "fraud",
    )  # fmt: skip
    assert "casemate_guard_enforcing 1" in exposition({}, 0, "enforce")


@pytest.mark.parametrize("token", ["", "short", "changeme", "aaaaaaaaaaaaaaaaaaaaaaaa"])
def test_there_is_no_default_token_and_no_weak_one(token):
    with pytest.raises(UsageError):
        read_token({VARIABLE: token} if token else {})
    assert read_token({VARIABLE: TOKEN}) == TOKEN


def test_it_is_served_on_the_loopback():
    async def ready():
        return True

    async def run():
        port = free_port()
        app = admin_app(
            TOKEN,
            counts=dict,
            counters=Counters(),
            detections=list,
            connections=int,
            orders=list,
            ready=ready,
            mode="observe",
        )
        serving = asyncio.create_task(serve_admin(app, f":{port}"))
        async with httpx.AsyncClient() as client:
            for _ in range(100):
                with contextlib.suppress(httpx.ConnectError):
                    answer = await client.get(
                        f"http://127.0.0.1:{port}/health",
                        headers={"Authorization": f"Bearer {TOKEN}"},
                    )
                    break
                await asyncio.sleep(0.05)
        serving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await serving
        return answer

    answer = asyncio.run(run())
    assert answer.text == "ok\n"
    assert "server" not in answer.headers
