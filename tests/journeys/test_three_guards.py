"""Three guards, one model: an attacker who goes round them is seen, and stopped at all three."""

from __future__ import annotations

import itertools
import time
import urllib.error
import urllib.request
from contextlib import ExitStack, suppress
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from casemate.attack.run import run
from casemate.errors import TargetError
from casemate.records.detection import Detection
from casemate.records.make import make, new_id
from casemate.records.order import Order, Scope
from casemate.records.target import Target
from casemate.store.orders import OrderBook
from casemate.store.workspace import Workspace
from casemate.targets.data import Data
from casemate.targets.open import open_target, wrap
from casemate.targets.settings import Settings
from tests.journeys import service

CONFIG = """\
version = 1
[guard]
mode = "enforce"
principal = { header = "x-user" }
"""


@pytest.fixture(scope="module")
def model():
    return service.digits()


def status(port: int, model: service.Digits, who: str) -> int:
    """Ask one guard as somebody and return what becomes of it."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v2/models/digits/infer",
        service.body(model.x[7]),
        {"content-type": "application/json", "x-user": who},
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return int(error.code)


def attack(ports: list[int], model: service.Digits, who: str, first: int) -> None:
    """HopSkipJump whose questions go to one guard after another."""
    settings = Settings(
        bounds=(0.0, 1.0), sample=model.x[:2], classes=10, batch=1, headers={"x-user": who}
    )
    doors = [
        open_target(f"http+oip://127.0.0.1:{port}/v2/models/digits", settings=settings)
        for port in ports
    ]
    turn = itertools.cycle(doors)

    def ask(x: np.ndarray) -> np.ndarray:
        return np.concatenate([next(turn).scores(row[None]) for row in x])

    rotating = wrap(ask, settings=settings)
    data = Data(
        x=model.x[first : first + 5],
        y=model.y[first : first + 5].astype(np.int64),
        lower=0.0,
        upper=1.0,
        columns=(),
        target=Target(kind="dataset", uri="digits.npz"),
        classes=None,
    )
    with suppress(TargetError):
        run(rotating, data, "evasion-hopskipjump", budget=150, seed=0)
    for door in doors:
        door.close()


def first_query(folder, who: str) -> int:
    """Wait for the detection of an attack by somebody and return the query it was seen at."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        with Workspace.open(folder / ".casemate") as workspace:
            found = [
                one
                for kept in workspace.runs("guard")
                for one in workspace.records(kept.id, Detection)
                if who in one.principals and one.conclusion == "attack"
            ]
        if found:
            return min(one.first_query for one in found if one.first_query is not None)
        time.sleep(0.3)
    raise AssertionError(f"{who} was not seen")


def waits(ports: list[int], model: service.Digits, who: str, code: int, seconds: float) -> float:
    """Wait until every guard answers somebody with a status; return the seconds it took."""
    begun = time.monotonic()
    while any(status(port, model, who) != code for port in ports):
        assert time.monotonic() - begun < seconds
        time.sleep(0.2)
    return time.monotonic() - begun


def test_rotation_hides_nothing_and_an_order_holds_everywhere(tmp_path, model):
    (tmp_path / "casemate.toml").write_text(CONFIG)
    with service.upstream(model) as upstream, ExitStack() as stack:
        words = ("--upstream", f"http://127.0.0.1:{upstream}", "--admin", "none")
        guards = [stack.enter_context(service.guard(tmp_path, *words)) for _ in range(3)]
        ports = [one.port for one in guards]

        attack(ports[:1], model, "one-door", 2000)
        alone = first_query(tmp_path, "one-door")
        attack(ports, model, "three-doors", 3000)
        rotated = first_query(tmp_path, "three-doors")
        assert rotated <= 2 * alone

        now = datetime.now(UTC)
        order = make(
            Order,
            id=new_id("ord"),
            at=now,
            expires=now + timedelta(seconds=30),
            action="block",
            scope=Scope(principal="three-doors"),
            author="responder",
            reason="boundary search over three guards",
        )
        with Workspace.open(tmp_path / ".casemate") as workspace:
            OrderBook(workspace).add(order)
        while (blocked := status(ports[0], model, "three-doors")) == 200:
            assert datetime.now(UTC) - now < timedelta(seconds=30)
            time.sleep(0.2)
        waits(ports, model, "three-doors", blocked, 30)
        assert [status(port, model, "somebody-else") for port in ports] == [200] * 3

        guards[0].stop()
        stack.enter_context(service.guard(tmp_path, *words, port=ports[0]))
        assert status(ports[0], model, "three-doors") == blocked, "the order survives a restart"

        remaining = max(0.0, (order.expires - datetime.now(UTC)).total_seconds())
        waits(ports, model, "three-doors", 200, remaining + 15)
