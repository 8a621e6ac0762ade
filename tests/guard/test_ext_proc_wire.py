"""The wire under the external processor: a real gRPC client understands it, hostile bytes end it."""

# ruff: noqa: E501

import asyncio
import contextlib
import random
import socket
import struct

import grpc
import pytest

from casemate.guard.ext_proc_wire import DATA, HEADERS, PREFACE, SETTINGS, Connection, frame
from tests.guard.proxy.running import Running, until


class Echo:
    """Answers each message with itself; `slow` after a moment, `bad` by breaking."""

    ended = 0

    def take(self, message):
        if message == b"bad":
            raise ValueError
        return message, 0.05 if message == b"slow" else 0.0

    def end(self):
        Echo.ended += 1


@pytest.fixture(scope="module")
def port():
    running = Running()
    known = set()

    async def start():
        loop = asyncio.get_running_loop()
        return await loop.create_server(lambda: Connection(Echo, 8 << 20, known), "127.0.0.1", 0)

    server = running.do(start())
    yield server.sockets[0].getsockname()[1]
    running.loop.call_soon_threadsafe(server.close)
    assert running.errors == []
    running.close()


@contextlib.contextmanager
def client(port):
    options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    with grpc.insecure_channel(f"127.0.0.1:{port}", options) as channel:
        yield channel.stream_stream("/any/Method", lambda data: data, lambda data: data)


@pytest.mark.parametrize("size", [0, 1, 20_000, 3_000_000])
def test_messages_of_any_size_come_back(port, size):
    body = random.Random(size).randbytes(size)
    with client(port) as talk:
        assert list(talk(iter([body, b"next", body]), timeout=20)) == [body, b"next", body]


def test_many_streams_at_once_and_many_messages(port):
    with client(port) as talk:
        under_way = [
            talk(iter([b"slow" if n % 7 == 0 else b"%d" % n] * 3), timeout=20) for n in range(200)
        ]
        for n, answers in enumerate(under_way):
            assert list(answers) == [b"slow" if n % 7 == 0 else b"%d" % n] * 3


def test_a_hundred_megabytes_pass_through_the_windows(port):
    block = bytes(1 << 20)
    with client(port) as talk:
        assert sum(map(len, talk((block for _ in range(100)), timeout=60))) == 100 << 20


def test_a_broken_message_ends_its_own_stream_only(port):
    with client(port) as talk:
        with pytest.raises(grpc.RpcError):
            list(talk(iter([b"bad"]), timeout=10))
        assert list(talk(iter([b"good"]), timeout=10)) == [b"good"]


def test_a_message_over_the_limit_is_not_gathered(port):
    with client(port) as talk:
        with pytest.raises(grpc.RpcError):
            list(talk(iter([bytes(9 << 20)]), timeout=20))
        assert list(talk(iter([b"good"]), timeout=10)) == [b"good"]


def test_a_caller_that_hangs_up_ends_its_streams(port):
    before = Echo.ended
    with socket.create_connection(("127.0.0.1", port), 5) as raw:
        raw.sendall(PREFACE + frame(SETTINGS, 0, 0) + frame(HEADERS, 4, 1, b"\x82"))
        raw.recv(1000)
    assert until(lambda: Echo.ended == before + 1)


HOSTILE = {
    "http-1": b"GET / HTTP/1.1\r\nHost: h\r\n\r\n",
    "not-the-preface": b"P" * 24,
    "huge-frame": PREFACE + struct.pack(">BHBBI", 255, 65_535, DATA, 0, 1),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_beginnings_are_cut(port, name):
    with socket.create_connection(("127.0.0.1", port), 5) as raw, contextlib.suppress(OSError):
        raw.sendall(HOSTILE[name])
        while raw.recv(1000):
            pass


def test_random_frames_never_break_the_server(port):
    rng = random.Random(3)
    for _ in range(300):
        with socket.create_connection(("127.0.0.1", port), 5) as raw:
            frames = [
                frame(
                    rng.randrange(12),
                    rng.randrange(256),
                    rng.randrange(6),
                    rng.randbytes(rng.randrange(40)),
                )
                for _ in range(rng.randrange(1, 12))
            ]
            with contextlib.suppress(OSError):
                raw.sendall(PREFACE + b"".join(frames))
    with client(port) as talk:
        assert list(talk(iter([b"good"]), timeout=10)) == [b"good"]
