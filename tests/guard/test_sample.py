"""Large requests: some inputs are looked at, the rest is counted, and nobody waits long."""

import json
import time

import numpy as np

from casemate.detect.inline.judge import InlineJudge
from casemate.guard.call import Reply
from casemate.guard.policy import CaptureTable, RouteTable
from casemate.guard.release import HOLD
from casemate.guard.sample import MOST, Sample
from casemate.records.event import Measures
from casemate.targets.wire import oip
from casemate.targets.wire.tensor import Tensor
from tests.guard.traffic import (
    AT,
    KEYS,
    Judge,
    call,
    enforcing,
    guard,
    passed,
    scored,
    sent,
    served,
)

ROWS = 1 << 16


def asked(rows, columns=2, **given):
    x = np.random.default_rng(0).random((rows, columns)).astype(np.float32)
    return sent(oip.encode_request([Tensor("x", x, "FP32")]), **given)


def answered(rows):
    p = np.random.default_rng(1).random(rows)
    return scored(np.stack((p, 1 - p), axis=1))


def test_small_requests_are_looked_at_whole_and_of_large_ones_a_part_nobody_foresees():
    sample = Sample(KEYS)
    assert list(sample.of(MOST, "w:0")) == list(range(MOST))
    first, second = sample.of(ROWS, "w:0"), sample.of(ROWS, "w:1")
    assert first == sample.of(ROWS, "w:0") != second
    assert [row * MOST // ROWS for row in first] == list(range(MOST))


def test_what_is_not_looked_at_is_one_event_that_counts_it():
    judge = Judge(Measures(near=0.5))
    made = guard(judge)
    rows = MOST + 100
    _, events = passed(made, asked(rows), answered(rows))
    exchange, ids = judge.seen[0]
    assert (exchange.rows, len(exchange.x), len(ids)) == (MOST, MOST, MOST)
    assert [one.sequence for one in events] == list(range(MOST + 1))
    *single, rest = events
    assert ids == [f"{one.writer}:{one.sequence}" for one in single]
    assert all(one.kind == "inference" and one.rows == rows for one in single)
    assert all(one.measures.near == 0.5 for one in single)
    scores = served(answered(rows))
    assert [one.measures.label for one in single] == [
        int(scores[one.row].argmax()) for one in single
    ]
    assert (rest.kind, rest.lost, rest.rows, rest.measures) == ("bypassed", 100, rows, Measures())
    assert rest.row not in {one.row for one in single}
    assert "100 of 356 inputs were not looked at" in rest.note
    assert passed(made, asked(1), scored([[0.1, 0.9]]))[1][0].sequence == MOST + 1


def test_a_large_request_that_is_slow_or_refused_is_counted_once():
    made = guard(Judge())
    slow, quick = made.ask(asked(ROWS)), made.ask(asked(1))
    made.answer(quick, scored([[0.1, 0.9]]), AT)
    early = made.due(AT + HOLD)
    late = made.answer(slow, answered(ROWS), AT + HOLD).events
    assert [one.sequence for one in (*early, *late)] == list(range(2 * MOST + 3))
    assert {one.kind for one in late} == {"answered"}
    assert sum(one.lost for one in (*early, *late)) == ROWS - MOST
    assert [(one.request, one.row) for one in late] == [
        (one.request, one.row) for one in early[:-1]
    ]
    blocking = enforcing("block")
    _, events = passed(blocking, asked(ROWS), answered(1))
    assert {one.kind for one in events} == {"refused"}
    assert len(events) == MOST + 1


def test_every_input_counts_and_every_answer_is_changed():
    reply, _ = passed(enforcing("coarsen", Judge()), asked(ROWS), answered(ROWS))
    scores = served(reply)
    assert scores.shape == (ROWS, 2)
    assert np.allclose(scores, np.round(scores, 1))
    limited = enforcing("rate", Judge(), settings={"per_minute": 1000.0})
    assert passed(limited, asked(2000), answered(2000))[0].status == 200
    assert passed(limited, asked(1), scored([[0.1, 0.9]]))[0].status == 429
    informed = enforcing("information", Judge(), settings={"bits_per_hour": 2000.0})
    assert passed(informed, asked(2000), answered(2000))[0].status == 200
    # A thousand and a half of labels' worth would still be left after 256 answers of a bit each.
    assert passed(informed, asked(1), scored([[0.1, 0.9]]))[0].status == 429


def test_inputs_that_nobody_checked_do_not_pass_for_checked_ones():
    closed = guard(Judge(), mode="enforce", route=(RouteTable(match="/**", fail="closed"),))
    assert closed.ask(asked(MOST)).action.reply is None
    assert closed.ask(asked(MOST + 1)).action.reply.status == 413
    strict = enforcing("contract", Judge())
    assert strict.ask(asked(MOST)).action.reply is None
    assert strict.ask(asked(MOST + 1)).action.reply.status == 400


def test_one_small_body_does_not_stop_the_guard_with_capture_on():
    judge = InlineJudge(bytes(32))
    judge.warm()
    made = guard(judge, capture=CaptureTable(keep="suspicious"))
    passed(made, asked(MOST), answered(MOST))
    question, reply = asked(ROWS), answered(ROWS)
    began = time.process_time()
    _, events = passed(made, question, reply)
    took = time.process_time() - began
    assert len(events) == MOST + 1
    # About 0.1 s where nothing else runs; it was 25 s.
    assert took < 1, took


def test_rows_of_text_and_an_answer_that_cannot_be_read():
    words = [f"text {n}" for n in range(1000)]
    tensor = {"name": "t", "shape": [1000], "datatype": "BYTES", "data": words}
    judge = Judge()
    question = call(json.dumps({"inputs": [tensor]}).encode())
    _, events = passed(guard(judge), question, Reply(200, (), b"odd"))
    exchange, _ = judge.seen[0]
    assert exchange.texts == tuple(words[one.row] for one in events[:-1])
    assert len({one.input_digest for one in events}) == len(events) == MOST + 1
