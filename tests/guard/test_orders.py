import contextlib
from datetime import UTC, datetime, timedelta

import pytest

from casemate.errors import UsageError
from casemate.guard.orders import Orders
from casemate.guard.policy import RuleTable
from casemate.records.event import Measures
from casemate.records.order import Order, Scope
from tests.guard.traffic import AT, KEYS, Judge, enforcing, guard, image, passed, policy, scored

NOW = datetime.fromtimestamp(AT / 1e6, UTC)
HOUR = 3_600_000_000
REPLY = scored([[0.1, 0.9]])


def order(action="block", ident="ord-1", lasts=timedelta(hours=1), **given):
    scope = given.pop("scope", Scope())
    return Order(
        id=ident, at=NOW, expires=NOW + lasts, action=action, scope=scope, author="Eve",
        reason="test", **given,
    )  # fmt: skip


def obeying(*orders, judge=None, **given):
    made = guard(judge, **{"mode": "enforce", **given})
    made.obey(orders)
    return made


def decision(made, call=None):
    return passed(made, call or image(), REPLY)[1][0]


def test_an_order_holds_until_it_expires_by_itself():
    made = obeying(order())
    assert (decision(made).decision, decision(made).order) == ("refuse", "ord-1")
    assert decision(made, image()._replace(at=AT + HOUR - 1)).decision == "refuse"
    assert decision(made, image()._replace(at=AT + HOUR)).decision == "pass"


def test_an_order_can_be_undone():
    made = obeying(order())
    assert decision(made).decision == "refuse"
    made.obey([order(), order("undo", "ord-2", undoes="ord-1")])
    assert decision(made).decision == "pass"
    made.obey([])
    assert decision(made).decision == "pass"


@pytest.mark.parametrize(
    ("scope", "reaches"),
    [
        (Scope(), True),
        (Scope(principal="ann"), True),
        (Scope(principal="bob"), False),
        (Scope(session="s"), False),
        (Scope(cluster=7), True),
        (Scope(cluster=8), False),
        (Scope(model="digits"), True),
        (Scope(model="other"), False),
        (Scope(route="/v2/models/digits/infer"), True),
        (Scope(principal="ann", cluster=8), False),
    ],
)
def test_a_scope_must_match_in_every_part(scope, reaches):
    made = obeying(order(scope=scope), judge=Judge(Measures(cluster=7)))
    assert (decision(made).decision == "refuse") is reaches


def test_in_observe_mode_an_order_is_recorded_and_not_carried_out():
    made = obeying(order(), mode="observe")
    ask = made.ask(image())
    found = made.answer(ask, REPLY, AT + 1)
    assert found.reply is REPLY
    event = found.events[0]
    assert (event.kind, event.decision, event.enforced) == ("inference", "refuse", False)


@pytest.mark.parametrize("action", ["cluster-answer", "decoy"])
def test_what_is_not_the_models_own_answer_needs_two_approvals(action):
    settings = {"upstream": "http://127.0.0.1:1"} if action == "decoy" else {}
    bare = order(action, settings=settings)
    made = obeying(bare)
    assert "approver" in made.misunderstood["ord-1"]
    approved = order(action, approver="Ada", settings=settings)
    closed = obeying(approved, judge=Judge(Measures(cluster=1, size=5)))
    assert not closed.misunderstood
    assert decision(closed).decision == "pass"
    open_ = enforcing("log", Judge(Measures(cluster=1, size=5)))
    open_.obey([approved])
    assert decision(open_).decision == action


@pytest.mark.parametrize(
    ("action", "settings"),
    [
        ("rate", {"per_minutes": 3}),
        ("rate", {"per_minute": "many"}),
        ("rate", {"per_minute": -1}),
        ("rate", {"per_minute": float("nan")}),
        ("review", {"hold": 1}),
        ("route", {}),
    ],
)
def test_orders_that_cannot_be_understood_are_named_and_left_out(action, settings):
    made = obeying(order(action, settings=settings), order("block", "ord-2"))
    assert list(made.misunderstood) == ["ord-1"]
    assert decision(made).order == "ord-2"
    with pytest.raises(UsageError, match="rule-1"):
        Orders([RuleTable(when="always", action=action, settings=settings)], KEYS)


def test_a_rule_for_a_detection_waits_for_its_order():
    made = enforcing("block", Judge(Measures(signs=("query-burst",))), when="query-burst")
    assert decision(made).decision == "pass"


def test_rules_spare_a_declared_client_and_orders_do_not():
    from casemate.guard.guard import Guard
    from casemate.guard.policy import ClientTable

    client = ClientTable(
        name="lime", principals=("ann",), purpose="explainability", per_hour=2, reason="r"
    )
    rule = RuleTable(when="always", action="block")
    judge = Judge(Measures(signs=("query-burst",)))
    made = Guard(
        policy(mode="enforce", client=(client,), rule=(rule,)),
        keys=KEYS, judge=judge, writer="w-0123456789abcdef",
    )  # fmt: skip
    assert [decision(made).decision for _ in range(3)] == ["pass", "pass", "refuse"]
    again = Guard(policy(mode="enforce", client=(client,)), keys=KEYS, writer="w-0")
    again.obey([order()])
    event = decision(again)
    assert (event.purpose, event.decision) == ("lime", "refuse")


@pytest.mark.parametrize(("text", "good"), [("1.5h", True), ("0s", False), ("2 y", False)])
def test_a_rule_lasts_as_long_as_everything_else_reads_it(text, good):
    rule = RuleTable(when="query-burst", action="block", for_=text)
    with contextlib.nullcontext() if good else pytest.raises(UsageError, match="length of time"):
        Orders([rule], KEYS)


def test_a_rule_that_is_not_the_models_own_needs_its_approver():
    with pytest.raises(UsageError, match="approver"):
        Orders([RuleTable(when="always", action="cluster-answer")], KEYS)
