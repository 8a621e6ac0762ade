"""The guard behind a real Envoy, bodies buffered and streamed."""

import asyncio
import http.client
import json
import socket

import pytest

from casemate.guard.call import Action, Reply
from casemate.guard.desk import Desk
from casemate.guard.ext_proc import UPSTREAM, Processor
from casemate.guard.marks import HEADER
from casemate.guard.policy import GuardTable
from tests.guard.proxy.running import FakeGuard, Running, Server, until
from tests.servers.envoy import envoy

PATH = "/v2/models/m/infer"


class Behind:
    def __init__(self, running, port, guard, server, events, counts):
        self.running, self.port, self.guard = running, port, guard
        self.server, self.events, self.counts = server, events, counts

    def ask(self, body=b"{}", method="POST", path=PATH, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=15)
        connection.request(method, path, body, {k.replace("_", "-"): v for k, v in headers.items()})
        answer = connection.getresponse()
        found = answer.status, dict(answer.getheaders()), answer.read()
        connection.close()
        return found


@pytest.fixture(scope="module", params=["BUFFERED", "STREAMED"])
def stage(request, tmp_path_factory):
    running = Running(asyncio.new_event_loop())
    guard, counts, events = FakeGuard(), [], []
    server, second = Server(running), Server(running, other)
    desk = Desk(guard, events.extend, count=lambda *c: counts.append(c))
    folder = tmp_path_factory.mktemp("envoy")
    # One way each: a port for the one, a socket for the other.
    listen = "127.0.0.1:0" if request.param == "BUFFERED" else f"unix:{folder}/guard.sock"
    processor = Processor(GuardTable(listen=listen, max_body=1 << 20), desk)
    port = running.do(processor.start()) or f"{folder}/guard.sock"
    mode = request.param
    with envoy(folder, server.port, port, request=mode, answer=mode, other=second.port) as (at, _):
        yield Behind(running, at, guard, server, events, counts), mode
    running.do(processor.stop(0.2))
    server.close()
    second.close()
    running.close()


@pytest.fixture
def behind(stage):
    found, _ = stage
    found.guard.__init__()
    found.events.clear()
    found.counts.clear()
    found.server.requests.clear()
    found.server.behave = None
    return found


@pytest.fixture
def buffered(stage, behind):
    if stage[1] == "STREAMED":
        pytest.skip("only a body that is held back can be changed")
    return behind


async def other(request, writer, reader):
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nother")


def test_request_and_answer_pass_unchanged_and_are_seen(behind):
    body = json.dumps({"inputs": list(range(1000))}).encode()
    status, headers, answer = behind.ask(body, X_User="Ann")
    assert (status, answer, headers["x-model"]) == (200, b"ok", "m")
    assert behind.server.requests[0][1] == body
    (call,) = behind.guard.calls
    assert (call.method, call.path, call.body, call.peer) == ("POST", PATH, body, "127.0.0.1")
    assert dict(call.headers)["x-user"] == "Ann"
    assert "host" in dict(call.headers)
    assert until(lambda: behind.guard.ends)
    reply = behind.guard.ends[0][1]
    assert (reply.status, reply.body, dict(reply.headers)["x-model"]) == (200, b"ok", "m")
    assert [event.kind for event in behind.events] == ["inference"]


def test_what_the_guard_answers_itself(buffered):
    buffered.guard.act = lambda call: Action(
        "answer", Reply(429, (("retry-after", "5"),), b"later")
    )
    status, headers, answer = buffered.ask()
    assert (status, headers["retry-after"], answer) == (429, "5", b"later")
    assert buffered.server.requests == []


def test_an_answer_is_changed(buffered):
    buffered.guard.changes = True
    buffered.guard.change = lambda r: Reply(200, (("x-a", "b"), ("content-length", "9")), b"coarse")
    status, headers, answer = buffered.ask()
    assert (status, answer, headers["x-a"], headers["content-length"]) == (200, b"coarse", "b", "6")
    assert "x-model" not in headers


def test_another_upstream_only_the_guard_can_choose(buffered):
    buffered.guard.act = lambda call: Action("forward", upstream="http://second")
    assert buffered.ask()[2] == b"other"
    buffered.guard.act = lambda call: Action("forward")


def test_a_stream_of_events_is_heard_as_it_passes(behind):
    gates = []

    async def events(request, writer, reader):
        gates.append(asyncio.Event())
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n")
        writer.write(b"Transfer-Encoding: chunked\r\n\r\n9\r\ndata: a\n\n\r\n")
        await writer.drain()
        await gates[0].wait()
        writer.write(b"9\r\ndata: b\n\n\r\n0\r\n\r\n")

    behind.server.behave = events
    with socket.create_connection(("127.0.0.1", behind.port), 10) as connection:
        connection.sendall(
            f"POST {PATH} HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{{}}".encode()
        )
        seen = b""
        while b"data: a" not in seen:
            seen += connection.recv(1000)
        behind.running.loop.call_soon_threadsafe(gates[0].set)
        while b"0\r\n\r\n" not in seen:
            seen += connection.recv(1000)
    assert until(lambda: behind.guard.asks[0].ended)
    assert b"".join(behind.guard.asks[0].heard) == b"data: a\n\ndata: b\n\n"


def test_a_guard_that_breaks_costs_no_request(behind):
    def fail(*_, **__):
        raise RuntimeError("broken")

    behind.guard.ask = fail
    assert behind.ask()[2] == b"ok"
    assert until(lambda: [event.kind for event in behind.events] == ["bypassed"])
    del behind.guard.ask


def test_an_upstream_that_breaks_off_is_on_record(behind):
    async def close(request, writer, reader):
        return "close"

    behind.server.behave = close
    assert behind.ask()[0] in {502, 503}
    assert until(lambda: [event.kind for event in behind.events] in (["failed"], ["inference"]))


def test_a_get_without_a_body_passes(behind):
    assert behind.ask(b"", method="GET", path="/v2/health/ready")[0] == 200
    assert behind.guard.calls[0].method == "GET"


@pytest.mark.parametrize("body", [b"{}", b""])
def test_the_mark_of_the_red_team_stays_with_the_guard(behind, body):
    behind.ask(body, **{HEADER: "run.1.a"})
    assert dict(behind.guard.calls[0].headers)[HEADER] == "run.1.a"
    assert HEADER.encode() not in behind.server.requests[0][0].lower()


def test_the_field_for_routing_is_not_the_callers_to_set(behind):
    assert behind.ask(**{UPSTREAM: "http://second"})[2] == b"ok"
