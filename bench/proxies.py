"""CPU per proxied request, side by side: ours alone and guarded, nginx, Envoy alone and with the
guard as its external processor, uvicorn with an aiohttp client.

    python bench/proxies.py [--seconds 3] [--only casemate,nginx]

One upstream (uvloop, a constant answer), one wrk thread, one worker of each proxy; CPU seconds of
the proxy's processes are read from the kernel before and after, so a busy machine moves the
figures by cache misses only, and wall time does not enter. wrk sends one payload again and again:
for the judges that is the worst case, as every fingerprint is found. The guarded rows send JSON
tensors (OIP) through codec, inline judge and journal.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

ANSWER = json.dumps(
    {
        "model_name": "m",
        "outputs": [{"name": "scores", "shape": [1, 10], "datatype": "FP32", "data": [0.1] * 10}],
    }
).encode()
PATH = "/v2/models/m/infer"


# --- what runs in processes of its own -------------------------------------------------------


def upstream(port: int) -> None:
    import uvloop

    class Constant(asyncio.Protocol):
        def connection_made(self, transport):
            self.transport, self.buffer, self.need = transport, b"", -1

        def data_received(self, data):
            if self.need < 0:
                self.buffer += data
                end = self.buffer.find(b"\r\n\r\n")
                if end < 0:
                    return
                found = re.search(rb"(?i)content-length: *(\d+)", self.buffer)
                if found is None and b"chunked" in self.buffer.lower():
                    self.chunked = True
                    self.need = 0 if self.buffer.endswith(b"0\r\n\r\n") else 1
                    if self.need:
                        return
                else:
                    self.chunked = False
                    self.need = (int(found[1]) if found else 0) - (len(self.buffer) - end - 4)
            elif self.chunked:
                self.need = 0 if data.endswith(b"0\r\n\r\n") else 1
            else:
                self.need -= len(data)
            if self.need <= 0:
                self.transport.write(
                    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                    b"Content-Length: %d\r\n\r\n%b" % (len(ANSWER), ANSWER)
                )
                self.buffer, self.need = b"", -1

    async def serve():
        server = await asyncio.get_running_loop().create_server(Constant, "127.0.0.1", port)
        await server.serve_forever()

    uvloop.run(serve())


class Unseeing:
    """A guard that looks at nothing: what is left is the proxy itself."""

    class Ask:
        from casemate.guard.call import Action

        action = Action("forward")
        changes = recorded = False

        def stream(self):
            return None

    def __init__(self):
        from casemate.guard.ask import Answered

        self.one, self.answered = self.Ask(), Answered

    def ask(self, *_, **__):
        return self.one

    def answer(self, _, reply, *__, **___):
        return self.answered(reply, ())

    due = rest = bypass = lambda *_: []


def a_guard(kind: str, settings, folder: Path):
    """Return a guard and where its events go."""
    if kind == "pass":
        return Unseeing(), lambda _: None
    from casemate.detect.inline.judge import InlineJudge
    from casemate.guard.guard import Guard
    from casemate.guard.keys import Keys
    from casemate.store.telemetry.opening import new_writer, open_sink

    keys = Keys(os.urandom(32))
    judge = InlineJudge(keys.derive("fingerprints"))
    judge.warm()
    sink = open_sink(str(folder / f"events-{os.getpid()}"), new_writer())
    return Guard(settings, keys=keys, judge=judge, writer=sink.writer), sink.append


def casemate(port: int, behind: int, kind: str, folder: str) -> None:
    import uvloop

    from casemate.guard.policy import GuardTable
    from casemate.guard.proxy.listening import Proxy

    async def serve():
        settings = GuardTable(listen=f"127.0.0.1:{port}", upstream=f"http://127.0.0.1:{behind}")
        proxy = Proxy(settings, *a_guard(kind, settings, Path(folder)))
        await proxy.start()
        await asyncio.Event().wait()

    uvloop.run(serve())


def processor(path: str, kind: str, folder: str) -> None:
    import uvloop

    from casemate.guard.desk import Desk
    from casemate.guard.ext_proc import Processor
    from casemate.guard.policy import GuardTable

    async def serve():
        settings = GuardTable(listen=f"unix:{path}")
        guard, record = a_guard(kind, settings, Path(folder))
        await Processor(settings, Desk(guard, record)).start()
        await asyncio.Event().wait()

    uvloop.run(serve())


def uvicorn_aiohttp(port: int, behind: int) -> None:
    import aiohttp
    import uvicorn

    state = {}

    async def app(scope, receive, send):
        if scope["type"] != "http":
            return
        if "session" not in state:
            state["session"] = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        parts, more = [], True
        while more:
            message = await receive()
            parts.append(message.get("body", b""))
            more = message.get("more_body", False)
        url = f"http://127.0.0.1:{behind}{scope['path']}"
        headers = [(k.decode(), v.decode()) for k, v in scope["headers"] if k != b"host"]
        async with state["session"].post(url, data=b"".join(parts), headers=headers) as answer:
            body = await answer.read()
            kept = [(k.lower(), v) for k, v in answer.raw_headers]
            await send({"type": "http.response.start", "status": answer.status, "headers": kept})
            await send({"type": "http.response.body", "body": body})

    uvicorn.run(app, port=port, loop="uvloop", log_level="error", access_log=False)


# --- the measuring ---------------------------------------------------------------------------


def cpu(pid: int) -> float:
    """CPU seconds of a process and its children."""
    total = 0.0
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, IndexError, ValueError):
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            if int(entry.name) == pid or int(fields[1]) == pid:
                total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total


@contextlib.contextmanager
def child(*arguments: object):
    process = subprocess.Popen(
        [sys.executable, __file__, "--run", *map(str, arguments)],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(20)


@contextlib.contextmanager
def contender(name: str, behind: int, folder: Path):
    """Yield the port and the processes of one of the proxies."""
    from tests.servers.envoy import envoy, free_port, wait_for
    from tests.servers.nginx import nginx

    port = free_port()
    if name == "nginx":
        with nginx(tempfile.mkdtemp(dir=folder), behind) as (at, process):
            yield at, [process.pid]
    elif name == "envoy":
        with envoy(folder, behind) as (at, process):
            yield at, [process.pid]
    elif name.startswith("envoy + processor"):
        kind = "pass" if "pass" in name else "guard"
        path = f"{folder}/{port}.sock"
        with child("processor", path, kind, folder) as guard:
            while not Path(path).exists() and guard.poll() is None:
                time.sleep(0.1)
            with envoy(folder, behind, path) as (at, process):
                yield at, [process.pid, guard.pid]
    else:
        arguments = (
            ("uvicorn_aiohttp", port, behind)
            if name == "uvicorn + aiohttp"
            else ("casemate", port, behind, name.rsplit(maxsplit=1)[-1], folder)
        )
        with child(*arguments) as process:
            wait_for(port, 90)
            yield port, [process.pid]


def load(port: int, body: Path, seconds: float, connections: int) -> int:
    """Let wrk run; return the requests that were answered with 2xx."""
    script = body.with_suffix(".lua")
    script.write_text(
        f'local f = io.open("{body}", "rb")\nwrk.method = "POST"\nwrk.body = f:read("*a")\n'
        'wrk.headers["Content-Type"] = "application/json"\nwrk.headers["X-User"] = "ann"\n'
    )
    out = subprocess.run(
        [
            "wrk", "-t1", f"-c{connections}", f"-d{seconds:g}s", "--timeout", "10s",
            "-s", str(script), f"http://127.0.0.1:{port}{PATH}",
        ],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    failed = re.search(r"Non-2xx or 3xx responses: (\d+)", out)
    if failed:
        print(f"  {failed[0]}")
    found = re.search(r"(\d+) requests in", out)
    return int(found[1]) - (int(failed[1]) if failed else 0)


CONTENDERS = [
    "nginx", "casemate pass", "casemate guard", "envoy", "envoy + processor pass",
    "envoy + processor guard", "uvicorn + aiohttp",
]  # fmt: skip


def payload(side: int, channels: int) -> bytes:
    import numpy as np

    pixels = np.random.default_rng(0).random((1, channels * side * side)).round(6)
    return json.dumps(
        {
            "inputs": [
                {
                    "name": "x",
                    "shape": list(pixels.shape),
                    "datatype": "FP32",
                    "data": pixels[0].tolist(),
                }
            ]
        }
    ).encode()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--only", default=",".join(CONTENDERS))
    parser.add_argument("--sizes", default="28x1,224x3")
    parser.add_argument("--run", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    if options.run:
        name, *rest = options.run
        globals()[name](*(int(each) if each.isdigit() else each for each in rest))
        return
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is not installed")
    from tests.servers.envoy import free_port, wait_for

    with tempfile.TemporaryDirectory() as place:
        folder, behind = Path(place), free_port()
        with child("upstream", behind):
            wait_for(behind)
            for size in options.sizes.split(","):
                side, channels = map(int, size.split("x"))
                body = folder / f"body-{size}.json"
                body.write_bytes(payload(side, channels))
                connections = 32 if side < 100 else 8
                print(f"\n{body.stat().st_size / 1000:.1f} kB JSON, {connections} connections")
                print(f"{'':26}{'CPU us/request':>15}{'requests':>10}{'x nginx':>9}{'x envoy':>9}")
                table: dict[str, float] = {}
                for name in options.only.split(","):
                    with contender(name, behind, folder) as (port, pids):
                        load(port, body, 1, connections)
                        before = [cpu(pid) for pid in pids]
                        done = load(port, body, options.seconds, connections)
                        time.sleep(0.1)
                        parts = [
                            (cpu(pid) - was) / max(done, 1) * 1e6
                            for pid, was in zip(pids, before, strict=True)
                        ]
                        table[name] = used = sum(parts)
                    row = f"{name:26}{used:15.0f}{done:10d}"
                    for peer in ("nginx", "envoy"):
                        row += f"{used / table[peer]:9.1f}" if peer in table else f"{'':9}"
                    if len(parts) > 1:
                        row += f"   ({parts[0]:.0f} of it Envoy's own)"
                    print(row, flush=True)


if __name__ == "__main__":
    main()
