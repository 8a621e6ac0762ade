"""Incidents as they happen: a real guard before a real model, its events in a real store.

Used by incidents.py. Everybody's requests, the attacker's among them, are OIP bodies that go
through `casemate.guard.guard.Guard` with the inline judge; the events go to a journal, as on a
server. The clock is simulated, the model runs in this process.
"""

from __future__ import annotations

import contextlib
import functools
import inspect

import guarded_loop
import numpy as np
from guarded_loop import START, Caller, World, more, world

from casemate.attack.domain import Domain
from casemate.attack.extraction.teacher import Teacher
from casemate.attack.oracle import Oracle
from casemate.catalog import loader
from casemate.catalog.entries import Attack
from casemate.detect.inline.judge import InlineJudge
from casemate.errors import BudgetSpent
from casemate.guard.call import Call, Reply
from casemate.guard.guard import Guard
from casemate.guard.keys import Keys
from casemate.guard.policy import ClientTable, GuardTable, PrincipalTable, RouteTable
from casemate.store.telemetry.journal import Journal
from casemate.store.telemetry.keys import signing_key
from casemate.store.telemetry.seal import seal
from casemate.targets.wire import oip
from casemate.targets.wire.tensor import Tensor

SECOND = 1_000_000
KEYS = Keys(bytes(range(32)))


class Service:
    """A model behind guards that write a telemetry folder; callers ask it row by row."""

    def __init__(self, folder, place: World, *, seed=0, guards=1, declared=(), version="3"):
        self.folder = folder
        self.world, self.gives = place, frozenset({"scores", "labels"})
        self.rng = np.random.default_rng([seed, 77])
        self.at = START + int(self.rng.integers(86_400)) * SECOND
        self.version, self.turn, self.asked = version, 0, {}
        self.slow, self.down, self.unread = 1.0, 0.0, 0.0
        self.change = None
        """What happens to everybody's inputs on their way: a drift."""
        self.answer = None
        """What happens to the model's answers: another model."""
        self.texture = "FP32" if place.x.dtype == np.float32 else "FP64"
        clients = tuple(
            ClientTable(name=f"client-{i}", principals=(who,), purpose="explainability",
                        per_hour=1_000_000, reason="bench")
            for i, who in enumerate(declared)
        )  # fmt: skip
        table = GuardTable(
            principal=PrincipalTable(header="X-User"),
            client=clients,
            route=(RouteTable(match="/v2/models/*/versions/*/infer", name="infer"),),
        )
        self.guards, self.sinks = [], []
        for number in range(guards):
            writer = f"w-{seed:08x}{number:08x}"
            judge = InlineJudge(bytes([7] * 32), capacity=1 << 16)
            self.guards.append(Guard(table, keys=KEYS, judge=judge, writer=writer))
            self.sinks.append(Journal(folder, writer))
        self.pool = inputs_of(place.name, 3600, self.rng, "crowd")
        self.known = np.asarray(place.scores(self.pool))
        self.next = 0

    def ask(self, x, principal, *, after=1.0, scores=None):
        """Ask about one request of rows (n, ...); return scores (n, classes)."""
        self.at += int(after * SECOND)
        one = self.turn % len(self.guards)
        guard, sink = self.guards[one], self.sinks[one]
        self.turn += 1
        flat = np.ascontiguousarray(x).reshape(len(x), -1)
        message = oip.encode_request(
            [Tensor("x", flat.reshape(x.shape), self.texture)], binary=True
        )
        body = message.body
        if self.rng.random() < self.unread:
            body = body[:40]
        said = (("content-type", message.content_type), ("x-user", principal),
                *((k.lower(), v) for k, v in message.headers.items()))  # fmt: skip
        path = f"/v2/models/{self.world.name}/versions/{self.version}/infer"
        asked = guard.ask(Call("POST", path, "", said, body, "10.0.0.9", self.at))
        took = int(self.rng.gamma(9, 900) * self.slow)
        if self.rng.random() < self.down:
            found = guard.answer(asked, None, self.at + took, why="the upstream did not answer")
            sink.append(found.events)
            return None
        if scores is None:
            scores = np.asarray(self.world.scores(np.asarray(x)))
        if self.answer is not None:
            scores = self.answer(np.asarray(x), scores)
        output = Tensor("scores", np.asarray(scores, np.float64), "FP64")
        if "scores" not in self.gives:
            output = Tensor("labels", scores.argmax(axis=1).astype(np.int64), "INT64")
        reply = oip.encode_response(self.world.name, [output], binary=True)
        headers = (("content-type", reply.content_type),
                   *((k.lower(), v) for k, v in reply.headers.items()))  # fmt: skip
        found = guard.answer(asked, Reply(200, headers, reply.body), self.at + took)
        sink.append(found.events)
        self.asked[principal] = self.asked.get(principal, 0) + len(x)
        return scores

    def crowd(self, n, _rng=None, users=120, prefix="user"):
        """Ordinary callers, few of them busy and many of them not."""
        for _ in range(n):
            who = int(users * self.rng.random() ** 2)
            one = self.next % len(self.pool)
            x, scores = self.pool[one][None], self.known[one][None]
            if self.rng.random() > 0.03:
                self.next += 1
            if self.change is not None:
                x, scores = self.change(x), None
            self.ask(x, f"{prefix}-{who}", after=float(self.rng.exponential(0.5)), scores=scores)

    def gap(self, seconds, lost):
        """Lose a while of the record."""
        for guard, sink in zip(self.guards, self.sinks, strict=True):
            began = self.at
            sink.append(
                guard.gap(began, began + int(seconds * SECOND), "the disk was full", lost=lost)
            )
        self.at += int(seconds * SECOND)

    def close(self):
        """Write what is left, and seal it."""
        for guard, sink in zip(self.guards, self.sinks, strict=True):
            sink.append(guard.rest())
            sink.close()
        folder = self.folder
        seal(folder, signing_key(folder.with_suffix(".pem"), folder))


