"""Beside a real nginx: what it rejects never passes here, what both pass means the same."""

# ruff: noqa: E501

import contextlib
import random
import re
import socket

import pytest

from tests.guard.proxy.running import FakeGuard, Running, Server, Setup, drain, length, read_answer
from tests.guard.proxy.smuggling import BODIES, CHUNKS, CORPUS, POST
from tests.servers import nginx as servers

pytestmark = pytest.mark.skipif(servers.binary() is None, reason="nginx is not installed")

SEEDS = [
    POST + b"Content-Length: 2\r\n\r\n{}",
    POST + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKS,
    POST + b"Transfer-Encoding: chunked\r\n\r\n2;a=b\r\n{}\r\n0\r\nX: y\r\n\r\n",
    b"GET /v2?x=1 HTTP/1.1\r\nHost: h:80\r\nAccept: a\r\nX-User: ann\r\n\r\n",
    b"GET /v2 HTTP/1.0\r\n\r\n",
    b"\r\nGET /v2 HTTP/1.1\r\nHost: h\r\nX: \xe9\r\n\r\n",
    POST + b"Connection: close\r\nX-Empty:\r\nContent-Length: 0\r\n\r\n",
]
ODD = [
    b"\r\n", b"\n", b"\r", b"\0", b" ", b"\t", b":", b";", b",", b"0", b"+", b"-", b"\xff", b"\x0b", b"chunked",
    b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding:\tchunked\r\n", b"Host: i\r\n",
    b"X-User: bob\r\n", b" X: y\r\n", b"GET /x HTTP/1.1\r\n", b"HTTP/1.0", b"Connection: X-User\r\n", b"%2e%2e/", b"../",
]  # fmt: skip


LAST = b"GET /last HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
"""Sent behind everything: where one of the two ends a request, it must be found."""


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    running = Running()
    guard = FakeGuard()
    proxied, direct = Server(running), Server(running)
    setup = Setup(running, proxied, guard, client_timeout=0.4)
    with servers.nginx(tmp_path_factory.mktemp("nginx"), direct.port) as (port, _):
        yield setup, port, direct
    setup.close()
    for server in (proxied, direct):
        server.close()
    running.close()


def both(pair, raw):
    """Send the same bytes to both; return what each answered and passed on."""
    setup, port, direct = pair
    found = []
    for at, server in ((setup.port, setup.server), (port, direct)):
        server.requests.clear()

        with socket.create_connection(("127.0.0.1", at), 2) as connection:
            with contextlib.suppress(ConnectionError):
                connection.sendall(raw + LAST)
            answer = drain(connection)
        found.append((answer, list(server.requests)))
    return found


def meaning(request):
    """What a model server makes of a request: line, body, and the fields that count."""
    raw, body = request
    line, *fields = raw.split(b"\r\n")
    kept = [
        (name.strip().lower(), value.strip())
        for name, _, value in (field.partition(b":") for field in fields if field)
    ]
    added = {b"x-forwarded-for", b"x-forwarded-proto", b"content-length", b"connection", b"host"}
    return (
        re.sub(rb"HTTP/1\.[01]", b"", line),
        body,
        sorted(p for p in kept if p[0] not in added and re.fullmatch(rb"[a-z0-9-]+", p[0])),
    )


def judge(pair, raw):
    (ours, passed), (theirs, reference) = both(pair, raw)
    # What nginx passes on without its empty-value and repeated-field habits is compared by meaning.
    rejected = re.match(rb"HTTP/1\.1 (400|405|408|411|413|414|431|501|505)", theirs) or not theirs
    if rejected and not reference:
        assert not passed, (raw, theirs[:60], ours[:60], passed)
    if passed and reference:
        assert len(passed) <= len(reference), (raw, passed, reference)
        for mine, other in zip(passed, reference, strict=False):
            assert meaning(mine) == meaning(other), (raw, mine, other)
    for request in passed:
        head, body = request
        assert length(head) == len(body)
        assert b"\r\ntransfer-encoding:" not in head.lower()


@pytest.mark.parametrize("name", [n for n in CORPUS if n != "ten-thousand-fields"])
def test_the_corpus(pair, name):
    judge(pair, CORPUS[name][0])


@pytest.mark.parametrize("name", BODIES)
def test_the_bodies(pair, name):
    judge(pair, BODIES[name][0])


@pytest.mark.parametrize("raw", SEEDS)
def test_ordinary_requests_pass_both_alike(pair, raw):
    (ours, passed), (theirs, reference) = both(pair, raw)
    assert ours[:12] == theirs[:12] == b"HTTP/1.1 200"
    assert meaning(passed[0]) == meaning(reference[0])


def mutate(rng):
    raw = bytearray(rng.choice(SEEDS))
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(raw) + 1)
        kind = rng.random()
        if kind < 0.5:
            raw[at:at] = rng.choice(ODD)
        elif kind < 0.8:
            del raw[at : at + rng.randint(1, 4)]
        elif at < len(raw):
            raw[at] = rng.randrange(256)
    return bytes(raw)


def test_mutated_requests(pair):
    rng = random.Random(7)
    for _ in range(500):
        judge(pair, mutate(rng))


@pytest.mark.slow
def test_many_mutated_requests(pair):
    rng = random.Random(8)
    for _ in range(30_000):
        judge(pair, mutate(rng))


def test_a_kept_connection_is_read_alike(pair):
    setup, port, direct = pair
    for at, server in ((setup.port, setup.server), (port, direct)):
        server.requests.clear()
        with socket.create_connection(("127.0.0.1", at), 5) as connection:
            for _ in range(3):
                connection.sendall(SEEDS[0])
                assert read_answer(connection).endswith(b"ok")
        assert [request[1] for request in server.requests] == [b"{}"] * 3
