"""What every black-box attack is held to: exact budgets, legal points, known optima, seeds."""

from __future__ import annotations

import contextlib

import numpy as np

from casemate.attack.domain import Domain
from casemate.attack.oracle import Oracle
from casemate.catalog import loader
from casemate.catalog.entries import Attack
from casemate.errors import BudgetSpent
from tests.attack.models import TARGET


class Only:
    """A model reduced to its labels, or to labels and scores, that counts what it is sent."""

    target, deterministic, threshold, kind = TARGET, None, None, "logits"
    lower, upper = 0.0, 1.0

    def __init__(self, whole, *gives):
        self.whole, self.shape, self.classes = whole, whole.shape, whole.classes
        self.gives = frozenset(gives)
        self.sent = []

    def labels(self, x):
        self.sent.append(x.copy())
        return self.whole.labels(x)

    def scores(self, x):
        assert "scores" in self.gives
        self.sent.append(x.copy())
        return self.whole.scores(x)

    @property
    def rows(self):
        return sum(map(len, self.sent))

    def close(self):
        pass


def attack(ident, whole, data, budget, *, domain=None, seed=0, **params):
    """Run an attack of the catalog on an oracle over a model that gives what it needs alone."""
    entry = loader.entry("attacks", ident, Attack)
    model = Only(whole, "labels", *entry.needs)
    params = loader.params(entry, params)
    norm = str(params.get("norm") or entry.norms[0])
    oracle = Oracle(
        model, data.x, data.y, domain=domain or Domain(data.lower, data.upper), norm=norm,
        eps=None if entry.minimum_norm else params["eps"], budget=budget,
    )  # fmt: skip
    rng = {} if ident == "evasion-rays" else {"rng": np.random.default_rng(seed)}
    with contextlib.suppress(BudgetSpent):
        loader.load(entry)(oracle, data.x, data.y, **rng, **params)
    return oracle, model
