"""The ASGI shell around a real server, and around applications that misbehave."""

import asyncio
import contextlib
import gzip
import http.client
import json
import socket
import threading
import time

import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from casemate.errors import StoreError
from casemate.guard.asgi import asgi
from casemate.guard.marks import HEADER
from casemate.guard.policy import RouteTable, RuleTable
from casemate.records.event import Measures
from casemate.targets.wire import chat
from tests.guard.serving import SCORES, application, uvicorn_server
from tests.guard.traffic import Judge, guard, image


@pytest.fixture
def serve():
    """Serve a guarded application; return its address, the events it leaves and the application."""
    stack = []

    def start(judge=None, record=None, **given_policy):
        events = []
        app = application()
        made = guard(judge, **given_policy)
        server = uvicorn_server(asgi(app, made, record or events.extend))
        port = server.__enter__()
        stack.append(server)
        return f"http://127.0.0.1:{port}", events, app

    yield start
    for server in stack:
        server.__exit__(None, None, None)


INFER = "/v2/models/digits/infer"
ANN = {"x-user": "ann", "content-type": "application/json"}


def test_a_request_passes_and_is_on_record(serve):
    url, events, _ = serve(Judge())
    got = httpx.post(url + INFER, content=image().body, headers=ANN)
    assert (got.status_code, got.content) == (200, SCORES)
    assert got.headers["x-served-by"] == "pod-3"
    (event,) = events
    assert (event.principal, event.kind, event.status) == ("ann", "inference", 200)
    assert event.took > 0
    assert abs(event.at / 1e6 - time.time()) < 60