def inputs_of(name, n, rng, whose):
    """Return inputs of a world's own kind, none of them twice; attackers have others.

    Pictures are moved by up to a fourteenth and made a little darker, rows of tables lie between
    two.
    """
    place = made_world(name)
    half = len(place.x) // 2
    x = place.x[:half] if whose == "crowd" else place.x[half:]
    if place.kind != "image":
        return more(x, n, rng).astype(x.dtype)
    return moved(x[rng.integers(len(x), size=n)], rng)


def moved(x, rng):
    some = x * rng.uniform(0.8, 1.0, (len(x), *[1] * (x.ndim - 1)))
    far = x.shape[-1] // 14
    ways = rng.integers(-far, far + 1, (len(x), 2))
    made = [np.roll(one, tuple(way), (-2, -1)) for one, way in zip(some, ways, strict=True)]
    return np.array(made, x.dtype)


# --- what happens ---


def evasion(service, ident, names, queries, seed, row):
    """One search of the catalog for one input; return whether it succeeded."""
    place = service.world
    entry = loader.entry("attacks", ident, Attack)
    params = loader.params(entry, {})
    service.gives = frozenset(entry.needs) | {"labels"}
    caller = Caller(service, names, between=lambda: service.crowd(2))
    norm = str(params.get("norm") or (entry.norms[0] if entry.norms else "linf"))
    eps = None
    if "eps" in params and not entry.minimum_norm:
        eps = place.eps if norm == "linf" else place.eps * place.x[0].size ** 0.5 / 2
        params["eps"] = eps
    if "steps" in params:
        params["steps"] = max(int(params["steps"] or 0), queries)
    x, y = place.x[row : row + 1], place.y[row : row + 1]
    oracle = Oracle(
        caller, np.array(x), y, domain=Domain(place.low, place.high, place.columns), norm=norm,
        eps=eps, budget=queries,
    )  # fmt: skip
    function = loader.load(entry)
    random = "rng" in inspect.signature(function).parameters
    extra = {"rng": np.random.default_rng(seed)} if random else {}
    with contextlib.suppress(BudgetSpent):
        function(oracle, oracle.x, oracle.y, **extra, **params)
    return caller.asked


def stealing(service, ident, names, queries, seed, row):
    """A copy made by an attack of the catalog."""
    del row
    place = service.world
    entry = loader.entry("attacks", ident, Attack)
    params = {**loader.params(entry, {}), "queries": queries}
    if "learner" in params:
        params["learner"] = "linear"  # what is asked is much the same, and it is fast
    caller = Caller(service, names, between=lambda: service.crowd(2))
    teacher = Teacher(caller, queries)
    own = inputs_of(place.name, 3000, np.random.default_rng(seed + 5), "thief")
    low = np.broadcast_to(np.asarray(place.low, own.dtype), own.shape[1:])
    high = np.broadcast_to(np.asarray(place.high, own.dtype), own.shape[1:])
    domain = Domain(low, high, place.columns)
    with contextlib.suppress(BudgetSpent):
        for _ in loader.load(entry)(
            teacher, own, domain, rng=np.random.default_rng(seed), **params
        ):
            if teacher.asked >= queries:
                break
    return caller.asked


