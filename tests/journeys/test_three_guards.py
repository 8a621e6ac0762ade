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
from msgspec.structs import replace

from casemate.attack.run import run
from casemate.detect.inline.judge import InlineJudge
from casemate.detect.watch import Watch
from casemate.errors import TargetError
from casemate.records.detection import Detection
from casemate.records.event import Event
from casemate.records.exchange import Exchange
from casemate.records.make import make, new_id
from casemate.records.order import Order, Scope
from casemate.records.target import Target
from casemate.store.orders import OrderBook
from casemate.store.telemetry.opening import open_query
from casemate.store.telemetry.sink import Filter
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
REFUSED = 403
"""What a blocked principal is answered."""


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

    with suppress(TargetError):
        search(wrap(ask, settings=settings), model, first)
    for door in doors:
        door.close()


def search(target: object, model: service.Digits, first: int) -> None:
    """HopSkipJump on five digits."""
    data = Data(
        x=model.x[first : first + 5],
        y=model.y[first : first + 5].astype(np.int64),
        lower=0.0,
        upper=1.0,
        columns=(),
        target=Target(kind="dataset", uri="digits.npz"),
        classes=None,
    )
    run(target, data, "evasion-hopskipjump", budget=150, seed=0)


def seen_after(folder, who: str) -> int:
    """Wait for the detection of an attack by somebody; return how many inputs they had asked."""
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
            made = min(one.made for one in found)
            events = open_query(folder / ".casemate" / "telemetry").scan(Filter())
            mine = [one for one in events if one.kind == "inference" and one.principal == who]
            return sum(one.at <= made for one in mine)
        time.sleep(0.3)
    raise AssertionError(f"{who} was not seen")


def becomes(ports: list[int], model: service.Digits, who: str, code: int, seconds: float) -> None:
    """Wait until every guard answers somebody with a status."""
    begun = time.monotonic()
    while any(status(port, model, who) != code for port in ports):
        assert time.monotonic() - begun < seconds
        time.sleep(0.2)


def block(folder, who: str, seconds: float) -> Order:
    """Order that somebody be blocked."""
    now = datetime.now(UTC)
    order = make(
        Order,
        id=new_id("ord"),
        at=now,
        expires=now + timedelta(seconds=seconds),
        action="block",
        scope=Scope(principal=who),
        author="responder",
        reason="boundary search over three guards",
    )
    with Workspace.open(folder / ".casemate") as workspace:
        OrderBook(workspace).add(order)
    return order


def test_rotation_hides_nothing_and_an_order_holds_everywhere(tmp_path, model):
    (tmp_path / "casemate.toml").write_text(CONFIG)
    with service.upstream(model) as upstream, ExitStack() as stack:
        words = ("--upstream", f"http://127.0.0.1:{upstream}", "--admin", "none")
        guards = [stack.enter_context(service.guard(tmp_path, *words)) for _ in range(3)]
        ports = [one.port for one in guards]

        attack(ports, model, "three-doors", 3000)
        assert seen_after(tmp_path, "three-doors") <= 300

        assert status(ports[0], model, "brief") == 200
        brief = block(tmp_path, "brief", 8)
        block(tmp_path, "three-doors", 600)
        becomes(ports, model, "brief", REFUSED, 10)
        becomes(ports, model, "three-doors", REFUSED, 10)
        assert [status(port, model, "somebody-else") for port in ports] == [200] * 3

        guards[0].stop()
        stack.enter_context(service.guard(tmp_path, *words, port=ports[0]))
        assert status(ports[0], model, "three-doors") == REFUSED, "the order survives a restart"

        remaining = max(0.0, (brief.expires - datetime.now(UTC)).total_seconds())
        becomes(ports, model, "brief", 200, remaining + 15)
        assert [status(port, model, "three-doors") for port in ports] == [REFUSED] * 3


class Fleet:
    """Three guards' judges in one process, and the watch over what they record."""

    def __init__(self, model: service.Digits, key: bytes, doors: int) -> None:
        self.model = model
        self.judges = [InlineJudge(key, capacity=4096) for _ in range(doors)]
        self.watch = Watch()
        self.asked = 0
        self.seen_after: int | None = None

    def scores(self, x: np.ndarray) -> np.ndarray:
        return np.concatenate([self._ask(row[None]) for row in x])

    def _ask(self, x: np.ndarray) -> np.ndarray:
        count, door = divmod(self.asked, len(self.judges))
        writer, self.asked = f"w-{door:016x}", self.asked + 1
        at = 1_760_000_000_000_000 + self.asked * 8_000
        answer = self.model.probabilities(x)
        asked = Exchange(at=at, principal="eve", model="digits", x=x.astype(np.float32))
        looked = self.judges[door].look(asked, [f"{writer}:{count}"])
        answered = replace(asked, scores=answer)
        (measures,) = self.judges[door].weigh(answered, looked)
        event = Event(
            writer=writer, sequence=count, at=at, principal="eve", model="digits", status=200,
            request=str(count), measures=measures,
        )  # fmt: skip
        if any(one.conclusion == "attack" for one in self.watch.feed([event])):
            self.seen_after = self.seen_after or self.asked
        return answer


@pytest.mark.parametrize(
    "key", [b"one of a few keys", b"another of the keys", b"and still another"]
)
def test_rotation_hides_nothing_whatever_the_key(model, key):
    settings = Settings(bounds=(0.0, 1.0), sample=model.x[:2], classes=10, batch=1)
    alone, three = Fleet(model, key, 1), Fleet(model, key, 3)
    for fleet in (alone, three):
        search(wrap(fleet.scores, settings=settings), model, 3000)
        assert fleet.seen_after is not None
    assert three.seen_after <= 3 * alone.seen_after
