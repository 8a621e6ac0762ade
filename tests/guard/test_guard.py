"""Playbooks: exchange in, event and action out, with a clock that stands still."""

import gc
import weakref

import numpy as np
import pytest

from casemate.guard.call import Action, Reply
from casemate.guard.guard import Guard
from casemate.guard.marks import HEADER, make_mark
from casemate.guard.policy import CaptureTable, RouteTable
from casemate.guard.release import HOLD
from casemate.records.event import Event, Measures
from casemate.targets.wire import chat, oip
from casemate.targets.wire.tensor import Tensor
from tests.guard.traffic import (
    AT,
    KEYS,
    PATH,
    WRITER,
    Judge,
    call,
    enforcing,
    guard,
    image,
    passed,
    policy,
    scored,
    sent,
)

REPLY = scored([[0.25, 0.75]])
FORWARD = Action("forward")
BODY = image().body


def test_a_question_and_its_answer_are_one_event():
    route = RouteTable(
        match="/v2/models/*/infer", name="digits-api", component="digits-model",
        trained="2026-03-01", newest_row="2026-02-27T12:00:00", version="3",
    )  # fmt: skip
    judge = Judge(Measures(near=0.5, near_to="w-1:7"))
    made = guard(judge, route=(route,))
    ask = made.ask(image())
    assert ask.action == FORWARD
    exchange, ids = judge.seen[0]
    assert ids == [f"{WRITER}:0"]
    assert (exchange.principal, exchange.model, exchange.version) == ("ann", "digits", "3")
    assert exchange.x.shape == (1, 784)
    found = made.answer(ask, REPLY, AT + 1234)
    assert found.reply is REPLY
    (event,) = found.events
    assert event == Event(
        writer=WRITER, sequence=0, at=AT, principal="ann", model="digits", version="3",
        route="digits-api", protocol="oip", request="0", status=200, took=1234,
        bytes_in=len(BODY), bytes_out=len(REPLY.body), input_digest=event.input_digest,
        output_digest=event.output_digest, components=("digits-model",),
        measures=Measures(near=0.5, near_to="w-1:7", label=1),
        trained=1_772_323_200_000_000, newest_row=1_772_193_600_000_000,
    )  # fmt: skip
    assert len(event.input_digest) == len(event.output_digest) == 32


def test_rows_of_a_batch_are_events_of_their_own_linked_by_request():
    made = guard(Judge())
    passed(made, image(), REPLY)
    _, events = passed(made, image(rows=3), scored([[0.1, 0.9], [0.9, 0.1], [0.2, 0.8]]))
    assert [(one.sequence, one.request, one.row, one.rows) for one in events] == [
        (1, "1", 0, 3),
        (2, "1", 1, 3),
        (3, "1", 2, 3),
    ]
    assert [one.measures.label for one in events] == [1, 0, 1]
    assert len({one.input_digest for one in events}) == 3
    assert len({one.output_digest for one in events}) == 3
    again = passed(made, image(rows=3), scored([[0.1, 0.9], [0.9, 0.1], [0.2, 0.8]]))[1]
    assert [one.input_digest for one in again] == [one.input_digest for one in events]


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
@pytest.mark.parametrize("path", ["/v2/health/ready", "/metrics", PATH])
def test_what_is_no_inference_leaves_no_event(method, path):
    made = guard(Judge())
    reply, events = passed(made, call(b"", method=method, path=path), REPLY)
    assert (reply, events, made.open) == (REPLY, [], 0)


