"""What goes through the proxy: whole, unchanged, and seen by the guard."""

import socket

import pytest

from casemate.guard.call import Action, Reply
from casemate.guard.marks import HEADER
from tests.guard.proxy.running import drain, read_answer, until

POST = b"POST /v2/models/m/infer?v=1 HTTP/1.1\r\nHost: model.example\r\nX-User: Ann\r\n"


def test_request_and_answer_pass_and_the_guard_sees_both(setup, guard):
    proxy = setup()
    with proxy.connect() as connection:
        connection.sendall(POST + b'Content-Length: 7\r\n\r\n{"a":1}')
        answer = read_answer(connection)
    assert answer == b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Model: m\r\n\r\nok"
    raw, body = proxy.server.requests[0]
    assert body == b'{"a":1}'
    assert raw == (
        b"POST /v2/models/m/infer?v=1 HTTP/1.1\r\nHost: model.example\r\nX-User: Ann\r\n"
        b"Content-Length: 7\r\nX-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\n\r\n"
    )
    (call,) = guard.calls
    assert (call.method, call.path, call.query) == ("POST", "/v2/models/m/infer", "v=1")
    assert ("x-user", "Ann") in call.headers
    assert call.body == b'{"a":1}'
    assert call.peer == "127.0.0.1"
    assert guard.ends[0][1] == Reply(200, (("content-length", "2"), ("x-model", "m")), b"ok")
    assert [event.kind for event in proxy.events] == ["inference"]


def test_the_mark_of_the_red_team_stays_with_the_guard(setup, guard):
    proxy = setup()
    with proxy.connect() as connection:
        connection.sendall(POST + b"Casemate-RedTeam: run.1.a\r\nContent-Length: 2\r\n\r\n{}")
        read_answer(connection)
    assert (HEADER, "run.1.a") in guard.calls[0].headers
    assert HEADER.encode() not in proxy.server.requests[0][0].lower()


def test_a_connection_serves_many_requests_over_one_upstream_connection(setup, guard):
    proxy = setup()
    with proxy.connect() as connection:
        for number in range(20):
            body = b"x" * number
            connection.sendall(POST + b"Content-Length: %d\r\n\r\n%b" % (number, body))
            assert read_answer(connection).endswith(b"ok")
    assert proxy.server.connections == 1
    assert [len(call.body) for call in guard.calls] == list(range(20))


def test_requests_sent_ahead_are_answered_in_order(setup, guard):
    async def echo(request, writer, reader):
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(request[1]), request[1])
        )

    proxy = setup(echo)
    with proxy.connect() as connection:
        connection.sendall(
            b"".join(POST + b"Content-Length: 2\r\n\r\n%02d" % number for number in range(30))
        )
        answers = b""
        while answers.count(b"200 OK") < 30 or not answers.endswith(b"29"):
            answers += connection.recv(65536)
    assert [part[-2:] for part in answers.split(b"HTTP/1.1")[1:]] == [
        b"%02d" % n for n in range(30)
    ]


def test_a_request_in_chunks_is_sent_with_its_length(setup, guard):
    proxy = setup()
    proxy.send(
        POST + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        b"3;ext=1\r\nabc\r\n4\r\ndefg\r\n0\r\nX-Trailer: t\r\n\r\n"
    )
    raw, body = proxy.server.requests[0]
    assert body == b"abcdefg"
    assert b"Content-Length: 7\r\n" in raw
    assert b"chunked" not in raw
    assert b"Trailer" not in raw
    assert guard.calls[0].body == b"abcdefg"


def test_what_follows_chunks_in_one_read_is_given_up_and_the_connection_closed(setup, guard):
    proxy = setup()
    answer = proxy.send(
        POST + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n" + POST + b"\r\n"
    )
    assert answer.count(b"HTTP/1.1") == 1
    assert b"Connection: close" in answer
    assert len(guard.calls) == 1


