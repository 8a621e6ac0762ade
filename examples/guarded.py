"""The second part of the demo: the assessed model in service, guarded, attacked and watched.

    python examples/guarded.py demo/digits

MLServer serves the digit reader on loopback. Two guards stand before it, one that only observes
and one that enforces the rules of casemate.toml; `casemate redteam` attacks through both beside
simulated users, and its report says for each attack whether it was logged, by what it was detected
and at which query, and what the mitigations bought. Then the night of night.py goes on from there.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import night

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).resolve().parent
MLSERVER = HERE.parent / ".venvs" / "mlserver" / "bin" / "mlserver"
ATTACKS = ("evasion-hopskipjump", "evasion-square", "evasion-nes")
SCOPE = """\
version = 1
name = "digit reader on loopback"
approver = "you, by running the demo"
hosts = [{hosts}]
not_before = {begin:%Y-%m-%dT%H:%M:%SZ}
not_after = {end:%Y-%m-%dT%H:%M:%SZ}
rate = 200
spend = 1000000
"""


def main(folder: Path, budget: int = 4800) -> int:
    """Serve, guard, attack, respond; 0 or 1 where all went well, 3 where nothing is served."""
    if not MLSERVER.is_file():
        print("MLServer is not installed here (it needs Python 3.11 or 3.12): not served")
        return 3
    environment = {**os.environ, "CASEMATE_KEYS": str(folder.resolve().parent / "keys")}
    ports = [_free() for _ in range(6)]
    upstream, observe, enforce = ports[0], ports[3], ports[4]
    with _served(folder, ports[:3]), _scope(folder, ports[3:], environment):
        guard = ("guard", "--upstream", f"http://127.0.0.1:{upstream}", "--admin", "none")
        with (
            _guard(folder, environment, observe, *guard),
            # With a workspace of its own: it has not seen each attack once already.
            _guard(folder, environment, enforce, *guard, "--enforce", "--store", "enforcing"),
        ):
            words = [
                "redteam", "--scope", "scope.toml", "--budget", str(budget), "--inputs", "8",
                "--target", f"http+oip://127.0.0.1:{observe}/v2/models/digits",
                "--after", f"http+oip://127.0.0.1:{enforce}/v2/models/digits",
                "--after-telemetry", "enforcing/telemetry",
                "--format", "html", "--output", "redteam.html",
            ]  # fmt: skip
            for attack in ATTACKS:
                words += ["--attack", attack]
            code = casemate(folder, environment, *words)
            # The same model once more, behind a guard that acts only when a person tells it to.
            night.prepare(folder)
            with _guard(folder, environment, ports[5], *guard, "--enforce", *night.PLACE):
                closed = night.main(folder, environment, observe, ports[5])
    return code if code not in (0, 1) else closed


@contextmanager
def _served(folder: Path, ports: list[int]) -> Iterator[None]:
    """Run MLServer over the model in `folder`."""
    home = folder / "served"
    home.mkdir(exist_ok=True)
    for name in ("model.py", "weights.pt"):
        shutil.copy(folder / name, home)
    shutil.copy(HERE / "digits_runtime.py", home)
    settings = {
        "host": "127.0.0.1", "http_port": ports[0], "grpc_port": ports[1],
        "metrics_port": ports[2], "parallel_workers": 0,
        "environments_dir": str(home / "environments"),
    }  # fmt: skip
    model = {
        "name": "digits",
        "implementation": "digits_runtime.Digits",
        "inputs": [{"name": "pixels", "datatype": "FP32", "shape": [-1, 1, 28, 28]}],
        "outputs": [{"name": "probabilities", "datatype": "FP32", "shape": [-1, 10]}],
    }
    (home / "settings.json").write_text(json.dumps(settings))
    (home / "model-settings.json").write_text(json.dumps(model))
    with (home / "log").open("wb") as log:
        command = [str(MLSERVER), "start", "."]
        server = subprocess.Popen(command, cwd=home, stdout=log, stderr=log)
    try:
        _wait(f"http://127.0.0.1:{ports[0]}/v2/models/digits/ready", server)
        print(f"MLServer serves the model on port {ports[0]}", flush=True)
        yield
    finally:
        server.terminate()
        server.wait(20)


@contextmanager
def _guard(folder: Path, environment: dict[str, str], port: int, *words: str) -> Iterator[None]:
    """Run one guard on a port."""
    words = (*words, "--listen", f"127.0.0.1:{port}")
    print(f"$ casemate {' '.join(words)}", flush=True)
    with (folder / "served" / f"guard-{port}.log").open("wb") as log:
        command = [sys.executable, "-m", "casemate", *words]
        guard = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
    try:
        _wait(f"http://127.0.0.1:{port}/v2/models/digits/ready", guard)
        yield
    finally:
        guard.terminate()
        guard.wait(20)


@contextmanager
def _scope(folder: Path, ports: list[int], environment: dict[str, str]) -> Iterator[None]:
    """Write a scope for these ports, sign it, and have casemate.toml trust the key."""
    now = datetime.now(UTC)
    hosts = ", ".join(f'"127.0.0.1:{port}"' for port in ports)
    text = SCOPE.format(hosts=hosts, begin=now - timedelta(minutes=1), end=now + timedelta(1))
    (folder / "scope.toml").write_text(text)
    command = [sys.executable, "-m", "casemate", "redteam", "--sign", "scope.toml"]
    said = subprocess.run(
        command, cwd=folder, env=environment, check=True, capture_output=True, text=True
    ).stdout
    line = next(line.strip() for line in said.splitlines() if "approvers" in line)
    config = folder / "casemate.toml"
    kept = config.read_text()
    before = kept.partition("\n[redteam]\n")[0].rstrip()
    config.write_text(f"{before}\n\n[redteam]\n{line}\n")
    yield


def casemate(folder: Path, environment: dict[str, str], *words: str) -> int:
    """Run the command line in a folder and return its exit code."""
    print(f"$ casemate {' '.join(words)}", flush=True)
    begun = time.monotonic()
    command = [sys.executable, "-m", "casemate", *words]
    code = subprocess.run(command, cwd=folder, env=environment, check=False).returncode
    print(f"  exit code {code}, {time.monotonic() - begun:.0f} s", flush=True)
    return code


def _wait(url: str, process: subprocess.Popen[bytes], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except (OSError, urllib.error.URLError):
            time.sleep(0.2)
    raise SystemExit(f"nothing answers at {url}; its log lies in served/")


def _free() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo/digits")))
