"""The proxy with the real guard and a real judge's place: events, hostile bodies, orders."""

# ruff: noqa: E501

import gzip
import json
import zlib
from datetime import UTC, datetime, timedelta

import pytest

from casemate.guard.guard import Guard
from casemate.guard.keys import Keys
from casemate.guard.policy import GuardTable, PrincipalTable, RouteTable
from casemate.records.order import Order, Scope
from tests.guard.proxy.running import Server, Setup, until

PATH = "/v2/models/m/infer"
BODY = json.dumps(
    {"inputs": [{"name": "x", "shape": [2, 2], "datatype": "FP32", "data": [1, 2, 3, 4]}]}
).encode()
SCORES = json.dumps(
    {"model_name": "m", "outputs": [{"name": "s", "shape": [2, 2], "datatype": "FP32", "data": [0.9, 0.1, 0.2, 0.8]}]}
).encode()  # fmt: skip


async def scores(request, writer, reader):
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n")
    writer.write(b"Content-Length: %d\r\n\r\n%b" % (len(SCORES), SCORES))


@pytest.fixture
def guarded(running):
    made = []

    def make(behave=scores, **settings):
        table = GuardTable(
            listen="127.0.0.1:0",
            principal=PrincipalTable(header="X-User"),
            **{"max_body": 1 << 20, **settings},
        )
        guard = Guard(table, keys=Keys(bytes(range(32))), writer="w-" + "a" * 16)
        server = Server(running, behave)
        kept = {"max_body": table.max_body, "mode": table.mode, "principal": table.principal}
        setup = Setup(running, server, guard, **kept)
        made.append((setup, server))
        return setup

    yield make
    for setup, server in made:
        setup.close()
        server.close()


def post(setup, body=BODY, extra=b"", path=PATH):
    return setup.send(
        b"POST %b HTTP/1.1\r\nHost: h\r\nX-User: ann\r\nContent-Type: application/json\r\n%b"
        b"Content-Length: %d\r\nConnection: close\r\n\r\n%b"
        % (path.encode(), extra, len(body), body)
    )


def test_every_row_is_on_record(guarded):
    setup = guarded()
    assert post(setup).endswith(SCORES)
    assert until(lambda: len(setup.events) == 2)
    first, second = setup.events
    assert (first.kind, first.principal, first.model, first.rows) == ("inference", "ann", "m", 2)
    assert (first.sequence, second.sequence) == (0, 1)
    assert setup.server.requests[0][1] == BODY


HOSTILE = {
    "not-json": (b"{" * 50, b""),
    "deep": (b"[" * 100_000, b""),
    "nan": (BODY.replace(b"1, 2", b"NaN, 2"), b""),
    "infinite": (BODY.replace(b"1, 2", b"1e999, 2"), b""),
    "wrong-length": (BODY.replace(b"[2, 2]", b"[2, 9]"), b""),
    "duplicate-key": (BODY[:-1] + b', "inputs": []}', b""),
    "not-gzip": (BODY, b"Content-Encoding: gzip\r\n"),
    "deflate-bomb": (zlib.compress(bytes(60_000_000), 9), b"Content-Encoding: deflate\r\n"),
    "gzip-bomb": (gzip.compress(bytes(60_000_000), 9), b"Content-Encoding: gzip\r\n"),
    "unknown-coding": (BODY, b"Content-Encoding: br\r\n"),
    "two-codings": (BODY, b"Content-Encoding: gzip, gzip\r\n"),
    "empty": (b"", b""),
    "binary": (bytes(range(256)) * 40, b""),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_bodies_reach_the_model_as_they_are_and_are_on_record(guarded, name):
    body, extra = HOSTILE[name]
    setup = guarded()
    assert post(setup, body, extra).endswith(SCORES)
    assert until(lambda: setup.events)
    assert setup.server.requests[0][1] == body
    assert all(event.principal == "ann" for event in setup.events)
    if name not in {"nan", "infinite"}:
        assert [event.kind for event in setup.events] == ["bypassed"]
        assert setup.events[0].note
    assert setup.still_serves()


def test_an_order_blocks_one_and_spares_the_others(guarded):
    setup = guarded(mode="enforce", route=(RouteTable(match=PATH),))
    now = datetime.now(UTC)
    order = Order(
        id="ord-1", at=now, expires=now + timedelta(minutes=5), action="block",
        scope=Scope(principal="ann"), author="bob", reason="an attack",
    )  # fmt: skip
    setup.running.loop.call_soon_threadsafe(setup.guard.obey, [order])
    assert until(lambda: b" 200 " not in post(setup)[:13])
    refused = len(setup.server.requests)
    assert setup.still_serves()
    assert len(setup.server.requests) == refused + 1
    assert until(lambda: "refused" in {event.kind for event in setup.events})


def test_a_model_server_that_is_down_is_on_record(guarded):
    async def close(request, writer, reader):
        return "close"

    setup = guarded(close)
    assert post(setup).startswith(b"HTTP/1.1 502")
    assert until(lambda: [event.kind for event in setup.events] == ["failed", "failed"])
    assert {event.status for event in setup.events} == {502}