def membership(service, kind, names, queries, seed, row):
    """Whether records were trained on, by noise around each: Choquette-Choo et al. 2021.

    arXiv 2007.14321. `noise` adds Gaussian noise of growing size, `flips` turns single cells.
    """
    del row
    place, rng = service.world, np.random.default_rng(seed)
    span = np.asarray(place.high) - np.asarray(place.low)
    caller = Caller(service, names, between=lambda: service.crowd(2))
    while caller.asked < queries:
        x = np.array(place.x[int(rng.integers(len(place.x)))])
        caller.scores(x[None])
        for _ in range(24):
            if kind == "noise":
                new = x + rng.standard_normal(x.shape) * 0.02 * span
            else:
                new = x.copy().reshape(-1)
                cells = rng.integers(new.size, size=max(1, new.size // 60))
                new[cells] += (0.2 * rng.standard_normal(len(cells))).astype(x.dtype)
                new = new.reshape(x.shape)
            caller.scores(np.clip(new, place.low, place.high).astype(x.dtype)[None])
    return caller.asked


def inversion(service, kind, names, queries, seed, row):
    """What the model takes for a class, climbed to from nothing: Fredrikson et al. 2015.

    MI-Face by its confidences alone, the gradient estimated by finite differences along random
    directions (`nes`) or single cells (`cells`).
    """
    del row
    place, rng = service.world, np.random.default_rng(seed)
    low = np.broadcast_to(np.asarray(place.low, np.float64), place.x.shape[1:])
    high = np.broadcast_to(np.asarray(place.high, np.float64), place.x.shape[1:])
    caller = Caller(service, names, between=lambda: service.crowd(2))
    classes = len(place.scores(place.x[:1])[0])
    target = int(rng.integers(classes))

    def ask(x):
        return float(caller.scores(np.clip(x, low, high).astype(place.x.dtype)[None])[0][target])

    while caller.asked < queries:
        x = (low + high) / 2 + 0.02 * (high - low) * rng.standard_normal(low.shape)
        p = ask(x)
        while p < 0.98 and caller.asked < queries:
            if kind == "nes":
                slope = np.zeros(low.shape)
                for _ in range(5):
                    way = rng.standard_normal(low.shape)
                    up, down = (
                        ask(x + 0.02 * (high - low) * way),
                        ask(x - 0.02 * (high - low) * way),
                    )
                    slope += (up - down) * way
                    if caller.asked >= queries:
                        return caller.asked
                x = np.clip(x + 0.03 * (high - low) * np.sign(slope), low, high)
                p = ask(x)
            else:
                way = np.where(rng.random(low.shape) < 0.1, rng.standard_normal(low.shape), 0)
                new = np.clip(x + 0.3 * (high - low) * way, low, high)
                if (q := ask(new)) > p:
                    x, p = new, q
        target = (target + 1) % classes
    return caller.asked


def reprogramming(service, kind, names, queries, seed, row):
    """Another task put to the model: Elsayed et al. 2019, arXiv 1806.11146.

    Each input is the same program with a small foreign input inside: for images a frame around a
    patch, for tables columns that are always the same and columns that carry the payload.
    """
    del row, kind
    place, rng = service.world, np.random.default_rng(seed)
    low = np.broadcast_to(np.asarray(place.low, np.float64), place.x.shape[1:])
    high = np.broadcast_to(np.asarray(place.high, np.float64), place.x.shape[1:])
    program = low + (high - low) * (rng.random(low.shape) > 0.5)
    caller = Caller(service, names, between=lambda: service.crowd(2))
    hole = np.zeros(low.shape, bool)
    if place.kind == "image" and low.ndim >= 2:
        h, w = low.shape[-2:]
        hole[..., h // 3 : 2 * h // 3, w // 3 : 2 * w // 3] = True
    else:
        hole.reshape(-1)[rng.permutation(low.size)[: max(2, low.size // 4)]] = True
    tasks = [low + (high - low) * rng.random(low.shape) for _ in range(4)]
    while caller.asked < queries:
        payload = tasks[int(rng.integers(4))] + 0.15 * (high - low) * rng.standard_normal(low.shape)
        x = np.where(hole, np.clip(payload, low, high), program)
        caller.scores(x.astype(place.x.dtype)[None])
    return caller.asked


def drifting(service, kind, names, queries, seed, row):
    """Everybody's inputs change."""
    del names, row
    place, rng = service.world, np.random.default_rng(seed)
    span = np.asarray(place.high) - np.asarray(place.low)
    span = np.broadcast_to(span, place.x.shape[1:])
    if place.kind == "image":
        ways = {
            "darker": lambda x: x * 0.55,
            "noisy": lambda x: x + 0.15 * rng.standard_normal(x.shape),
        }
    else:
        some = rng.random(place.x.shape[1:]) < 0.5
        ways = {
            "darker": lambda x: x * np.where(some, 0.6, 1.0),
            "noisy": lambda x: x + np.where(some, 0.25, 0.05) * span,
        }
    way = ways[kind]
    service.change = lambda x: np.clip(way(x), place.low, place.high).astype(place.x.dtype)
    service.crowd(queries * 3)
    return 0


def outage(service, kind, names, queries, seed, row):
    """The model server fails, is slow, or the record has holes."""
    del names, seed, row
    if kind == "down":
        service.down = 0.4
    elif kind == "slow":
        service.slow = 25.0
    else:
        service.gap(600, lost=900)
    service.crowd(queries)
    service.down, service.slow = 0.0, 1.0
    service.crowd(queries)
    return 0


def calm(service, kind, names, queries, seed, row):
    """Nothing happens."""
    del kind, names, seed, row
    service.crowd(queries * 3)
    return 0


def optimiser(service, kind, names, queries, seed, row):
    """A client of false_alarms.py: explanations, films, averages, retries."""
    del row
    import false_alarms

    caller = false_alarms.Caller(service, names[0], np.random.default_rng(seed), queries, 2)
    before = sum(service.asked.values())
    with contextlib.suppress(StopIteration):
        getattr(false_alarms, kind)(caller)
    return sum(service.asked.values()) - before


@functools.cache
def made_world(name: str) -> World:
    """Return a world of guarded_loop.py, or one of three more that nothing was chosen on."""
    if name == "digits-cnn":
        return _digits()
    if name == "credit-boosting":
        from tests.corpus.kserve_log import Population

        people = Population(5)
        x = people.draw(4000)
        y = people.model.predict(x)
        low, high = x.min(axis=0), x.max(axis=0)
        span = high - low
        scores = lambda some: people.model.predict_proba(low + np.asarray(some) * span)  # noqa: E731
        return _function(name, scores, (x - low) / span, y)
    if name == "waves-network":
        from sklearn.datasets import make_classification
        from sklearn.neural_network import MLPClassifier

        x, y = make_classification(
            4000, 20, n_informative=10, n_classes=4, n_clusters_per_class=2, random_state=5
        )
        x = (x - x.min(axis=0)) / (x.max(axis=0) - x.min(axis=0))
        model = MLPClassifier((64,), max_iter=300, random_state=0).fit(x[:2000], y[:2000])
        return _function(name, model.predict_proba, x[2000:], y[2000:])
    return world(name)


def _function(name, scores, x, y):
    from casemate.records.target import Target
    from casemate.targets.function import wrap
    from casemate.targets.settings import Settings

    settings = Settings(bounds=(x.min(axis=0), x.max(axis=0)), sample=x[:16])
    target = wrap(scores, target=Target(kind="model", uri="bench"), settings=settings)
    low, high = x.min(axis=0), x.max(axis=0)
    return World(name, "table", scores, x, y.astype(np.int64), low, high, 0.1, target)


def _digits():
    import torch
    from sklearn.datasets import load_digits
    from torch import nn

    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(2).permutation(len(y))
    x, y = (x[order] / 16).astype(np.float32).reshape(-1, 1, 8, 8), y[order].astype(np.int64)
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(),
        nn.Flatten(), nn.Linear(2048, 10),
    )  # fmt: skip
    optimiser = torch.optim.Adam(net.parameters(), 1e-3)
    given, wanted = torch.tensor(x[:800]), torch.tensor(y[:800])
    for _ in range(150):
        optimiser.zero_grad()
        nn.functional.cross_entropy(net(given), wanted).backward()
        optimiser.step()
    return guarded_loop._torch("digits-cnn", net.eval(), x[800:], y[800:], 0.1)  # noqa: SLF001


@functools.cache
def place_of(name: str) -> World:
    """Return a world by name, whose callers have inputs of the same kind as everybody's."""
    place, rng = made_world(name), np.random.default_rng(3)
    if place.kind == "image":
        return place._replace(x=moved(place.x, rng))
    x = np.array(place.x)
    for label in np.unique(place.y):
        some = np.flatnonzero(place.y == label)
        other = place.x[rng.permutation(some)]
        x[some] += rng.random((len(some), 1)) * (other - x[some])
    return place._replace(x=x)
