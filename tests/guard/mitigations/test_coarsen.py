import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from casemate.guard.mitigations.coarsen import coarsen
from tests.guard.traffic import enforcing, image, passed, scored, served


def same_choice(true, made):
    """Whichever of the tied best a caller picks, first or last, it picks again."""
    np.testing.assert_array_equal(true.argmax(axis=1), made.argmax(axis=1))
    np.testing.assert_array_equal(true[:, ::-1].argmax(axis=1), made[:, ::-1].argmax(axis=1))
    np.testing.assert_array_equal(
        true == true.max(axis=1, keepdims=True), made == made.max(axis=1, keepdims=True)
    )


@pytest.mark.parametrize("decimals", [0, 1, 2, 4])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("top", [0, 1, 3])
def test_a_million_rows_keep_their_top_label(decimals, dtype, top):
    rng = np.random.default_rng(decimals)
    for classes, rows in ((2, 6_000), (10, 2_500), (100, 300)):
        peaked = rng.dirichlet(np.full(classes, 0.2), rows)
        flat = rng.dirichlet(np.full(classes, 50.0), rows)
        tied = np.round(flat, 2)
        logits = rng.normal(0, 3, (rows, classes))
        for scores in (peaked, flat, tied, logits, -np.abs(logits), np.zeros((10, classes))):
            true = scores.astype(dtype)
            same_choice(true, coarsen(true, decimals=decimals, top=top))


def test_what_it_buys_fewer_steps_on_a_slope():
    p = np.linspace(0.6, 0.7, 1000)
    slope = np.stack((p, 1 - p), axis=1)
    assert len(np.unique(slope[:, 0])) == 1000
    assert len(np.unique(coarsen(slope, decimals=1)[:, 0])) == 2
    assert len(np.unique(coarsen(slope, decimals=0)[:, 0])) == 1


@given(
    st.lists(
        st.lists(st.floats(-1e4, 1e4, width=16), min_size=4, max_size=4), min_size=1, max_size=6
    ),
    st.integers(0, 6),
    st.integers(0, 5),
    st.sampled_from([np.float16, np.float32, np.float64]),
)
def test_any_scores(rows, decimals, top, dtype):
    true = np.array(rows, dtype)
    made = coarsen(true, decimals=decimals, top=top)
    same_choice(true, made)
    np.testing.assert_array_equal(made, coarsen(true, decimals=decimals, top=top))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20), st.integers(0, 6), st.floats(0, 1))
def test_a_single_score_stays_on_its_side(values, decimals, threshold):
    true = np.array(values)
    for shaped in (true, true[:, None]):
        made = coarsen(shaped, decimals=decimals, threshold=threshold)
        assert made.shape == shaped.shape
        np.testing.assert_array_equal(np.sign(made - threshold), np.sign(shaped - threshold))


def test_top_hides_the_rest():
    made = coarsen(np.array([[0.4, 0.3, 0.2, 0.1]]), decimals=2, top=2)
    np.testing.assert_array_equal(made, [[0.4, 0.3, 0.0, 0.0]])


def test_rows_without_decimals_are_served_as_they_are():
    true = np.array([[np.nan, 1.0], [np.inf, 0.0], [1e308, 1.7e308], [0.26, 0.74]])
    made = coarsen(true, decimals=6)
    np.testing.assert_array_equal(made[:3], true[:3])
    np.testing.assert_array_equal(made[3], [0.26, 0.74])


def test_the_true_and_the_served_answer_are_both_on_record():
    reply = scored([[0.26, 0.74]])
    made = enforcing("coarsen", settings={"decimals": 1})
    got, events = passed(made, image(), reply)
    np.testing.assert_array_equal(served(got), [[0.3, 0.7]])
    event = events[0]
    assert (event.decision, event.enforced, event.order) == ("coarsen", True, "rule-1")
    assert event.output_digest != event.served_digest is not None
    assert ("x-served-by", "pod-3") in got.headers
    plain, others = passed(enforcing("log"), image(), reply)
    assert plain is reply
    assert others[0].output_digest == event.output_digest