@pytest.mark.parametrize("size", [1, 70_000, 3_000_000])
def test_bodies_of_any_size_pass_both_ways(setup, guard, size):
    async def echo(request, writer, reader):
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(request[1]), request[1])
        )

    proxy = setup(echo)
    body = bytes(range(256)) * (size // 256 + 1)
    with proxy.connect() as connection:
        connection.sendall(POST + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        assert read_answer(connection).partition(b"\r\n\r\n")[2] == body
    assert guard.calls[0].body == body
    assert guard.ends[0][1].body == body


def test_an_answer_in_chunks_stays_in_chunks(setup, guard):
    async def chunks(request, writer, reader):
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nSet-Cookie: a\r\n")
        writer.write(b"Set-Cookie: b\r\n\r\n3\r\nabc\r\n")
        await writer.drain()
        writer.write(b"2\r\nde\r\n0\r\n\r\n")

    proxy = setup(chunks)
    answer = proxy.send(POST + b"Content-Length: 0\r\nConnection: close\r\n\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"Set-Cookie: a\r\nSet-Cookie: b\r\n" in head + b"\r\n"
    assert body in {b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", b"5\r\nabcde\r\n0\r\n\r\n"}
    assert guard.ends[0][1].body == b"abcde"


def test_an_http_1_0_caller_gets_no_chunks(setup, guard):
    async def chunks(request, writer, reader):
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")

    proxy = setup(chunks)
    answer = proxy.send(b"GET /v2 HTTP/1.0\r\n\r\n")
    assert answer.endswith(b"\r\n\r\nabc")
    assert b"chunked" not in answer
    assert b"Host: 127.0.0.1" in proxy.server.requests[0][0]


def test_an_answer_that_ends_with_its_connection(setup, guard):
    async def until_close(request, writer, reader):
        writer.write(b"HTTP/1.0 200 OK\r\n\r\nabc")
        return "close"

    proxy = setup(until_close)
    answer = proxy.send(POST + b"Content-Length: 0\r\nConnection: close\r\n\r\n")
    assert answer.endswith(b"3\r\nabc\r\n0\r\n\r\n")
    assert guard.ends[0][1].body == b"abc"


def test_head_and_bodiless_answers(setup, guard):
    async def behave(request, writer, reader):
        if request[0].startswith(b"HEAD"):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n")
        else:
            writer.write(
                b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n"
            )

    proxy = setup(behave)
    with proxy.connect() as connection:
        connection.sendall(b"HEAD /v2 HTTP/1.1\r\nHost: h\r\n\r\n")
        assert connection.recv(9000) == b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n"
        connection.sendall(b"DELETE /v2 HTTP/1.1\r\nHost: h\r\n\r\n")
        assert connection.recv(9000) == b"HTTP/1.1 204 No Content\r\n\r\n"


def test_who_expects_100_continue_gets_it_from_the_proxy(setup, guard):
    proxy = setup()
    with proxy.connect() as connection:
        connection.sendall(POST + b"Content-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"{}")
        assert read_answer(connection).endswith(b"ok")
    assert b"Expect" not in proxy.server.requests[0][0]


def test_a_stream_of_events_is_not_held_back(setup, guard):
    gates = []
    guard.changes = True

    async def events(request, writer, reader):
        import asyncio

        gate = asyncio.Event()
        gates.append(gate)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n")
        writer.write(b"Transfer-Encoding: chunked\r\n\r\n9\r\ndata: a\n\n\r\n")
        await writer.drain()
        await gate.wait()
        writer.write(b"9\r\ndata: b\n\n\r\n0\r\n\r\n")

    proxy = setup(events, mode="enforce")
    with proxy.connect() as connection:
        connection.sendall(POST + b"Content-Length: 0\r\n\r\n")
        first = b""
        while b"data: a\n\n" not in first:
            first += connection.recv(1000)
        proxy.running.loop.call_soon_threadsafe(gates[0].set)
        rest = b""
        while b"0\r\n\r\n" not in rest:
            rest += connection.recv(1000)
    assert b"data: b\n\n" in rest
    assert until(lambda: guard.asks[0].ended)
    assert b"".join(guard.asks[0].heard) == b"data: a\n\ndata: b\n\n"


def test_what_the_guard_orders_is_done(setup, guard):
    proxy = setup(mode="enforce")
    guard.act = lambda call: Action("answer", Reply(429, (("retry-after", "5"),), b"later"))
    answer = proxy.send(POST + b"Content-Length: 2\r\n\r\n{}", closes=False)
    assert (
        answer
        == b"HTTP/1.1 429 Too Many Requests\r\nretry-after: 5\r\ncontent-length: 5\r\n\r\nlater"
    )
    assert proxy.server.requests == []
    guard.act = lambda call: Action("forward")
    guard.changes = True
    guard.change = lambda reply: reply._replace(body=b"coarse", headers=(("x-a", "b"),))
    answer = proxy.send(POST + b"Content-Length: 2\r\n\r\n{}", closes=False)
    assert answer == b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nx-a: b\r\n\r\ncoarse"


@pytest.mark.parametrize("chunked", [False, True])
def test_a_changed_answer_looks_like_the_model_servers_own(setup, guard, chunked):
    async def odd(request, writer, reader):
        how, body = b"Content-Length: 5", b"exact"
        if chunked:
            how, body = b"Transfer-Encoding: chunked", b"5\r\nexact\r\n0\r\n\r\n"
        writer.write(
            b"HTTP/1.1 200 Fine\r\nX-Pod: 3\r\nETag: x\r\n" + how + b"\r\nServer: S\r\n\r\n" + body
        )

    proxy = setup(odd, mode="enforce")
    guard.changes = True
    guard.change = lambda reply: reply._replace(
        body=b"round!", headers=tuple(one for one in reply.headers if one[0] != "etag")
    )
    answer = proxy.send(POST + b"Content-Length: 2\r\n\r\n{}", closes=False)
    assert answer.startswith(b"HTTP/1.1 200 Fine\r\nX-Pod: 3\r\n")
    assert b"ETag" not in answer
    if chunked:
        assert b"Transfer-Encoding: chunked\r\n" in answer
    else:
        assert b"Content-Length: 6\r\nServer: S\r\n\r\nround!" in answer


def test_an_order_can_name_another_upstream_and_a_delay(running, setup, guard):
    from tests.guard.proxy.running import Server

    async def other(request, writer, reader):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nother")

    second = Server(running, other)
    proxy = setup(mode="enforce")
    guard.act = lambda call: Action(
        "forward", delay=0.05, upstream=f"http://127.0.0.1:{second.port}/safe"
    )
    assert proxy.send(POST + b"\r\n", closes=False).endswith(b"other")
    assert second.requests[0][0].startswith(b"POST /safe/v2/models/m/infer?v=1 HTTP/1.1")
    guard.act = lambda call: Action("forward", upstream="gopher://x")
    assert proxy.send(POST + b"\r\n", closes=False).endswith(b"ok")
    assert proxy.counted("bypassed") == 1
    second.close()


@pytest.mark.parametrize("broken", ["ask", "answer", "bypass", "record"])
def test_a_guard_that_breaks_costs_no_request(setup, guard, broken):
    proxy = setup()

    def fail(*_, **__):
        raise RuntimeError("the guard is broken")

    if broken == "record":
        proxy.proxy.desk._record = fail
    else:
        setattr(guard, broken, fail)
        if broken == "bypass":
            guard.ask = fail
    assert proxy.send(POST + b"Content-Length: 2\r\n\r\n{}", closes=False).endswith(b"ok")
    counted = "events-lost" if broken == "record" else "bypassed"
    assert until(lambda: proxy.counted(counted) == 1)
    if broken in {"ask", "answer"}:
        assert until(lambda: [(e.kind, e.lost) for e in proxy.events] == [("bypassed", 1)])


def test_a_caller_that_leaves_ends_the_request_upstream(setup, guard):
    import asyncio

    async def hang(request, writer, reader):
        await reader.read(1)
        raise asyncio.IncompleteReadError(b"", 1)

    proxy = setup(hang)
    with proxy.connect() as connection:
        connection.sendall(POST + b"Content-Length: 2\r\n\r\n{}")
        assert until(lambda: proxy.server.requests)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    assert until(lambda: guard.ends)
    assert guard.ends[0][1:] == (None, "the caller left")
    assert until(lambda: proxy.server.broken == 1)
    assert proxy.counted("caller-left") == 1


def test_a_slow_reader_slows_the_model_server_and_is_dropped(setup, guard):
    async def flood(request, writer, reader):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 200000000\r\n\r\n")
        for _ in range(200):
            writer.write(b"x" * 1_000_000)
            await writer.drain()

    proxy = setup(flood, client_timeout=0.5, max_body=1_000_000)
    with proxy.connect() as connection:
        connection.sendall(POST + b"\r\n")
        assert until(lambda: guard.ends)
        assert proxy.counted("refused", "slow-reader") == 1
        assert len(drain(connection)) < 100_000_000
    assert proxy.proxy.connections == 0
