"""HopSkipJump: from labels alone to the known optimum, with exact budgets and failing starts."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from casemate.attack.domain import Domain
from casemate.attack.evasion.borders import Border
from casemate.attack.evasion.hopskipjump import hopskipjump
from casemate.attack.oracle import Oracle
from casemate.attack.run import run
from casemate.errors import BudgetSpent
from casemate.records.column import Column
from tests.attack.models import TARGET, Data, linear, near_boundary, optimum


class Only:
    """A model reduced to its labels."""

    gives = frozenset({"labels"})
    target, deterministic, threshold = TARGET, None, None

    def __init__(self, label, shape, classes, lower=0.0, upper=1.0):
        self.label, self.shape, self.classes = label, shape, classes
        self.lower, self.upper = lower, upper
        self.rows = 0

    def labels(self, x):
        self.rows += len(x)
        return self.label(x)

    def close(self):
        pass


def attack(model, data, norm, budget, *, domain=None, steps=100, starts=10, seed=0):
    oracle = Oracle(
        model, data.x, data.y, domain=domain or Domain(data.lower, data.upper),
        norm=norm, eps=None, budget=budget,
    )  # fmt: skip
    with contextlib.suppress(BudgetSpent):
        hopskipjump(
            oracle, data.x, data.y, rng=np.random.default_rng(seed),
            norm=norm, steps=steps, probes=20, starts=starts, band=0, sigma=0.0,
        )  # fmt: skip
    return oracle


@pytest.mark.parametrize(("norm", "tolerance"), [("l2", 1.03), ("linf", 1.15)])
def test_labels_of_a_linear_model_lead_to_its_optimum(norm, tolerance):
    whole = linear((12,), 2, scale=0.3)
    data = near_boundary(whole, 20, spread=0.2)
    best = optimum(whole, data.x, data.y, norm)
    oracle = attack(Only(whole.labels, (12,), 2), data, norm, 3000)
    assert (oracle.distance >= best * (1 - 1e-4)).all()
    assert np.median(oracle.distance / best) < tolerance
    assert (oracle.distance / best).max() < 1 + 2 * (tolerance - 1)


@settings(max_examples=25, deadline=None)
@given(
    shape=st.sampled_from([(1, 6, 6), (16, 16, 3), (7,), (2,)]),
    norm=st.sampled_from(["linf", "l2"]),
    budget=st.integers(1, 150),
    starts=st.integers(0, 4),
    seed=st.integers(0, 1000),
)
def test_the_budget_is_exact_for_every_row(shape, norm, budget, starts, seed):
    whole = linear(shape, 3, seed=seed, scale=0.3)
    data = near_boundary(whole, 6, spread=0.3, seed=seed)
    model = Only(whole.labels, shape, 3)
    oracle = attack(model, data, norm, budget, starts=starts, seed=seed)
    assert oracle.forward.max() <= budget
    assert oracle.forward.sum() == model.rows
    found = np.isfinite(oracle.distance)
    best = oracle.best[found]
    assert (whole.labels(best) != data.y[found]).all()
    assert ((best >= 0) & (best <= 1)).all()


def test_the_budget_is_used_up_to_a_last_search():
    whole = linear((1, 8, 8), 3, scale=0.3)
    data = near_boundary(whole, 8, spread=0.3)
    for norm in ("l2", "linf"):
        oracle = attack(Only(whole.labels, (1, 8, 8), 3), data, norm, 777)
        assert (oracle.forward >= 777 - 10).all()
        assert (oracle.forward <= 777).all()


def test_a_row_without_a_start_costs_itself_and_not_the_batch():
    # Class 1 is answered everywhere in the box but in a corner; rows of class 1 at (0.9, 0.9) can
    # be moved by going there, those whose corner is out of reach cannot be fooled at all.
    def label(x):
        return np.where(x[:, 0] < 0.4, 1, np.where(x[:, 1] > 0.5, 0, 1)).astype(np.int64)

    x = np.array([[0.9, 0.9], [0.9, 0.1], [0.8, 0.7], [0.1, 0.9]], np.float32)
    data = Data(x, label(x))
    frozen = Column(name="b", low=0, high=1, mutable=False)
    # Row 1 may not change its second value: it stays class 1 whatever it does.
    domain = Domain(0.0, 1.0, (Column(name="a", low=0, high=1), frozen))
    oracle = attack(Only(label, (2,), 2), data, "l2", 300, domain=domain)
    found = np.isfinite(oracle.distance)
    assert found.tolist() == [True, False, True, True]
    assert any("without a start" in note for note in oracle.notes)
    np.testing.assert_allclose(oracle.distance[[0, 2, 3]], [0.5, 0.4, 0.3], rtol=0.02)


def test_without_limits_or_neighbours_starts_are_drawn_ever_farther_out():
    x = np.zeros((3, 4), np.float32)

    def label(x):
        return (np.abs(x).max(axis=1) > 2).astype(np.int64)

    data = Data(x, label(x), -np.inf, np.inf)
    model = Only(label, (4,), 2, -np.inf, np.inf)
    oracle = attack(model, data, "linf", 500)
    assert (oracle.distance < 2.6).all()
    assert (oracle.distance > 2).all()


def test_the_catalog_runs_it_on_labels_alone():
    whole = linear((1, 8, 8), 3, scale=0.3)
    data = near_boundary(whole, 12, spread=0.2)
    model = Only(whole.labels, (1, 8, 8), 3)
    trial = run(model, data, "evasion-hopskipjump", budget=400)
    again = run(model, data, "evasion-hopskipjump", budget=400)
    assert trial.outcomes == again.outcomes
    assert all(o.success and o.queries <= 400 for o in trial.outcomes)
    best = optimum(whole, data.x, data.y, "l2")
    assert np.median([o.distance for o in trial.outcomes] / best) < 1.5


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_shrinking_ends_at_the_border_and_stops_where_the_budget_does(norm):
    x = np.zeros((2, 3), np.float32)

    def label(x):
        return (x[:, 0] > 0.3).astype(np.int64)

    data = Data(x, label(x))
    oracle = Oracle(
        Only(label, (3,), 2), x, data.y, domain=Domain(0.0, 1.0), norm=norm, eps=None, budget=12
    )
    border = Border(oracle, x, data.y, norm)
    rows, far = np.arange(2), np.full((2, 3), 0.8, np.float32)
    oracle.labels(x[[0, 0, 0, 0, 0, 0, 0, 0, 0, 0]], np.zeros(10, np.int64))  # row 0: two left
    near = border.shrink(rows, far, 10)
    assert near[1, 0] == pytest.approx(0.3, abs=0.8 / 2**9)
    assert near[0, 0] == pytest.approx(0.4)  # one question halves, the next does not fool
    assert oracle.forward.tolist() == [12, 10]
