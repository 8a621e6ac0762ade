from array import array

import numpy as np
import pytest

from casemate.lineage import likeness
from casemate.lineage.columns import Column, Marks
from casemate.lineage.likeness import Answers
from casemate.lineage.tensors import Tensor


def marks(rows, *columns):
    return Marks(array("Q", sorted(rows)), len(rows), columns)


def test_tables_are_compared_by_rows_orders_ranks_and_values():
    one = marks(
        range(100),
        Column("a", 1, 7, 300.0, frozenset(range(10))),
        Column("b", 2, 0, 80.0, frozenset()),
    )
    other = marks(
        range(50, 90),
        Column("x", 3, 7, 200.0, frozenset(range(5, 20))),
        Column("y", 2, 0, 90.0, frozenset()),
    )
    assert likeness.tables(one, other) == (40, 1.0, 80.0, 200.0, 0.5)
    assert likeness.tables(one, marks([])) == (0, 0.0, 0.0, 0.0, 0.0)


@pytest.fixture
def tensors():
    rng = np.random.default_rng(0)
    return {"a": rng.normal(size=(90, 80)), "b": rng.normal(size=(80, 10)), "bias": np.zeros(80)}


def sketch(tensors, prefix=""):
    return likeness.sketch(Tensor(prefix + name, value) for name, value in tensors.items())


def test_weights_that_moved_a_little_are_near_and_equal_tensors_count(tensors):
    rng = np.random.default_rng(1)
    moved = {**tensors, "a": tensors["a"] + rng.normal(0, 0.1, (90, 80))}
    found = likeness.weights(sketch(tensors), sketch(moved, "module."))
    assert found.covered == 1.0
    assert found.same == pytest.approx(800 / 8000)
    assert 0.98 < found.cosine < 1.0


def test_weights_of_another_start_are_far(tensors):
    rng = np.random.default_rng(2)
    other = {name: rng.normal(size=value.shape) for name, value in tensors.items()}
    found = likeness.weights(sketch(tensors), sketch(other))
    assert abs(found.cosine) < 0.1
    assert found.same == 0.0


def test_tensors_of_other_names_are_met_by_their_shapes(tensors):
    renamed = {f"layer.{place}": value for place, value in enumerate(tensors.values())}
    assert likeness.weights(sketch(tensors), sketch(renamed)).same == 1.0
    assert likeness.weights(sketch(tensors), sketch({"c": np.ones((3, 50))})).covered == 0.0
    assert likeness.weights(sketch({}), sketch({})) == (0.0, 0.0, 0.0, 0.0)


def test_numbers_that_are_none_are_left_out(tensors):
    odd = {**tensors, "b": np.full((80, 10), np.nan), "i": np.arange(100)}
    assert {name for name, _ in sketch(odd).parts} == {"a"}


def test_answers_count_where_most_models_answer_otherwise():
    common = np.array([0, 0, 1, 1, 2])
    one = Answers("p", np.array([0, 1, 1, 2, 2]))
    other = Answers("p", np.array([0, 1, 1, 0, 2]))
    assert likeness.answers(one, other, common) == (0.5, 2, 1.0)
    scores = np.eye(3)[[0, 1, 1, 2, 2]]
    assert likeness.answers(Answers("p", scores), Answers("p", scores + 1e-6), common)[2] < 1e-5
