"""Contracts learned from data, and what breaks them."""

import numpy as np
import pytest

from casemate.detect.inline.contract import breaks, learn, read_contract, write_contract
from casemate.errors import UsageError

NAMES = ("age", "income", "red", "green", "blue", "score")


def people(n=2000, seed=0):
    rng = np.random.default_rng(seed)
    colour = np.eye(3)[rng.integers(0, 3, n)]
    return np.column_stack(
        [rng.integers(18, 90, n), rng.lognormal(10, 0.5, n).round(2), colour, rng.normal(0, 1, n)]
    )


@pytest.fixture(scope="module")
def contract():
    return learn(people(), NAMES)


def test_rows_like_those_it_learned_from_hold(contract):
    broken = sum(breaks(contract, row)[0] > 0 for row in people(4000, 1))
    assert broken <= 8


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({0: 17.5}, "age is not a whole number"),
        ({0: -5.0}, "age is out of range"),
        ({1: 1e9}, "income is out of range"),
        ({1: -1.0}, "income is out of range"),
        ({5: np.nan}, "score is missing"),
        ({5: np.inf}, "score is not finite"),
        ({2: 0.5, 3: 0.5, 4: 0.0}, "red is none of the usual values"),
        ({2: 1.0, 3: 1.0, 4: 0.0}, "not exactly one of red to blue is 1"),
        ({2: 0.0, 3: 0.0, 4: 0.0}, "not exactly one of red to blue is 1"),
    ],
)
def test_breaks_are_named_without_values(contract, change, words):
    row = people(1, 2)[0]
    for column, value in change.items():
        row[column] = value
    count, first = breaks(contract, row)
    assert count >= 1
    assert first == words


def test_missing_cells_hold_where_they_are_usual():
    rows = people()
    rows[::10, 5] = np.nan
    assert breaks(learn(rows, NAMES), rows[0]) == (0, None)


def test_pictures_have_a_range():
    x = np.random.default_rng(0).random((50, 3, 16, 16))
    contract = learn(x)
    assert contract.columns == ()
    assert breaks(contract, x[0].ravel()) == (0, None)
    bad = x[0].ravel().copy()
    bad[[5, 9]] = 2.0, np.nan
    assert breaks(contract, bad) == (2, "cell 5 is out of range")
    assert breaks(contract, bad[:10])[1] == "10 cells where 768 are usual"


def test_it_survives_the_disk(contract, tmp_path):
    write_contract(contract, tmp_path / "contract.json")
    assert read_contract(tmp_path / "contract.json") == contract


@pytest.mark.parametrize(
    "text", [b"", b"{}", b"\xff", b'{"schema":"contract/1","rows":1,"low":0,"high":1,"scales":[1]}']
)
def test_what_is_no_contract_is_refused(text, tmp_path):
    (tmp_path / "contract.json").write_bytes(text)
    with pytest.raises(UsageError, match=r"contract\.json"):
        read_contract(tmp_path / "contract.json")
    with pytest.raises(UsageError, match="absent"):
        read_contract(tmp_path / "absent.json")


@pytest.mark.parametrize(
    "x", [np.zeros((0, 3)), np.zeros(3), np.full((3, 2), np.nan), np.array([["a"]])]
)
def test_what_nothing_can_be_learned_from(x):
    with pytest.raises(UsageError):
        learn(x)


def test_names_must_fit():
    with pytest.raises(UsageError, match="2 column names for 6"):
        learn(people(), ("a", "b"))


def test_how_far_rows_lie_apart_is_learned(contract):
    assert 0.01 < contract.apart < 1.0
