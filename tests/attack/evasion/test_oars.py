"""OARS against small stateful defences, one that refuses and one that answers falsely."""

from __future__ import annotations

import numpy as np
import pytest

from casemate.attack.domain import Domain
from casemate.attack.evasion.detours import SHUT, Detour
from casemate.attack.evasion.oars import _calibrate
from casemate.attack.oracle import Oracle
from casemate.attack.run import run
from casemate.errors import BudgetSpent, Refused
from tests.attack.evasion.black_box import Only
from tests.attack.models import linear, near_boundary

SHAPE = (1, 12, 12)


class Watched(Only):
    """Compares each question with all before it; what is too near is refused, or silently gets
    the answer of the one it is near to."""

    def __init__(self, whole, *gives, least, silent):
        super().__init__(whole, *gives)
        self.least, self.silent, self.alarms = least, silent, 0
        self.known = np.zeros((0, int(np.prod(whole.shape))))
        self.said = []

    def labels(self, x):
        return np.array([int(self._one(row).argmax()) for row in x])

    def scores(self, x):
        assert "scores" in self.gives
        return np.stack([self._one(row) for row in x])

    def _one(self, row):
        self.sent.append(row[None])
        away = np.sqrt(((self.known - row.reshape(-1)) ** 2).mean(axis=1))
        if len(away) and away.min() < self.least:
            self.alarms += 1
            if not self.silent:
                raise Refused("the endpoint answered 403")
            return self.said[int(away.argmin())]
        self.known = np.vstack([self.known, row.reshape(-1)])
        self.said.append(self.whole.scores(row[None])[0])
        return self.said[-1]


def world():
    whole = linear(SHAPE, 3, scale=0.2)
    data = near_boundary(whole, 6, spread=0.2)
    return whole, data


def attacked(ident, whole, data, silent, *gives, **params):
    model = Watched(whole, *gives, least=0.05, silent=silent)
    if ident != "evasion-boundary":
        params["eps"] = 0.15
    trial = run(
        model, data, ident, params=params, budget=400, batch=1, unguarded=Only(whole, "labels")
    )
    return trial, model


@pytest.mark.parametrize("silent", [False, True])
def test_the_plain_attack_is_stopped_and_the_adaptive_one_is_not(silent):
    whole, data = world()
    gives = ("scores", "labels")
    plain, model = attacked("evasion-nes", whole, data, silent, *gives)
    assert model.alarms
    adaptive, _ = attacked("evasion-oars", whole, data, silent, *gives, inner="square")
    assert plain.robust.value >= 0.8
    assert adaptive.robust.value <= 0.4
    assert all(o.queries <= 400 for o in adaptive.outcomes)
    assert any("refused" in note for note in adaptive.notes) is not silent


def test_from_labels_alone_refusals_are_walked_round_too():
    whole, data = world()
    plain, _ = attacked("evasion-boundary", whole, data, False, "labels")
    adaptive, _ = attacked("evasion-oars", whole, data, False, "labels")
    assert plain.robust.value >= 0.8
    assert adaptive.robust.value <= 0.4


@pytest.mark.parametrize(("least", "silent"), [(0.03, False), (0.1, False), (0.1, True)])
@pytest.mark.parametrize("name", ["scores", "labels"])
def test_the_spacing_is_found_to_within_a_factor_of_two(least, silent, name):
    whole, data = world()
    model = Watched(whole, "scores", "labels", least=least, silent=silent)
    oracle = Oracle(model, data.x, data.y, domain=Domain(0.0, 1.0), norm="linf", eps=0.1)
    rng = np.random.default_rng(0)
    found = _calibrate(Detour(oracle, data.x, rng, 1), data.x, name, 1.0, rng)
    if name == "labels" and silent:  # which nobody can see
        assert found == (0.0, 0.0)
        return
    assert least / 2 <= found.sigma <= 2 * least
    assert least * 0.9 <= found.stride <= 2 * least
    assert oracle.forward[0] < 60


def test_without_a_defence_nothing_is_heeded():
    whole, data = world()
    oracle = Oracle(
        Only(whole, "scores", "labels"), data.x, data.y, domain=Domain(0, 1), norm="linf", eps=0.1
    )
    rng = np.random.default_rng(0)
    found = _calibrate(Detour(oracle, data.x, rng, 1), data.x, "scores", 1.0, rng)
    assert found == (0.0, 0.0)


def test_a_refused_question_is_asked_some_way_off_and_counts():
    whole, data = world()
    model = Watched(whole, "scores", "labels", least=0.02, silent=False)
    oracle = Oracle(model, data.x, data.y, domain=Domain(0.0, 1.0), norm="linf", eps=0.1)
    door = Detour(oracle, data.x, np.random.default_rng(0), 3)
    door.away = 0.1
    first = door.scores(data.x[:1], np.array([0]))
    second = door.scores(data.x[:1], np.array([0]))
    assert door.refused == 1
    assert oracle.forward[0] == 3
    assert (first != second).any()
    door.away = 0.0
    assert (door.scores(data.x[:1], np.array([0])) == second).all()  # in vain: the last answer
    assert oracle.forward[0] == 6


def test_a_door_that_is_shut_is_given_up():
    class Shut(Only):
        def labels(self, x):
            raise Refused("the endpoint answered 403")

    whole, data = world()
    oracle = Oracle(
        Shut(whole, "labels"), data.x, data.y, domain=Domain(0, 1), norm="linf", eps=0.1
    )
    door = Detour(oracle, data.x, np.random.default_rng(0), 1)
    with pytest.raises(BudgetSpent, match="refused"):
        door.labels(np.repeat(data.x[:1], SHUT, axis=0), np.zeros(SHUT, np.int64))
    trial = run(
        Shut(whole, "labels"), data, "evasion-oars", budget=200, unguarded=Only(whole, "labels")
    )
    assert any("given up" in note for note in trial.notes)
    assert trial.cost.queries <= SHUT
