"""rate, information and review: what they let through, to whom, and when again."""

import numpy as np
import pytest

from casemate.guard.mitigations.bucket import Buckets
from casemate.guard.mitigations.information import bits_of_scores, bits_of_text
from casemate.guard.mitigations.rate import Rate
from casemate.guard.mitigations.review import Review
from casemate.records.event import Measures
from tests.guard.traffic import AT, Judge, enforcing, image, passed, scored

MINUTE = 60_000_000


def asks(made, count, *, user="ann", at=AT, rows=1, scores=((0.26, 0.74),)):
    reply = scored(np.repeat(scores, rows, axis=0))
    call = image(rows=rows)._replace(headers=(("x-user", user),), at=at)
    return [passed(made, call, reply)[0].status for _ in range(count)]


def test_rate_counts_inputs_per_principal_and_lets_go():
    made = enforcing("rate", settings={"per_minute": 10})
    assert asks(made, 12) == [200] * 10 + [429] * 2
    assert asks(made, 1, user="bob") == [200]
    assert asks(made, 2, at=AT + MINUTE // 10) == [200, 429]
    assert asks(made, 11, at=AT + 10 * MINUTE) == [200] * 10 + [429]


def test_a_batch_counts_as_its_inputs():
    made = enforcing("rate", settings={"per_minute": 10})
    assert asks(made, 3, rows=4) == [200, 200, 429]
    # More than the bucket holds passes once, and is paid off before anything else.
    made = enforcing("rate", settings={"per_minute": 10})
    assert asks(made, 2, rows=30) == [200, 429]
    assert asks(made, 1, at=AT + MINUTE) == [429]
    assert asks(made, 1, at=AT + 3 * MINUTE) == [200]


def test_a_refusal_says_when_to_come_back_and_nothing_of_why():
    made = enforcing("rate", settings={"per_minute": 1})
    asks(made, 1)
    reply, events = passed(made, image(), scored([[1.0, 0.0]]))
    assert dict(reply.headers)["retry-after"] == "60"
    assert reply.body == b'{"error":"request not accepted"}'
    assert (events[0].kind, events[0].decision, events[0].status) == ("refused", "refuse", 429)


def test_information_counts_bits_not_requests():
    full = ((0.123456, 0.876544),)
    made = enforcing("information", settings={"bits_per_hour": 96})
    assert asks(made, 5, scores=full) == [200] * 4 + [429]
    made = enforcing("information", settings={"bits_per_hour": 96})
    labels = ((0.0, 1.0),)
    assert asks(made, 97, scores=labels) == [200] * 96 + [429]
    assert asks(made, 1, at=AT + 60 * MINUTE, scores=labels) == [200]


def test_what_it_buys_a_thief_pays_in_time():
    """As many queries as a linear thief needs: 100 rows of ten full scores."""
    scores = np.random.default_rng(0).dirichlet(np.ones(10), 1)
    made = enforcing("information", settings={"bits_per_hour": 2160})
    assert asks(made, 100, scores=scores).count(200) == 10
    hours, got, at = 0, 10, AT
    while got < 100:
        hours, at = hours + 1, at + 60 * MINUTE
        got += asks(made, 100, scores=scores, at=at).count(200)
    assert hours == 9


def test_coarse_answers_last_longer_on_the_same_budget():
    coarse, fine = ((0.3, 0.7),), ((0.31234567, 0.68765433),)
    few = enforcing("information", settings={"bits_per_hour": 480})
    many = enforcing("information", settings={"bits_per_hour": 480})
    assert asks(few, 300, scores=fine).count(200) * 6 < asks(many, 300, scores=coarse).count(200)


def test_an_exact_repeat_costs_nothing():
    judge = Judge(Measures(near_same=True, delta=0.0))
    made = enforcing("information", judge, settings={"bits_per_hour": 10})
    assert asks(made, 50, scores=((0.123456, 0.876544),)) == [200] * 50


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([[0.0, 1.0]], 1.0),
        ([[0.0, 1.0, 0.0, 0.0]], 2.0),
        ([[0.3, 0.7]], np.log2(11)),
        ([[0.123456, 0.876544]], 24.0),
        ([[0.1, 0.2, 0.7]], 2 * np.log2(11)),
    ],
)
def test_bits_of_scores(scores, expected):
    for dtype in (np.float32, np.float64):
        assert bits_of_scores(np.array(scores, dtype))[0] == pytest.approx(expected)
    assert bits_of_text("abcd") == 6.0


def test_review_is_a_queue_that_cannot_be_flooded():
    made = enforcing("review", settings={"per_hour": 8, "share": 0.5})

    def queued(user, count):
        found = []
        for _ in range(count):
            call = image()._replace(headers=(("x-user", user),))
            found.append(passed(made, call, scored([[1.0, 0.0]]))[1][0].decision)
        return found.count("review")

    assert queued("flood", 100) == 4
    assert [queued(f"user{n}", 2) for n in range(3)] == [2, 2, 0]


def test_review_may_hold_the_answer_back():
    made = enforcing("review", settings={"hold": True})
    reply, events = passed(made, image(), scored([[1.0, 0.0]]))
    assert reply.status == 202
    assert (events[0].decision, events[0].kind) == ("review", "refused")


def test_buckets_are_bounded_and_a_clock_that_jumps_back_fills_none():
    buckets = Buckets(most=100)
    for number in range(1000):
        buckets.take((str(number), ""), AT, 1, size=5, per_second=1)
    assert len(buckets._levels) == 100
    key = ("999", "")
    buckets.take(key, AT, 4, size=5, per_second=1)
    buckets.take(key, AT - 10**9, 0, size=5, per_second=1)
    assert buckets.level(key, AT, size=5, per_second=1) == 0
    assert Rate.defaults["per_minute"] == 60
    assert Review.defaults["hold"] is False
