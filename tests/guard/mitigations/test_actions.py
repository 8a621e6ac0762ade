"""contract, delay, block, route, decoy, cluster-answer and step-up, as a caller meets them."""

import itertools

import numpy as np
import pytest

from casemate.guard.mitigations.refusal import refuse
from casemate.guard.mitigations.step_up import ANSWER, solves
from casemate.guard.mitigations.table import STRENGTH, mitigations
from casemate.guard.policy import RouteTable, RuleTable
from casemate.records.event import Measures
from tests.guard.traffic import (
    AT,
    KEYS,
    Judge,
    call,
    enforcing,
    guard,
    image,
    passed,
    scored,
    served,
)

REPLY = scored([[0.25, 0.75]])


def test_every_action_of_an_order_has_its_mitigation():
    made = mitigations(KEYS)
    assert set(made) == {
        "rate", "information", "coarsen", "contract", "delay", "review", "step-up", "block",
        "route", "cluster-answer", "decoy",
    }  # fmt: skip
    assert max(STRENGTH, key=STRENGTH.__getitem__) == "refuse"


def test_contract_refuses_what_breaks_it_and_what_cannot_be_read():
    judge = Judge(Measures(broken=2, broken_by="age out of range"))
    made = enforcing("contract", judge)
    assert passed(made, image(), REPLY)[0].status == 400
    judge.measures = Measures()
    assert passed(made, image(), REPLY)[0] is REPLY
    assert passed(made, call(b"{"), REPLY)[0].status == 400
    judge.measures = Measures(broken=2)
    assert passed(enforcing("contract", judge, settings={"cells": 3}), image(), REPLY)[0] is REPLY


def test_delay_is_the_same_for_all_and_never_long():
    made = enforcing("delay", settings={"seconds": 2})
    asks = [made.ask(image(seed)) for seed in range(5)]
    assert {ask.action.delay for ask in asks} == {2.0}
    assert enforcing("delay", settings={"seconds": 9999}).ask(image()).action.delay == 30.0
    assert made.answer(asks[0], REPLY, AT + 1).reply is REPLY


def test_block_refuses_in_the_words_of_every_refusal():
    blocked, _ = passed(enforcing("block"), image(), REPLY)
    assert blocked == refuse("oip", 403)
    assert refuse("oip", 403).body == refuse("oip", 429).body == refuse("oip", 400).body
    grpc = refuse("oip-grpc", 429)
    assert (grpc.status, dict(grpc.headers)["grpc-status"]) == (200, "8")


@pytest.mark.parametrize("action", ["route", "decoy"])
def test_another_upstream_answers(action):
    made = enforcing(action, settings={"upstream": "http://10.0.0.5:8080"})
    ask = made.ask(image())
    assert (ask.action.kind, ask.action.upstream) == ("forward", "http://10.0.0.5:8080")
    event = made.answer(ask, REPLY, AT + 1).events[0]
    assert (event.decision, event.enforced) == (action, True)


def test_the_strongest_of_several_counts_and_the_rest_still_work():
    route = RouteTable(match="/**", approver="Ada")
    rules = (
        RuleTable(when="always", action="delay", settings={"seconds": 1}),
        RuleTable(when="always", action="coarsen"),
        RuleTable(when="always", action="route", settings={"upstream": "http://x"}),
    )
    made = guard(mode="enforce", route=(route,), rule=rules)
    ask = made.ask(image())
    assert (ask.action.delay, ask.action.upstream) == (1.0, "http://x")
    found = made.answer(ask, scored([[0.26, 0.74]]), AT + 1)
    np.testing.assert_array_equal(served(found.reply), [[0.3, 0.7]])
    assert found.events[0].decision == "route"


