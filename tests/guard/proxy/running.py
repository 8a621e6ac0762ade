"""A proxy, its guard and its model server for tests, on a loop in a thread of their own."""

import asyncio
import contextlib
import socket
import threading
import time
from typing import NamedTuple

import uvloop

from casemate.guard.call import Action
from casemate.guard.policy import GuardTable
from casemate.guard.proxy.listening import Proxy
from casemate.records.event import Event


class Answered(NamedTuple):
    reply: object
    events: list
    payloads: tuple = ()


class FakeAsk:
    def __init__(self, call, action):
        self.call = call
        self.action = action
        self.heard = []
        self.ended = False
        self.recorded = True
        self.changes = False

    def stream(self):
        return self

    def feed(self, chunk):
        self.heard.append(chunk)

    def end(self):
        self.ended = True


class FakeGuard:
    """Keeps what it is shown; acts and fails as a test says."""

    def __init__(self):
        self.calls = []
        self.ends = []
        self.asks = []
        self.act = lambda call: Action("forward")
        self.change = lambda reply: reply
        self.changes = False
        self.sequence = 0

    def event(self, **facts):
        self.sequence += 1
        return Event(writer="w-" + "0" * 16, sequence=self.sequence - 1, **facts)

    def ask(self, call, *, oversized=False):
        self.calls.append(call)
        self.asks.append(FakeAsk(call, self.act(call)))
        self.asks[-1].changes = self.changes
        return self.asks[-1]

    def answer(self, ask, reply, now, *, why="", status=502):
        reply = reply or ask.action.reply
        self.ends.append((ask.call, reply, why))
        kind = "failed" if reply is None else "inference"
        event = self.event(at=now, kind=kind, status=reply.status if reply else 0, note=why or None)
        return Answered(self.change(reply) if reply else None, [event])

    def bypass(self, n, now, why):
        return [self.event(at=now, kind="bypassed", lost=n, note=why)]

    def due(self, now):
        return []

    def rest(self):
        return []


class Running:
    """A loop in a thread; whatever is started on it ends with it."""

    def __init__(self, loop=None):
        self.loop = loop or uvloop.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.errors = []
        self.loop.set_exception_handler(lambda _, context: self.errors.append(context))

    def do(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(30)

    def close(self):
        async def end():
            tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.sleep(0.05)  # transports close in the loop's next rounds

        self.do(end())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
        self.loop.close()


class Server:
    """A model server that does what `behave(request, writer, reader)` says, or answers `ok`."""

    def __init__(self, running, behave=None, ssl=None):
        self.requests = []
        self.behave = behave
        self.running = running
        self.connections = 0
        self.broken = 0
        self.server = running.do(asyncio.start_server(self.serve, "127.0.0.1", 0, ssl=ssl))
        self.port = self.server.sockets[0].getsockname()[1]

    async def serve(self, reader, writer):
        self.connections += 1
        try:
            while True:
                raw = await reader.readuntil(b"\r\n\r\n")
                body = await whole(raw, reader)
                self.requests.append((raw, body))
                if self.behave is not None:
                    if await self.behave((raw, body), writer, reader) == "close":
                        return
                else:
                    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Model: m\r\n\r\nok"
                    writer.write(answer[:-2] if raw.startswith(b"HEAD") else answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            self.broken += 1
        finally:
            writer.close()

    def close(self):
        self.running.loop.call_soon_threadsafe(self.server.close)


async def whole(raw, reader):
    if b"transfer-encoding: chunked" not in raw.lower():
        return await reader.readexactly(length(raw))
    body = b""
    while size := int(await reader.readuntil(b"\r\n"), 16):
        body += (await reader.readexactly(size + 2))[:-2]
    await reader.readexactly(2)
    return body


def length(raw):
    for line in raw.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


class Setup:
    """A proxy before a server, with all that it recorded."""

    def __init__(self, running, server, guard, **settings):
        self.running, self.server, self.guard = running, server, guard
        self.events = []
        settings.setdefault("upstream", f"http://127.0.0.1:{server.port}" if server else None)
        table = GuardTable(listen="127.0.0.1:0", **settings)
        self.proxy = Proxy(table, guard, self.events.extend)
        self.port = running.do(self.proxy.start())[0][1]

    def connect(self, timeout=10):
        connection = socket.create_connection(("127.0.0.1", self.port), timeout)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def send(self, raw, *, closes=True):
        """Send bytes; return all that comes back until the proxy closes."""
        with self.connect() as connection:
            with contextlib.suppress(ConnectionError):
                connection.sendall(raw)
            return drain(connection) if closes else read_answer(connection)

    def counted(self, name, label=None):
        return sum(n for (a, b), n in self.proxy.counts.items() if a == name and label in {None, b})

    def still_serves(self):
        answer = self.send(
            b"POST /v2/models/m/infer HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n"
            b"Connection: close\r\n\r\n{}"
        )
        return answer.startswith(b"HTTP/1.1 200 ")

    def close(self):
        self.running.do(self.proxy.stop(grace=0.2))


def drain(connection):
    parts = []
    with contextlib.suppress(ConnectionError, TimeoutError):
        while data := connection.recv(65536):
            parts.append(data)
    return b"".join(parts)


def read_answer(connection):
    """Read one answer with a Content-Length, or without a body."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(65536)
        assert more, data
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    want = length(head)
    while len(body) < want:
        more = connection.recv(65536)
        assert more, (head, len(body), want)
        body += more
    return head + b"\r\n\r\n" + body


def until(condition, seconds=5.0):
    """Wait for something that happens on the other thread."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.01)
    return False