HOSTILE = {
    "malformed": call(b'{"inputs": ['),
    "wrong length": call(BODY.replace(b"[1,784]", b"[1,785]")),
    "nan": call(b'{"inputs":[{"name":"x","shape":[1],"datatype":"FP32","data":[nan]}]}'),
    "infinite": call(b'{"inputs":[{"name":"x","shape":[1],"datatype":"FP32","data":[1e999]}]}'),
    "huge shape": call(b'{"inputs":[{"name":"x","shape":[99999999999],"datatype":"FP32"}]}'),
    "doubled": call(b'{"inputs":[],"inputs":[]}'),
    "deep": call(b"[" * 100_000),
    "binary rubbish": call(bytes(range(256)) * 40),
    "unknown protocol": call(b"\x00\x01", path="/v3/score"),
    "unknown encoding": call(b"x", more=(("content-encoding", "br"),)),
    "cut gzip": call(b"\x1f\x8b\x08", more=(("content-encoding", "gzip"),)),
    "two lengths": call(BODY, more=((oip.HEAD, "1"), (oip.HEAD, "2"))),
    "length of rubbish": call(BODY, more=((oip.HEAD, "\xb2"),)),
    "10,000 headers": call(b"{", more=tuple((f"h{n}", "x") for n in range(10_000))),
    "get with a body": call(BODY, method="GET", path="/elsewhere"),
    "text": call(b"hello", kind="text/html"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_cannot_be_read_is_served_counted_and_named_in_observe_mode(name):
    judge = Judge()
    made = guard(judge)
    reply, events = passed(made, HOSTILE[name], REPLY)
    assert reply is REPLY
    (event,) = events
    assert (event.kind, event.lost, event.principal) == ("bypassed", 1, "ann")
    assert event.note
    assert "\n" not in event.note
    assert len(event.note) <= 300
    assert not judge.seen
    assert made.failures == 0


@pytest.mark.parametrize("name", HOSTILE)
def test_a_closed_route_refuses_it_once_the_guard_enforces(name):
    route = RouteTable(match="/**", fail="closed")
    made = guard(Judge(), mode="enforce", route=(route,))
    ask = made.ask(HOSTILE[name])
    assert ask.action.reply.status in (400, 413)
    found = made.answer(ask, None, AT)
    assert found.reply == ask.action.reply
    (event,) = found.events
    assert (event.kind, event.decision, event.enforced) == ("refused", "refuse", True)
    observing = guard(Judge(), route=(route,))
    reply, (event,) = passed(observing, HOSTILE[name], REPLY)
    assert reply is REPLY
    assert (event.kind, event.decision, event.enforced) == ("bypassed", "refuse", False)


def test_a_body_over_the_limit_packed_or_not():
    made = guard(max_body=1000)
    for asked in (call(b"x" * 1001), image()):
        _, (event,) = passed(made, asked, REPLY)
        assert (event.kind, "1000" in event.note) == ("bypassed", True)
    ask = made.ask(call(b""), oversized=True)
    assert made.answer(ask, REPLY, AT).events[0].kind == "bypassed"
    closed = guard(mode="enforce", max_body=10, route=(RouteTable(match="/**", fail="closed"),))
    assert closed.ask(call(b""), oversized=True).action.reply.status == 413


def test_garbage_is_no_way_round_an_order():
    made = enforcing("block")
    for name, asked in HOSTILE.items():
        assert passed(made, asked, REPLY)[0].status == 403, name


def test_an_answer_that_was_to_be_changed_and_cannot_be():
    unread = call(b'{"inputs":[{"name":"x","shape":[1],"datatype":"FP32","data":[nan]}]}')
    open_ = enforcing("coarsen")
    reply, (event,) = passed(open_, unread, REPLY)
    assert reply is REPLY
    assert (event.decision, event.enforced) == ("coarsen", False)
    odd = Reply(200, (("content-type", "application/json"),), b'{"something": "else"}')
    _, (event,) = passed(open_, image(), odd)
    assert (event.decision, event.enforced) == ("coarsen", False)
    assert "cannot be read" in event.note
    closed = enforcing("coarsen", route={"fail": "closed"})
    reply, (event,) = passed(closed, image(), odd)
    assert reply.status == 502
    assert (event.decision, event.enforced) == ("refuse", True)


@pytest.mark.parametrize("where", ["look", "weigh"])
def test_a_judge_that_fails_costs_no_request(where):
    made = guard(Judge(raises=where))
    reply, (event,) = passed(made, image(), REPLY)
    assert reply is REPLY
    assert "ZeroDivisionError" in event.note
    assert event.kind == ("bypassed" if where == "look" else "inference")
    assert made.failures == (1 if where == "look" else 0)


@pytest.mark.parametrize("found", [None, [], [Measures()] * 5, "x"])
def test_a_judge_that_measures_nonsense_costs_no_request(found):
    judge = Judge()
    judge.look = lambda exchange, ids: found
    reply, events = passed(guard(judge), image(rows=2), scored([[0.1, 0.9]] * 2))
    assert reply.status == 200
    assert [one.sequence for one in events] == [0, 1]


def test_a_fault_of_the_guard_itself_costs_no_request(monkeypatch):
    made = guard()
    monkeypatch.setattr("casemate.guard.guard.protocols.question", lambda *_: 1 / 0)
    ask = made.ask(image())
    assert ask.action == FORWARD
    found = made.answer(ask, REPLY, AT)
    assert found.reply is REPLY
    assert (found.events[0].kind, found.events[0].lost) == ("bypassed", 1)
    monkeypatch.undo()
    monkeypatch.setattr("casemate.guard.outcome.protocols.answer", lambda *_: 1 / 0)
    reply, (event,) = passed(made, image(), REPLY)
    assert reply is REPLY
    assert (event.kind, event.sequence, made.failures) == ("bypassed", 1, 2)


@pytest.mark.parametrize(
    ("reply", "why", "told", "kind", "status"),
    [
        (None, "connection refused", 502, "failed", 502),
        (None, "the caller left", 0, "failed", 0),
        (Reply(503, (), b"busy"), "", 502, "failed", 503),
        (Reply(400, (), b"bad shape"), "", 502, "failed", 400),
        (Reply(200, (), b"not what was asked"), "", 502, "inference", 200),
        (Reply(200, (("content-encoding", "gzip"),), b"no gzip"), "", 502, "inference", 200),
    ],
)
def test_an_upstream_that_is_down_or_lies(reply, why, told, kind, status):
    made = guard(Judge())
    ask = made.ask(image())
    found = made.answer(ask, reply, AT + 5, why=why, status=told)
    (event,) = found.events
    assert (event.kind, event.status) == (kind, status)
    assert found.reply.status == (reply.status if reply else told or 502)
    assert reply is None or found.reply is reply
    assert why in (event.note or "")


def test_a_slow_answer_follows_its_question():
    made = guard(Judge())
    slow, quick = made.ask(image(1)), made.ask(image(2))
    assert made.answer(quick, REPLY, AT + 1000).events == []
    early = made.due(AT + 1000 + HOLD)
    assert [(one.sequence, one.kind, one.status) for one in early] == [
        (0, "inference", 0),
        (1, "inference", 200),
    ]
    (late,) = made.answer(slow, REPLY, AT + 900_000).events
    assert (late.sequence, late.kind, late.request, late.row) == (2, "answered", "0", 0)
    assert (late.measures.label, late.took, late.status) == (1, 900_000, 200)
    assert late.input_digest == early[0].input_digest
    assert made.open == 0


def test_bypasses_gaps_and_the_guards_own_days_are_on_record_in_order():
    made = guard()
    events = [
        *made.say("started", AT),
        *made.bypass(17, AT + 1, "the proxy could not ask"),
        *made.gap(AT, AT + 5, "nobody looked", lost=3),
    ]
    assert [(one.sequence, one.kind, one.lost, one.until) for one in events] == [
        (0, "started", 0, None),
        (1, "bypassed", 17, None),
        (2, "gap", 3, AT + 5),
    ]
    waiting = made.ask(image())
    assert made.bypass(1, AT, "x") == []
    assert [one.kind for one in made.answer(waiting, REPLY, AT).events] == ["inference", "bypassed"]
    made.ask(image())
    assert [one.kind for one in made.rest()] == ["inference"]


def test_streams_are_listened_to_and_never_held():
    made = guard(Judge())
    asked = sent(chat.encode_request("gpt", ["hello"], stream=True), path="/v1/chat/completions")
    ask = made.ask(asked)
    assert ask.question.streams
    listener = ask.stream()
    chunks = chat.encode_stream("gpt", ["one ", "two"])
    for chunk in chunks:
        listener.feed(chunk)
    assert listener.stream.text == "one two"
    found = made.answer(ask, Reply(200, (("content-type", chat.EVENTS),), b""), AT + 9)
    (event,) = found.events
    assert (event.protocol, event.model, event.bytes_out) == ("chat", "gpt", sum(map(len, chunks)))
    assert event.output_digest


def test_a_mark_of_the_red_team_counts_only_when_it_is_ours():
    run = "run-" + "0" * 26
    mark = make_mark(KEYS, run, AT + 10)
    asked = image()._replace(headers=(*image().headers, (HEADER, mark)))
    assert passed(guard(), asked, REPLY)[1][0].marked == run
    forged = asked._replace(headers=(*image().headers, (HEADER, mark[:-1] + "x")))
    assert passed(guard(), forged, REPLY)[1][0].marked is None
    assert passed(guard(), asked._replace(at=AT + 11), REPLY)[1][0].marked is None


@pytest.mark.parametrize(
    ("keep", "judge", "kept"),
    [
        ("nothing", Judge(Measures(signs=("x",))), False),
        ("suspicious", Judge(), False),
        ("suspicious", Judge(Measures(signs=("x",))), True),
        ("all", Judge(), True),
    ],
)
def test_payloads_are_kept_when_the_policy_says_so(keep, judge, kept):
    made = guard(judge, capture=CaptureTable(keep=keep))
    ask = made.ask(image())
    found = made.answer(ask, REPLY, AT)
    assert (found.events[0].payload is not None) is kept
    assert len(found.payloads) == kept
    if kept:
        (one,) = found.payloads
        assert (one.digest, one.principal, one.body) == (found.events[0].payload, "ann", BODY)


def test_the_caller_cannot_tell_a_watched_request_from_another():
    calm, tense = guard(Judge()), guard(Judge(Measures(signs=("query-burst",), near=1.0)))
    assert passed(calm, image(), REPLY)[0] is passed(tense, image(), REPLY)[0] is REPLY


def test_digests_of_two_people_do_not_meet():
    made = guard()
    bob = image()._replace(headers=(("x-user", "bob"),))
    ann = passed(made, image(), REPLY)[1][0]
    other = passed(made, bob, REPLY)[1][0]
    assert ann.input_digest != other.input_digest
    assert ann.output_digest != other.output_digest


def test_integers_floats_and_every_datatype_pass(tmp_path):
    made = Guard(policy(), keys=KEYS, judge=Judge(), writer=WRITER, root=tmp_path)
    for number, datatype in enumerate(("INT8", "UINT16", "INT64", "FP16", "BF16", "BOOL")):
        x = np.ones((2, 3), np.float32 if datatype == "BF16" else np.int64)
        for binary in (False, True):
            if datatype in ("FP16", "BF16") and not binary:
                continue
            asked = sent(oip.encode_request([Tensor("x", x, datatype)], binary=binary))
            _, events = passed(made, asked, scored([[0.1, 0.9]] * 2))
            assert [one.kind for one in events] == ["inference"] * 2, (datatype, number)


def test_nan_reaches_the_judges():
    judge = Judge()
    asked = call(b'{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","data":[NaN,1]}]}')
    (event,) = passed(guard(judge), asked, REPLY)[1]
    assert event.kind == "inference"
    np.testing.assert_array_equal(judge.seen[0][0].x, [[np.nan, 1]])


def test_a_principal_that_lies_is_noted():
    asked = image()._replace(headers=(("x-user", "ann"), ("x-user", "bob")))
    (event,) = passed(guard(), asked, REPLY)[1]
    assert event.principal == "ip:10.0.0.9"
    assert event.note == "x-user more than once"


def test_an_answered_request_is_let_go_at_once():
    """Inputs must not pile up until the garbage collector comes by."""
    made = guard()
    gc.collect()
    gc.disable()
    try:
        ask = made.ask(image())
        held = weakref.ref(ask.exchange.x.base)
        made.answer(ask, REPLY, AT)
        del ask
        assert held() is None
        slow, quick = made.ask(image()), made.ask(image())
        made.answer(quick, REPLY, AT)
        made.due(AT + HOLD)
        held = weakref.ref(slow.exchange.x.base)
        made.answer(slow, REPLY, AT + 2 * HOLD)
        del slow
        assert held() is None
    finally:
        gc.enable()