def test_a_cluster_gets_one_answer_and_the_attacker_sees_a_flat_surface():
    judge = Judge(Measures(cluster=5, size=1))
    made = enforcing("cluster-answer", judge)
    rng = np.random.default_rng(0)
    first = rng.dirichlet(np.ones(10), 1)
    got = [served(passed(made, image(), scored(first))[0])]
    judge.measures = Measures(cluster=5, size=9)
    true = []
    for seed in range(200):
        true.append(rng.dirichlet(np.ones(10), 1))
        reply, events = passed(made, image(seed), scored(true[-1]))
        got.append(served(reply))
        assert events[0].served_digest not in (None, events[0].output_digest)
    # What it buys: no query but the first tells anything.
    assert len({one.tobytes() for one in got}) == 1
    assert len({one.tobytes() for one in true}) == 200
    np.testing.assert_array_equal(got[0], first)
    judge.measures = Measures(cluster=6, size=1)
    np.testing.assert_array_equal(served(passed(made, image(), scored(true[0]))[0]), true[0])


def test_rows_of_a_batch_are_answered_each_by_its_own_cluster():
    judge = Judge()
    made = enforcing("cluster-answer", judge)

    def batch(clusters, scores):
        judge.look = lambda exchange, ids: [Measures(cluster=c, size=9) for c in clusters]
        return served(passed(made, image(rows=3), scored(scores))[0])

    one = [[0.1, 0.9], [0.2, 0.8], [0.3, 0.7]]
    np.testing.assert_array_equal(batch([1, 2, None], one), one)
    other = [[0.6, 0.4], [0.7, 0.3], [0.8, 0.2]]
    np.testing.assert_array_equal(batch([2, 1, None], other), [[0.2, 0.8], [0.1, 0.9], [0.8, 0.2]])


def test_the_memory_of_clusters_is_bounded():
    judge = Judge()
    made = enforcing("cluster-answer", judge)
    does = made._orders._does["cluster-answer"]
    does._answers = {("digits", "", n, "p"): np.zeros(2) for n in range(1 << 16)}
    judge.measures = Measures(cluster=1 << 20, size=1)
    passed(made, image(), REPLY)
    assert len(does._answers) == 1 << 16


def challenge(made, **more):
    reply, events = passed(made, image()._replace(**more), REPLY)
    assert reply.status == 401
    assert events[0].decision == "step-up"
    said = dict(reply.headers)["www-authenticate"]
    return said.split('"')[1]


def work(text, bits):
    return next(str(n) for n in itertools.count() if solves(text, str(n), bits))


def test_work_opens_the_door_for_this_caller_this_body_and_this_time():
    bits = 8
    made = enforcing("step-up", settings={"bits": bits})
    answer = work(challenge(made), bits)
    solved = image()._replace(headers=(*image().headers, (ANSWER, answer)))
    assert passed(made, solved, REPLY)[0] is REPLY
    later = solved._replace(at=AT + 300_000_000)
    assert passed(made, later, REPLY)[0] is REPLY
    far = solved._replace(at=AT + 900_000_000)
    other = image(1)._replace(headers=solved.headers)
    thief = solved._replace(headers=(("x-user", "bob"), (ANSWER, answer)))
    wrong = solved._replace(headers=(*image().headers, (ANSWER, "x" * 1000)))
    for refused in (far, other, thief, wrong):
        if refused is not wrong and solves(challenge(made, **refused._asdict()), answer, bits):
            continue
        assert passed(made, refused, REPLY)[0].status == 401


def test_what_it_buys_each_bit_doubles_the_work():
    tries = [int(work(f"challenge {n}", bits)) + 1 for bits in (4, 8) for n in range(64)]
    assert sum(tries[64:]) > 6 * sum(tries[:64])


def test_a_second_factor_that_the_gateway_vouches_for():
    made = enforcing("step-up", settings={"header": "X-MFA"})
    assert passed(made, image(), REPLY)[0].status == 401
    strong = image()._replace(headers=(*image().headers, ("x-mfa", "totp")))
    assert passed(made, strong, REPLY)[0] is REPLY
