"""Hostile callers: each gets a clear status, is counted, and others are still served."""

import contextlib
import resource
import time

import pytest

from tests.guard.proxy.running import drain, read_answer, until
from tests.guard.proxy.smuggling import BODIES, CORPUS

POST = b"POST /v2/models/m/infer HTTP/1.1\r\nHost: h\r\n"


def test_the_whole_corpus_is_refused_counted_and_never_forwarded(setup, guard):
    proxy = setup()
    for name, (raw, status, counted) in {**CORPUS, **BODIES}.items():
        before = proxy.counted("refused", counted)
        answer = proxy.send(raw)
        # Beyond 32 KiB it is the size that is refused, before anything is read.
        large = name == "ten-thousand-fields"
        assert answer.startswith(b"HTTP/1.1 %d " % status), (name, answer)
        assert answer.count(b"Connection: close\r\n") == 1, name
        assert b"Connection: close" in answer
        assert proxy.counted("refused", "header-size" if large else counted) == before + 1, name
    assert proxy.server.requests == []
    assert guard.calls == []
    assert proxy.still_serves()


def test_what_follows_a_refused_request_is_never_read(setup, guard):
    proxy = setup()
    answer = proxy.send(POST + b"Content-Length: x\r\n\r\n" + POST + b"Content-Length: 0\r\n\r\n")
    assert answer.count(b"HTTP/1.1") == 1
    assert proxy.server.requests == []


@pytest.mark.parametrize(
    "raw",
    [b"", b"POST / HT", POST + b"X-A: b\r\n", POST + b"Content-Length: 10\r\n\r\n123"],
    ids=["nothing", "request-line", "header", "body"],
)
def test_slow_loris(setup, guard, raw):
    proxy = setup(client_timeout=0.4)
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(proxy.connect()) for _ in range(50)]
        start = time.monotonic()
        for connection in slow:
            connection.sendall(raw)
        end = start + 0.7
        while time.monotonic() < end:  # a byte now and then does not win time
            for connection in slow:
                with contextlib.suppress(ConnectionError):
                    connection.sendall(b"1" if raw else b"")
            time.sleep(0.1)
            assert proxy.still_serves()
        answers = [drain(connection) for connection in slow]
    assert all(answer.startswith(b"HTTP/1.1 408 ") if raw else not answer for answer in answers)
    assert proxy.counted("refused", "slow-request") == (50 if raw else 0)
    assert until(lambda: proxy.proxy.connections == 0)


@pytest.mark.parametrize("chunked", [False, True])
def test_a_gigabyte_is_refused_without_being_kept(setup, guard, chunked):
    proxy = setup(max_body=4 << 20)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    sent = 0
    block = b"x" * (1 << 20)
    with proxy.connect() as connection:
        connection.sendall(
            POST
            + (b"Transfer-Encoding: chunked" if chunked else b"Content-Length: 1073741824")
            + b"\r\n\r\n"
        )
        with contextlib.suppress(ConnectionError):
            while sent < 1 << 30:
                connection.sendall(b"100000\r\n" + block + b"\r\n" if chunked else block)
                sent += len(block)
        assert b"413 " in drain(connection)[:20]
    assert sent < 1 << 30
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024
    assert proxy.counted("refused", "body-size") == 1
    assert proxy.still_serves()
    assert proxy.proxy._held == 0


def test_bodies_under_way_share_one_allowance(setup, guard):
    proxy = setup(max_body=1 << 20)
    with contextlib.ExitStack() as stack:
        half = [stack.enter_context(proxy.connect()) for _ in range(17)]
        for connection in half:
            connection.sendall(POST + b"Content-Length: 1048576\r\n\r\n" + b"x" * 1_048_000)
        assert until(lambda: proxy.counted("refused", "memory") == 1)
    assert until(lambda: proxy.proxy._held == 0)
    assert proxy.still_serves()


def test_an_endless_header_is_refused(setup, guard):
    proxy = setup()
    answer = proxy.send(POST + b"X: " + b"a" * 100_000)
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert proxy.counted("refused", "header-size") == 1


def test_a_flood_of_requests_ahead_does_not_fill_memory(setup, guard):
    import asyncio

    gate = asyncio.Event()

    async def wait(request, writer, reader):
        await gate.wait()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    proxy = setup(wait)
    one = POST + b"Content-Length: 2\r\n\r\n{}"
    with proxy.connect(timeout=0.5) as connection:
        with contextlib.suppress(TimeoutError):
            for _ in range(300):
                connection.sendall(one * 1000)
        (caller,) = proxy.proxy._callers
        assert len(caller._buffer) < 1 << 20
        proxy.running.loop.call_soon_threadsafe(gate.set)
        assert read_answer(connection).startswith(b"HTTP/1.1 200 OK")
    assert until(lambda: proxy.proxy.connections == 0)


def test_too_many_connections(setup, guard, monkeypatch):
    monkeypatch.setattr("casemate.guard.proxy.listening.MAX_CALLERS", 3)
    proxy = setup()
    with contextlib.ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(proxy.connect())
        assert until(lambda: proxy.proxy.connections == 3)
        assert proxy.send(b"").startswith(b"HTTP/1.1 503 ")
    assert proxy.counted("refused", "connections") == 1
    assert until(lambda: proxy.proxy.connections == 0)
    assert proxy.still_serves()


def test_a_caller_that_closes_its_side_still_gets_its_answer(setup, guard):
    import asyncio
    import socket

    async def slow(request, writer, reader):
        await asyncio.sleep(0.1)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    proxy = setup(slow)
    with proxy.connect() as connection:
        connection.sendall(POST + b"Content-Length: 2\r\n\r\n{}")
        connection.shutdown(socket.SHUT_WR)
        assert drain(connection).endswith(b"ok")


def test_a_caller_that_leaves_in_the_middle_of_its_body(setup, guard):
    proxy = setup()
    with proxy.connect() as connection:
        connection.sendall(POST + b"Content-Length: 200\r\n\r\n{}")
    assert until(lambda: proxy.counted("caller-left") == 1)
    assert proxy.server.requests == guard.calls == []
    assert proxy.proxy._held == 0


def test_an_idle_connection_is_closed_without_a_word(setup, guard, monkeypatch):
    monkeypatch.setattr("casemate.guard.proxy.caller.IDLE", 0.2)
    proxy = setup(client_timeout=1)
    with proxy.connect() as connection:
        connection.sendall(POST + b"Content-Length: 2\r\n\r\n{}")
        assert read_answer(connection).endswith(b"ok")
        assert drain(connection) == b""
    assert proxy.counted("refused") == 0
