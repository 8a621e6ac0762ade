"""The whole night: a page, a case, containment, the attack again, handover, closing, a bundle."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from tests.journeys import service
from tests.journeys.test_guard import attack, users

CONFIG = """\
version = 1
[guard]
principal = {{ header = "x-user" }}
admin = "127.0.0.1:{admin}"
[[notify.channel]]
kind = "webhook"
to = "http://127.0.0.1:{webhook}/page"
at_least = "moderate"
"""
PERSONAL = re.compile(r"mallory|user-\d+", re.ASCII)


class Responder:
    """Somebody at a terminal, who counts."""

    def __init__(self, folder):
        self.folder = folder
        self.commands = 0

    def type(self, line: str, *expected: int) -> str:
        """Type a command as `--help` and the last screen gave it; return what it said."""
        self.commands += 1
        words = [sys.executable, "-m", "casemate", *shlex.split(line)[1:]]
        done = subprocess.run(
            words, cwd=self.folder, capture_output=True, text=True, timeout=120,
            env={**os.environ, "CASEMATE_USER": "ada", "CASEMATE_GUARD_KEY": service.KEY,
                 "CASEMATE_KEYS": str(self.folder / "keys")},
        )  # fmt: skip
        assert done.returncode in (expected or (0,)), f"{line}\n{done.stdout}{done.stderr}"
        return done.stdout


@pytest.fixture(scope="module")
def model():
    return service.digits()


def test_from_the_page_to_the_bundle_in_twelve_commands(tmp_path, model, monkeypatch):
    monkeypatch.setenv("CASEMATE_KEYS", str(tmp_path / "keys"))
    with service.webhook() as (pager, pages), service.upstream(model) as upstream:
        text = CONFIG.format(admin=service.free_port(), webhook=pager)
        (tmp_path / "casemate.toml").write_text(text)
        words = ("--upstream", f"http://127.0.0.1:{upstream}", "--enforce")
        with service.guard(tmp_path, *words) as guard:
            assert asyncio.run(users(guard.port, model, 200, 1)) == (0, 0)
            attacker = threading.Thread(target=attack, args=(guard.port, model, "mallory"))
            attacker.start()
            end = time.monotonic() + 60
            while not pages and time.monotonic() < end:
                time.sleep(0.1)
            assert pages, "nobody was woken"
            attacker.join(120)

            ada = Responder(tmp_path)
            told = ada.type("casemate case open --from latest", 1)
            assert "Adversarial perturbation" in told
            assert "who: mallory" in told
            # Each next command is one that the last screen or --help shows.
            (contain,) = re.findall(r"\d\. (casemate case contain \S+ .*--dry-run)", told)
            assert "dry run" in ada.type(contain)
            told = ada.type(contain.replace(" --dry-run", ""))
            assert "obeyed by 1 guard" in told
            assert asked(guard.port, model, "mallory", 20)[-1] == 429
            assert set(asked(guard.port, model, "user-7", 20)) == {200}
            case = re.search(r"case-\d+-\d+", contain)[0]
            ada.type(f"casemate case radius {case}", 0, 3)
            told = ada.type(f"casemate case playbook {case} --all", 0, 3)
            assert " done     freeze" in told
            ada.type(f"casemate vuln add --from {case}")
            ada.type(f"casemate case handover {case}")
            ada.type(f'casemate case undo {case} --why "the account is shut"')
            assert set(asked(guard.port, model, "mallory", 10)) == {200}
            ada.type(f'casemate case close {case} --why "the account is shut"')
            told = ada.type(f"casemate case bundle {case} -o night --redact principal")
            assert ada.commands <= 12
    key = re.search(r"ed25519:\S+", told)[0]
    verifier = tmp_path / "night" / "verify_bundle.py"
    plain = [sys.executable, "-I", "-S", str(verifier), str(tmp_path / "night"), "--key", key]
    done = subprocess.run(plain, capture_output=True, text=True, timeout=120)
    assert done.returncode in (0, 3), done.stdout + done.stderr
    assert "changed" not in done.stdout
    held = b"".join(path.read_bytes() for path in (tmp_path / "night").rglob("*") if path.is_file())
    assert not PERSONAL.findall(held.decode("latin-1")), "a redacted bundle names nobody"
    some = next(path for path in sorted((tmp_path / "night" / "data").rglob("*.json")))
    body = bytearray(some.read_bytes())
    body[len(body) // 2] ^= 1
    some.write_bytes(bytes(body))
    done = subprocess.run(plain, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert some.name in done.stdout


def asked(port: int, model: service.Digits, who: str, n: int) -> list[int]:
    """Ask n natural inputs as somebody; return the status of each answer."""
    import httpx

    rng = np.random.default_rng(0)
    url = f"http://127.0.0.1:{port}/v2/models/digits/infer"
    headers = {"content-type": "application/json", "x-user": who}
    with httpx.Client(timeout=20) as client:
        return [
            client.post(
                url, content=service.body(model.x[rng.integers(len(model.x))]), headers=headers
            ).status_code
            for _ in range(n)
        ]
