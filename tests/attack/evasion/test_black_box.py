"""Every black-box attack: budgets are exact, points legal, runs repeat, optima are never beaten."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from casemate.attack.domain import Domain
from casemate.attack.run import run
from casemate.catalog import loader
from casemate.catalog.entries import Attack
from casemate.records.column import Column
from tests.attack.evasion.black_box import Only, attack
from tests.attack.models import linear, near_boundary, optimum

NEW = [
    ident for ident, entry in loader.entries("attacks", Attack).items()
    if entry.family == "evasion" and entry.knowledge in ("score-based", "decision-based")
    and ident not in ("evasion-square", "evasion-hopskipjump", "evasion-tabular")
]  # fmt: skip
each = pytest.mark.parametrize("ident", NEW)


def norms(ident):
    return loader.entry("attacks", ident, Attack).norms


def within(ident, eps):
    return {} if loader.entry("attacks", ident, Attack).minimum_norm else {"eps": eps}


@each
@settings(max_examples=12, deadline=None)
@given(
    shape=st.sampled_from([(1, 6, 6), (16, 16, 3), (7, 5), (7,), (2,)]),
    budget=st.integers(1, 120),
    seed=st.integers(0, 1000),
)
def test_the_budget_is_never_exceeded_and_what_is_found_is_legal(ident, shape, budget, seed):
    whole = linear(shape, 3, seed=seed, scale=0.3)
    data = near_boundary(whole, 6, spread=0.3, seed=seed)
    oracle, model = attack(ident, whole, data, budget, seed=seed, **within(ident, 0.1))
    assert oracle.forward.max() <= budget
    assert oracle.forward.sum() == model.rows
    found = np.isfinite(oracle.distance)
    best = oracle.best[found]
    assert (whole.labels(best) != data.y[found]).all()
    for points in [best, *model.sent]:
        assert ((points >= 0) & (points <= 1)).all()


@each
@pytest.mark.parametrize("legal", ["columns", "all frozen"])
def test_a_table_stays_legal(ident, legal):
    whole = linear((6,), 2, scale=0.5)
    data = near_boundary(whole, 20, spread=0.5)
    columns = tuple(
        Column(
            name=f"c{j}", low=0, high=1, mutable=j != 2 and legal == "columns",
            direction="up" if j == 3 else "any",
        )
        for j in range(6)
    )  # fmt: skip
    domain = Domain(0.0, 1.0, columns)
    oracle, model = attack(ident, whole, data, 80, domain=domain, **within(ident, 0.4))
    found = np.isfinite(oracle.distance)
    assert found.any() == (legal == "columns")
    assert domain.holds(oracle.best[found], data.x[found]).all()
    assert oracle.forward.max() <= 80
    sent = np.concatenate(model.sent)
    assert np.isin(sent[:, 2], data.x[:, 2]).all()


@pytest.mark.parametrize(("ident", "batch"), [*((ident, None) for ident in NEW), (NEW[0], 1)])
def test_a_seed_repeats_a_run_and_success_is_measured_again(ident, batch):
    whole = linear((1, 8, 8), 3, scale=0.3)
    data = near_boundary(whole, 10, spread=0.1)
    needs = loader.entry("attacks", ident, Attack).needs
    first, second = (
        run(
            Only(whole, "labels", *needs), data, ident, params=within(ident, 0.3), budget=150,
            seed=4, batch=batch,
        )
        for _ in range(2)
    )  # fmt: skip
    assert first.outcomes == second.outcomes
    fooled = [o for o in first.outcomes if o.success]
    assert len(fooled) >= 8
    assert all(o.queries <= 150 for o in first.outcomes)
    assert first.cost.queries == sum(o.queries for o in first.outcomes)
    assert first.state in ("complete", "budget-spent")


@each
def test_no_linear_model_is_fooled_within_its_optimum(ident):
    whole = linear((1, 8, 8), 2, scale=0.3)
    data = near_boundary(whole, 12, spread=0.2)
    for norm in norms(ident):
        best = optimum(whole, data.x, data.y, norm)
        eps = float(np.median(best))
        several = {"norm": norm} if len(norms(ident)) > 1 else {}
        oracle, _ = attack(ident, whole, data, 400, **several, **within(ident, eps))
        found = np.isfinite(oracle.distance)
        assert found.any()
        assert (oracle.distance[found] >= best[found] * (1 - 1e-4)).all()
        if within(ident, eps):
            assert (oracle.distance[found] <= eps).all()


@each
def test_inputs_already_wrong_are_no_trouble(ident):
    whole = linear((5,), 3, scale=0.3)
    data = near_boundary(whole, 4)
    oracle, _ = attack(ident, whole, data._replace(y=(data.y + 1) % 3), 9)
    assert oracle.forward.max() <= 9
