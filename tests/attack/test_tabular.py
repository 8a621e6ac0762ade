"""Column search: exact boundaries of small trees, legal rows always, exact budgets."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import RandomForestClassifier
from sklearn.tree import DecisionTreeClassifier

from casemate.attack.domain import Domain
from casemate.attack.evasion.column_search import Best, Lore
from casemate.attack.evasion.tabular import tabular
from casemate.attack.oracle import Oracle
from casemate.attack.run import run
from casemate.errors import BudgetSpent
from casemate.records.column import Column
from tests.attack.models import TARGET, Data
from tests.attack.test_domain import tables


class Table:
    """A fitted estimator of class numbers as a target."""

    kind, target, deterministic, threshold = "probabilities", TARGET, None, None

    def __init__(self, estimator, columns, *, scores=True):
        self.estimator, self.classes = estimator, len(estimator.classes_)
        self.gives = frozenset({"scores", "labels"} if scores else {"labels"})
        self.shape, self.lower, self.upper = (len(columns),), -np.inf, np.inf
        self.rows = 0

    def scores(self, x):
        self.rows += len(x)
        return self.estimator.predict_proba(x)

    def labels(self, x):
        return self.scores(x).argmax(axis=1)

    def close(self):
        pass


def attack(model, data, budget, steps=300, seed=0, neighbours=5):
    oracle = Oracle(
        model, data.x, data.y, domain=Domain(data.lower, data.upper, data.columns),
        norm="l0", eps=None, budget=budget,
    )  # fmt: skip
    with contextlib.suppress(BudgetSpent):
        tabular(
            oracle, data.x, data.y, rng=np.random.default_rng(seed),
            steps=steps, neighbours=neighbours,
        )  # fmt: skip
    return oracle


def grid(n=60, seed=0):
    """Two columns of whole numbers from 0 to 99; class 1 where the first is above 49.5."""
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 100, (n, 2)).astype(float)
    return x, (x[:, 0] > 49.5).astype(np.int64)


@pytest.mark.parametrize("scores", [True, False])
def test_one_column_of_a_tree_is_enough_and_the_move_ends_at_its_threshold(scores):
    x, y = grid()
    tree = DecisionTreeClassifier(random_state=0).fit(x, y)
    (threshold,) = {t for t in tree.tree_.threshold if t > 0}
    columns = (
        Column(name="a", type="integer", low=0, high=99),
        Column(name="b", type="integer", low=0, high=99),
    )
    data = Data(x, y, -np.inf, np.inf, columns)
    oracle = attack(Table(tree, columns, scores=scores), data, 200)
    assert (oracle.distance == 1).all()
    assert (oracle.best[:, 1] == x[:, 1]).all()
    moved = oracle.best[:, 0]
    assert ((moved > threshold) != (x[:, 0] > threshold)).all()
    # Five bisections from at most 99 away end within 99 / 32 of the threshold, plus rounding.
    assert np.abs(moved - threshold).max() <= 99 / 32 + 1


@pytest.mark.parametrize("scores", [True, False])
def test_two_columns_are_found_when_one_cannot_be_enough(scores):
    rng = np.random.default_rng(1)
    x = rng.uniform(0, 1, (80, 6))
    y = ((x[:, 1] > 0.6) & (x[:, 4] > 0.6)).astype(np.int64)
    tree = DecisionTreeClassifier(random_state=0).fit(x, y)
    label = tree.predict(x)
    columns = tuple(Column(name=f"c{j}", low=0, high=1) for j in range(6))
    rows = (x[:, 1] < 0.5) & (x[:, 4] < 0.5)
    data = Data(x, label, -np.inf, np.inf, columns)
    oracle = attack(Table(tree, columns, scores=scores), data, 400)
    assert np.isfinite(oracle.distance).all()
    assert np.median(oracle.distance[rows]) == 2
    assert (oracle.distance[label == 1] == 1).all()


class Stumps:
    """Votes of random thresholds, without sklearn, so that many examples cost little."""

    classes_ = (0, 1)

    def __init__(self, x, seed):
        rng = np.random.default_rng(seed)
        self.column = rng.integers(0, x.shape[1], 9)
        self.at = x[rng.integers(0, len(x), 9), self.column]
        self.sign = rng.choice([-1.0, 1.0], 9)

    def predict_proba(self, x):
        votes = np.where(x[:, self.column] > self.at, self.sign, -self.sign).mean(axis=1)
        return np.stack([0.5 - votes / 2, 0.5 + votes / 2], axis=1)


@settings(max_examples=30, deadline=None)
@given(table=tables(), seed=st.integers(0, 99), scores=st.booleans(), budget=st.integers(1, 60))
def test_every_row_ever_sent_is_legal_and_within_budget(table, seed, scores, budget):
    columns, _, origin = table
    model = Table(Stumps(origin, seed), columns, scores=scores)
    label = model.labels(origin)
    domain = Domain(-np.inf, np.inf, columns)
    data = Data(origin, label, -np.inf, np.inf, columns)
    owners = []
    ask = Oracle._answer

    class Watched(Oracle):
        def _answer(self, x, rows, answer):
            assert domain.holds(x, origin[rows]).all()
            owners.extend(rows.tolist())
            return ask(self, x, rows, answer)

    oracle = Watched(model, data.x, data.y, domain=domain, norm="l0", eps=None, budget=budget)
    with contextlib.suppress(BudgetSpent):
        tabular(oracle, data.x, data.y, rng=np.random.default_rng(seed), steps=50, neighbours=3)
    assert np.bincount(owners, minlength=len(label)).max(initial=0) <= min(budget, 50)
    found = np.isfinite(oracle.distance)
    assert domain.holds(oracle.best[found], origin[found]).all()
    assert (model.labels(oracle.best)[found] != label[found]).all()


def test_what_the_catalog_attack_returns_is_legal_to_the_last_row():
    rng = np.random.default_rng(3)
    n = 300
    x = np.column_stack([
        rng.integers(18, 90, n),              # age, cannot be changed
        rng.integers(0, 5000, n),             # savings, can only be raised
        np.eye(3)[rng.integers(0, 3, n)],     # one-hot: region
        rng.integers(0, 12, n) * 1.0,         # instalments
    ]).astype(np.float32)  # fmt: skip
    y = ((x[:, 1] > 2000) ^ (x[:, 3] == 1) ^ (x[:, 5] > 8)).astype(np.int64)
    columns = (
        Column(name="age", type="integer", low=18, high=90, mutable=False),
        Column(name="savings", type="integer", low=0, high=5000, direction="up"),
        *(Column(name=f"region_{k}", type="boolean", group="region") for k in "abc"),
        Column(name="instalments", type="integer", low=0, high=12),
    )
    forest = RandomForestClassifier(20, random_state=0).fit(x, y)
    blobs = []
    data = Data(x[:100], y[:100], -np.inf, np.inf, columns)

    def keep(blob):
        blobs.append(blob)
        return "sha256:" + "0" * 64

    trial = run(Table(forest, columns), data, "evasion-tabular", keep=keep)
    held = np.load(io.BytesIO(blobs[0]))
    before, after = held["x"], held["adv"]
    assert trial.norm == "l0"
    assert len(after) >= 80
    assert (after[:, 0] == before[:, 0]).all()
    assert (after[:, 1] >= before[:, 1]).all()
    assert (after == np.rint(after)).all()
    assert (after[:, 2:5].sum(axis=1) == 1).all()
    assert after[:, 5].min() >= 0
    assert after[:, 5].max() <= 12
    assert (forest.predict(after) != y[held["index"]]).all()
    cells = (after != before).sum(axis=1)
    assert sorted(o.distance for o in trial.outcomes if o.success) == sorted(cells.tolist())


def test_rows_that_break_their_own_constraints_are_named_and_left_out():
    x, y = grid(30)
    tree = DecisionTreeClassifier(random_state=0).fit(x, y)
    columns = (
        Column(name="a", type="integer", low=0, high=99),
        Column(name="b", type="integer", low=0, high=99),
    )
    x[4, 1] = 500
    data = Data(x, tree.predict(x), -np.inf, np.inf, columns)
    oracle = attack(Table(tree, columns), data, 100)
    assert oracle.forward[4] == 0
    assert np.isinf(oracle.distance[4])
    assert any("'b' is not a whole number" in note for note in oracle.notes)
    assert any("1 rows break" in note for note in oracle.notes)


def test_a_single_row_without_neighbours_is_still_searched():
    x, y = grid()
    tree = DecisionTreeClassifier(random_state=0).fit(x, y)
    columns = tuple(Column(name=name, low=0, high=99) for name in "ab")
    data = Data(x[:1], y[:1], -np.inf, np.inf, columns)
    for scores in (True, False):
        oracle = attack(Table(tree, columns, scores=scores), data, 60)
        assert oracle.distance.tolist() == [1]


def test_the_best_row_changes_fewest_cells_and_among_equals_moves_least():
    best = Best(np.array([0.0, 0.0, np.nan]), np.array([1.0, 10.0, 1.0]))
    rows = np.array([[1.0, 5, np.nan], [0.9, 0, np.nan], [0, 4, np.nan], [0, 1, np.nan]])
    assert not best.look(rows[:1], np.array([0.5]))
    assert best.look(rows, np.array([-1.0, -1, -1, 1]))
    assert best.row.tolist()[:2] == [0, 4]
    assert best.size == (1, 0.4)
    assert best.changed().tolist() == [1]
    assert best.last is None  # three fooled, two of them with one cell: nobody says which was kept


def test_moves_that_helped_other_rows_are_expected_to_help():
    lore = Lore.fresh(2)
    np.add.at(lore.gain, (np.array([0, 1]), np.array([0, 1])), np.array([4.0, 1.0]))
    lore.tries[...] = 1
    got = lore.expected(np.array([0, 1, 2]), np.array([0, 1, 0]))
    assert got.argmax() == 0
    assert got[1] > got[2]