def raw(port, body, headers):
    """Ask without a library that sets headers of its own; return everything that came back."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.putrequest("POST", headers.pop(":path"), skip_host=True, skip_accept_encoding=True)
    connection.putheader("host", "model")
    connection.putheader("content-length", str(len(body)))
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders(body)
    reply = connection.getresponse()
    found = (reply.status, sorted(reply.getheaders()), reply.read())
    connection.close()
    return found


@pytest.fixture(scope="module")
def twins():
    """The same server twice: bare, and behind an observing guard whose judge cries wolf."""
    judge = Judge(Measures(signs=("query-burst",), broken=3))
    rules = (
        RuleTable(when="always", action="block"),
        RuleTable(when="query-burst", action="coarsen"),
    )
    made = guard(judge, rule=rules, route=(RouteTable(match="/**", fail="closed"),))
    with (
        uvicorn_server(application()) as bare,
        uvicorn_server(asgi(application(), made, lambda events: None)) as guarded,
    ):
        yield bare, guarded


values = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=20)
headers = st.dictionaries(
    st.sampled_from(
        ["x-user", "accept", "x-a", "content-encoding", "authorization", "traceparent"]
    ),
    values,
    max_size=4,
)
bodies = st.one_of(
    st.binary(max_size=300),
    st.just(image().body),
    st.just(gzip.compress(image().body)),
    st.recursive(
        st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    ).map(lambda one: json.dumps(one).encode()),
)
paths = st.sampled_from([INFER, "/echo?a=1", "/v1/models/m:predict", "/invocations", "//v2/x/../y"])


@settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))
@given(body=bodies, said=headers, path=paths)
def test_observing_changes_no_byte(twins, body, said, path):
    bare, guarded = twins
    one = raw(bare, body, {":path": path, **said})
    other = raw(guarded, body, {":path": path, **said})
    # The date header tells the time.
    assert [pair for pair in one[1] if pair[0] != "date"] == [
        pair for pair in other[1] if pair[0] != "date"
    ]
    assert (one[0], one[2]) == (other[0], other[2])


def test_the_mark_of_the_red_team_stays_with_the_guard(serve):
    url, _, _ = serve()
    for body in (b"", b"x"):
        got = httpx.post(url + "/echo", content=body, headers={HEADER: "run.1.a", "x-a": "b"})
        names = [name for name, _ in got.json()["headers"]]
        assert "x-a" in names
        assert HEADER not in names


def test_enforcing_answers_without_asking_the_model(serve):
    rule = RuleTable(when="always", action="block")
    url, events, _ = serve(mode="enforce", rule=(rule,))
    got = httpx.post(url + "/v2/models/broken/infer", content=image().body, headers=ANN)
    assert (got.status_code, got.json()) == (403, {"error": "request not accepted"})
    assert [one.kind for one in events] == ["refused"]


def test_enforcing_coarsens(serve):
    url, events, _ = serve(mode="enforce", rule=(RuleTable(when="always", action="coarsen"),))
    got = httpx.post(url + INFER, content=image().body, headers=ANN)
    np.testing.assert_array_equal(got.json()["outputs"][0]["data"], [0.3, 0.7])
    assert int(got.headers["content-length"]) == len(got.content)
    assert events[0].served_digest


def test_a_delay_delays(serve):
    rule = RuleTable(when="always", action="delay", settings={"seconds": 0.3})
    url, _, _ = serve(mode="enforce", rule=(rule,))
    began = time.monotonic()
    assert httpx.post(url + INFER, content=image().body, headers=ANN).status_code == 200
    assert time.monotonic() - began >= 0.3


def test_a_stream_is_passed_on_piece_by_piece(serve):
    url, events, app = serve(Judge())
    body = chat.encode_request("gpt", ["hello"], stream=True).body
    with httpx.stream("POST", url + "/v1/chat/completions", content=body, headers=ANN) as got:
        app.state.gate.release()
        pieces = got.iter_raw()
        assert b"one" in next(pieces)
        # The rest has not been made yet: nothing was held until the end.
        assert not events
        for _ in range(3):
            app.state.gate.release()
        rest = b"".join(pieces)
    assert rest.endswith(b"[DONE]\n\n")
    (event,) = events
    assert (event.protocol, event.principal, event.kind) == ("chat", "ann", "inference")


def test_an_answer_too_large_to_hold_is_passed_on(serve):
    url, events, _ = serve(max_body=200_000)
    got = httpx.post(url + "/v2/models/large/infer", content=image().body, headers=ANN)
    assert got.content == b"x" * (64 * 65536)
    assert (events[0].kind, events[0].bytes_out) == ("inference", 64 * 65536)


def test_a_body_over_the_limit_is_passed_on_unread_or_refused(serve):
    url, events, _ = serve(max_body=1000)
    body = b"x" * 300_000
    assert httpx.post(url + "/echo", content=body).json()["body"] == body.hex()
    assert httpx.post(url + INFER, content=body, headers=ANN).content == SCORES
    assert [one.kind for one in events] == ["bypassed", "bypassed"]
    closed = RouteTable(match="/**", fail="closed")
    url, events, _ = serve(max_body=1000, mode="enforce", route=(closed,))
    assert httpx.post(url + INFER, content=body, headers=ANN).status_code == 413
    assert [one.kind for one in events] == ["refused"]


def test_an_application_that_raises_is_on_record(serve):
    url, events, _ = serve()
    got = httpx.post(url + "/v2/models/broken/infer", content=image().body, headers=ANN)
    assert got.status_code == 500
    assert (events[0].kind, events[0].status) == ("failed", 500)


def test_a_caller_that_leaves_early_asks_nothing(serve):
    url, events, _ = serve()
    port = int(url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)) as caller:
        caller.sendall(
            f"POST {INFER} HTTP/1.1\r\nhost: m\r\ncontent-length: 999\r\n\r\nxx".encode()
        )
    assert httpx.post(url + INFER, content=image().body, headers=ANN).status_code == 200
    assert [one.sequence for one in events] == [0]


def test_a_record_that_cannot_be_written_costs_no_request(serve, caplog):
    caplog.set_level("DEBUG", "casemate")

    def full(events):
        raise StoreError("disk full")

    url, _, _ = serve(record=full)
    for _ in range(3):
        assert httpx.post(url + INFER, content=image().body, headers=ANN).content == SCORES
    assert "passed by" in caplog.text


def test_events_wait_for_a_slower_one_but_not_for_long(serve):
    url, events, _ = serve()

    def ask_slowly():
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(
                url + "/v2/models/slow/infer", content=image().body, headers=ANN, timeout=1.5
            )

    waiting = threading.Thread(target=ask_slowly)
    waiting.start()
    time.sleep(0.3)
    assert httpx.post(url + INFER, content=image().body, headers=ANN).status_code == 200
    deadline = time.monotonic() + 5
    while len(events) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert [(one.sequence, one.model) for one in events[:2]] == [(0, "slow"), (1, "digits")]
    waiting.join()


def test_many_at_once_leave_a_record_without_holes(serve):
    url, events, _ = serve(Judge())

    async def flood():
        async with httpx.AsyncClient(timeout=30) as client:
            asks = (client.post(url + INFER, content=image(n).body, headers=ANN) for n in range(60))
            return await asyncio.gather(*asks)

    assert {one.status_code for one in asyncio.run(flood())} == {200}
    assert [one.sequence for one in events] == list(range(60))


@pytest.mark.parametrize("whole", [True, False])
def test_pieces_are_passed_on_as_they_come_when_nothing_is_to_be_changed(whole):
    events, sent = [], []
    asked = image()

    async def receive():
        return {"type": "http.request", "body": asked.body}

    async def send(message):
        sent.append(message)

    async def app(scope, receive, send):
        said = [(b"content-type", b"application/x-ndjson")]
        start = {"type": "http.response.start", "status": 200, "headers": said, "trailers": True}
        await send(start)
        await send({"type": "http.response.body", "body": SCORES[:9], "more_body": True})
        assert [one.get("body") for one in sent] == [None, SCORES[:9]]
        if not whole:
            raise ZeroDivisionError
        assert not events
        await send({"type": "http.response.body", "body": SCORES[9:]})
        await send({"type": "http.response.trailers", "headers": []})

    scope = {
        "type": "http", "method": "POST", "path": INFER, "headers":
        [(name.encode(), value.encode()) for name, value in asked.headers],
    }  # fmt: skip
    with contextlib.nullcontext() if whole else pytest.raises(ZeroDivisionError):
        asyncio.run(asgi(app, guard(Judge()), events.extend)(scope, receive, send))
    (event,) = events
    if whole:
        assert (event.kind, event.bytes_out) == ("inference", len(SCORES))
        assert sent[0]["trailers"]
        assert sent[-1]["type"] == "http.response.trailers"
    else:
        assert (event.kind, event.status) == ("failed", 200)
        assert "ZeroDivisionError, within its answer" in event.note


def test_websockets_pass_when_observing_and_are_on_record():
    events, heard = [], []

    async def app(scope, receive, send):
        heard.append(await receive())

    async def receive():
        return {"type": "websocket.connect"}

    asyncio.run(asgi(app, guard(), events.extend)({"type": "websocket"}, receive, print))
    assert heard == [{"type": "websocket.connect"}]
    assert [(one.kind, one.lost) for one in events] == [("bypassed", 1)]


def test_websockets_are_not_let_past_where_orders_must_hold():
    sent = []

    async def receive():
        return {"type": "websocket.connect"}

    async def send(message):
        sent.append(message)

    async def app(*_):
        raise AssertionError

    asyncio.run(asgi(app, guard(mode="enforce"), print)({"type": "websocket"}, receive, send))
    assert sent == [{"type": "websocket.close", "code": 1008}]


def test_the_end_lets_waiting_events_go():
    events = []
    made = guard()
    made.ask(image())

    async def app(scope, receive, send):
        await receive()

    async def receive():
        return {"type": "lifespan.shutdown"}

    async def send(message):
        raise AssertionError

    asyncio.run(asgi(app, made, events.extend)({"type": "lifespan"}, receive, send))
    assert [one.sequence for one in events] == [0]
