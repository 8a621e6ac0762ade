"""Square attack: known optimum, exact budgets, legal candidates, shapes of every sort."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from casemate.attack.domain import Domain
from casemate.attack.evasion.square import planes, square
from casemate.attack.oracle import Oracle
from casemate.attack.run import run
from casemate.errors import BudgetSpent
from casemate.records.column import Column
from tests.attack.models import linear, near_boundary, optimum


def attack(model, data, *, norm, eps, budget, steps=10_000, domain=None, seed=0):
    oracle = Oracle(
        model, data.x, data.y, domain=domain or Domain(data.lower, data.upper),
        norm=norm, eps=eps, budget=budget,
    )  # fmt: skip
    with contextlib.suppress(BudgetSpent):
        square(
            oracle, data.x, data.y, rng=np.random.default_rng(seed),
            eps=eps, norm=norm, steps=steps, p_init=0.8, p_least=0.0, rescale=True,
        )  # fmt: skip
    return oracle


@pytest.mark.parametrize(("norm", "reach"), [("linf", 1.15), ("l2", 1.6)])
def test_a_linear_model_falls_a_little_beyond_its_optimum_and_never_before(norm, reach):
    model = linear((1, 8, 8), 2, scale=0.3)
    data = near_boundary(model, 40, spread=0.2)
    best = optimum(model, data.x, data.y, norm)
    eps = float(np.median(best))
    oracle = attack(model, data, norm=norm, eps=eps, budget=1000)
    fooled = np.isfinite(oracle.distance)
    assert not fooled[best > eps].any()
    assert fooled[best < eps / reach].all()
    assert (oracle.distance[fooled] <= eps).all()


@settings(max_examples=25, deadline=None)
@given(
    shape=st.sampled_from([(1, 6, 6), (3, 5, 4), (6, 6, 3), (7, 5), (9,), (1, 1, 2)]),
    norm=st.sampled_from(["linf", "l2"]),
    budget=st.integers(1, 40),
    seed=st.integers(0, 1000),
)
def test_the_budget_is_never_exceeded_and_candidates_stay_legal(shape, norm, budget, seed):
    model = linear(shape, 3, seed=seed, scale=0.3)
    data = near_boundary(model, 7, spread=0.4, seed=seed)
    sent = []
    ask = model.scores
    model.scores = lambda x: sent.append(len(x)) or ask(x)
    oracle = attack(model, data, norm=norm, eps=0.05, budget=budget)
    assert oracle.forward.max() <= budget
    assert oracle.forward.sum() == sum(sent)
    standing = ~np.isfinite(oracle.distance)
    assert (oracle.forward[standing] == budget).all()
    found = oracle.best[~standing]
    assert (oracle.distance[~standing] <= 0.05).all()
    assert ((found >= 0) & (found <= 1)).all()


def test_a_fooled_row_is_left_alone_and_a_seed_repeats_the_run():
    model = linear((1, 8, 8), 3, scale=0.3)
    data = near_boundary(model, 30, spread=0.1)
    params = {"eps": 0.05, "steps": 300}
    first, second = (run(model, data, "evasion-square", params=params, seed=4) for _ in range(2))
    assert first.outcomes == second.outcomes
    fooled = [o for o in first.outcomes if o.success]
    assert fooled
    assert min(o.queries for o in fooled) < 300
    assert all(o.queries == 300 for o in first.outcomes if not o.success)


def test_a_table_stays_legal():
    model = linear((6,), 2, scale=0.5)
    data = near_boundary(model, 20, spread=0.5)
    columns = tuple(
        Column(name=f"c{j}", low=0, high=1, mutable=j != 2, direction="up" if j == 3 else "any")
        for j in range(6)
    )
    domain = Domain(0.0, 1.0, columns)
    oracle = attack(model, data, norm="linf", eps=0.3, budget=60, domain=domain)
    found = np.isfinite(oracle.distance)
    assert found.any()
    assert domain.holds(oracle.best[found], data.x[found]).all()


def test_channels_are_found_wherever_they_are():
    assert planes(np.zeros((2, 3, 8, 9))).shape == (2, 3, 8, 9)
    assert planes(np.zeros((2, 8, 9, 3))).shape == (2, 3, 8, 9)
    assert planes(np.zeros((2, 8, 9))).shape == (2, 1, 8, 9)
    assert planes(np.zeros((2, 5))).shape == (2, 1, 1, 5)
