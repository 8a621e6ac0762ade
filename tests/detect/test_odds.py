import math
import random

import pytest

from casemate.detect import odds


def test_a_bet_is_fair_when_nothing_is_wrong():
    for harmless, attack in ((0.02, 0.6), (0.2, 0.7), (0.15, 0.5)):
        bet = odds.bet(harmless, attack)
        mean = harmless * math.exp(bet.yes) + (1 - harmless) * math.exp(bet.no)
        assert mean == pytest.approx(1)


def test_a_stream_of_harmless_answers_passes_the_bar_as_rarely_as_promised():
    rng = random.Random(1)
    bet, bar, passed = odds.bet(0.2, 0.7), math.log(100), 0
    for _ in range(4000):
        evidence = 0.0
        for _ in range(200):
            evidence += bet.yes if rng.random() < 0.2 else bet.no
            if evidence >= bar:
                passed += 1
                break
    assert odds.upper(passed, 4000) < 0.016  # promised: at most 0.01
    assert passed > 0


def test_the_bar_grows_with_what_is_looked_at_and_with_the_tests():
    few = odds.bar(100, odds.WEEK, 1.0, 1, 1000.0)
    assert few == pytest.approx(math.log(1000))
    assert odds.bar(100_000, odds.WEEK, 1.0, 1, 1000.0) == pytest.approx(math.log(100_000))
    assert odds.bar(100_000, 10 * odds.WEEK, 1.0, 1, 1000.0) == pytest.approx(math.log(10_000))
    assert odds.bar(100, 0, 0.5, 4, 1000.0) == pytest.approx(math.log(8000))


@pytest.mark.parametrize(
    ("events", "n", "bound"), [(0, 100, 0.0295), (3, 100, 0.0757), (10, 10, 1.0), (0, 0, 1.0)]
)
def test_the_upper_bound_is_that_of_the_tables(events, n, bound):
    assert odds.upper(events, n) == pytest.approx(bound, abs=5e-4)
