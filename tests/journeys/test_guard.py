"""A night at the guard: a thousand users and no page, an attack and one page, then a kill -9."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from contextlib import suppress

import aiohttp
import numpy as np
import pytest

from casemate.attack.run import run
from casemate.errors import TargetError
from casemate.records.detection import Detection
from casemate.records.target import Target
from casemate.store.telemetry.opening import open_query
from casemate.store.telemetry.sink import Filter
from casemate.store.workspace import Workspace
from casemate.targets.data import Data
from casemate.targets.open import open_target
from casemate.targets.settings import Settings
from tests.journeys import service

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


@pytest.fixture(scope="module")
def model():
    return service.digits()


async def users(port: int, model: service.Digits, requests: int, seed: int) -> tuple[int, int]:
    """Send natural digits from a thousand users behind one account, every twentieth again.

    Returns how many answers were not, byte for byte, what the model says; and how many failed.
    """
    rng = np.random.default_rng(seed)
    url = f"http://127.0.0.1:{port}/v2/models/digits/infer"
    wrong = failed = 0
    left = iter(range(requests))

    async def account(session: aiohttp.ClientSession) -> None:
        nonlocal wrong, failed
        for _ in left:
            row = model.x[rng.integers(len(model.x))]
            headers = {
                "content-type": "application/json",
                "authorization": "Bearer the-one-service-account",
                "x-user": f"user-{rng.integers(1000)}",
            }
            answers = []
            for _ in range(2 if rng.random() < 0.05 else 1):  # a client that tries again
                try:
                    async with session.post(url, data=service.body(row), headers=headers) as got:
                        answers.append((got.status, await got.json()))
                except aiohttp.ClientError:
                    failed += 1
            expected = model.probabilities(np.asarray(row.tolist()))[0].tolist()
            for status, answer in answers:
                if status != 200:
                    failed += 1
                elif answer["outputs"][0]["data"] != expected:
                    wrong += 1

    async with aiohttp.ClientSession() as session:
        await asyncio.gather(*(account(session) for _ in range(16)))
    return wrong, failed


def attack(port: int, model: service.Digits, who: str, inputs: int = 3) -> None:
    """HopSkipJump, as an attacker who has an account would run it."""
    target = open_target(
        f"http+oip://127.0.0.1:{port}/v2/models/digits",
        settings=Settings(
            bounds=(0.0, 1.0), sample=model.x[:2], classes=10, batch=1, headers={"x-user": who}
        ),
    )
    rows = slice(2000, 2000 + inputs)
    data = Data(
        x=model.x[rows],
        y=model.y[rows].astype(np.int64),
        lower=0.0,
        upper=1.0,
        columns=(),
        target=Target(kind="dataset", uri="digits.npz"),
        classes=None,
    )
    with suppress(TargetError):
        run(target, data, "evasion-hopskipjump", budget=150, seed=0)
    target.close()


@pytest.mark.parametrize(
    "requests", [900, pytest.param(100_000, marks=[pytest.mark.slow, pytest.mark.timeout(1800)])]
)
def test_a_thousand_users_then_an_attack_then_the_analysis_is_killed(tmp_path, model, requests):
    with service.webhook() as (pager, pages), service.upstream(model) as upstream:
        admin = service.free_port()
        (tmp_path / "casemate.toml").write_text(CONFIG.format(admin=admin, webhook=pager))
        words = ("--upstream", f"http://127.0.0.1:{upstream}")
        with service.guard(tmp_path, *words) as guard:
            wrong, failed = asyncio.run(users(guard.port, model, requests, 1))
            assert (wrong, failed) == (0, 0)
            time.sleep(2)
            assert pages == [], "nobody is woken for a thousand users"

            begun = time.monotonic()
            attacker = threading.Thread(target=attack, args=(guard.port, model, "mallory"))
            attacker.start()
            while not pages and time.monotonic() - begun < 60:
                time.sleep(0.1)
            assert pages, "a page within 60 s"
            assert "mallory" in str(pages[0])
            attacker.join(120)
            time.sleep(2)
            assert len(pages) == 1, "one campaign is one page"
            assert not any(f"user-{n}'" in str(pages[0]) for n in range(1000))

            os.kill(guard.analysis(), signal.SIGKILL)
            wrong, failed = asyncio.run(users(guard.port, model, 300, 2))
            assert (wrong, failed) == (0, 0), "no request failed while the analysis was dead"
            end = time.monotonic() + 30
            while "another took over" not in guard.log.read_text():
                assert time.monotonic() < end
                time.sleep(0.2)
            guard.analysis()  # there is one again
            time.sleep(2)
            assert len(pages) == 1
        store = tmp_path / ".casemate"
        events = list(open_query(store / "telemetry").scan(Filter()))
        kinds = [one.kind for one in events]
        assert kinds.count("gap") == 1
        gap = next(one for one in events if one.kind == "gap")
        assert "analysis" in (gap.note or "")
        assert gap.until is not None
        assert gap.until > gap.at
        asked = sum(one.kind == "inference" for one in events)
        assert asked >= requests + 300, "every inference is on record"
        with Workspace.open(store) as workspace:
            found = [
                one
                for kept in workspace.runs("guard")
                for one in workspace.records(kept.id, Detection)
            ]
        named = {name for one in found if one.conclusion == "attack" for name in one.principals}
        assert named == {"mallory"}
