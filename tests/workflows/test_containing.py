"""Containments: previewed, given, obeyed by a real guard, undone; evidence first."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest

from casemate.errors import UsageError
from casemate.store.cases import CaseBook
from casemate.store.orders import OrderBook
from casemate.workflows import cases, composing, containing
from tests.guard.traffic import call


@pytest.fixture
def workspace(scene, tmp_path, monkeypatch):
    monkeypatch.setenv("CASEMATE_KEYS", str(tmp_path / "keys"))
    with scene.open() as opened:
        yield opened


@contextmanager
def guarding(scene, mode="enforce"):
    import msgspec

    policy = msgspec.structs.replace(scene.loaded.config.guard, mode=mode)
    made = composing.compose(scene.loaded, policy)
    stop = threading.Event()

    def tend():
        while not stop.wait(0.05):
            made.turn(datetime.now(UTC))

    thread = threading.Thread(target=tend)
    thread.start()
    try:
        yield made.guard
    finally:
        stop.set()
        thread.join()
        made.close()


def status(guard, user):
    import time

    body = b'{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP64","data":[1,2]}]}'
    ask = guard.ask(call(body, user=user, at=time.time_ns() // 1000))
    return ask.action.reply.status if ask.action.reply is not None else 200


def test_a_preview_says_whom_it_reaches_and_does_nothing(scene, workspace):
    seen = containing.preview(
        scene.loaded, workspace, "latest", "throttle", by="ana", for_="30m",
        settings={"per_minute": 2},
    )  # fmt: skip
    (order,) = seen.orders
    assert (order.action, order.scope.principal) == ("rate", "mallory")
    assert order.settings == {"per_minute": 2}
    assert 1790 < (order.expires - order.at).total_seconds() <= 1800
    assert (seen.past.requests, seen.past.principals, seen.past.others) == (300, 1, 0)
    assert seen.past.model_requests == 600
    assert any("no guard" in one for one in seen.warnings)
    assert seen.changes
    assert OrderBook(workspace).active(datetime.now(UTC)) == ()
    whole = containing.preview(scene.loaded, workspace, "1", "coarsen", by="ana", reach="everybody")
    assert whole.past.principals == 41
    assert any("40 principals" in one for one in whole.warnings)


def test_a_guard_obeys_and_others_are_served(scene, workspace):
    with guarding(scene) as guard:
        made = containing.contain(scene.loaded, workspace, "latest", "block", by="ana")
        assert made.obeyed == (guard.writer,)
        assert made.waiting == ()
        assert status(guard, "mallory") == 403
        assert status(guard, "user-1") == 200
        assert made.incident.state == "contained"
        ended = containing.undo(
            scene.loaded, workspace, "latest", None, by="bo", why="it was a test"
        )
        assert status(guard, "mallory") == 200
    assert ended.incident.state == "open"
    assert [one.state for one in cases.view(workspace, "latest").orders] == ["undone"]
    kinds = [one.kind for one in CaseBook(workspace).log(made.incident.id).actions]
    assert kinds[-2:] == ["contained", "undone"]


def test_a_guard_that_only_observes_is_named(scene, workspace):
    with guarding(scene, "observe") as guard:
        seen = containing.preview(scene.loaded, workspace, "latest", "block", by="ana")
        assert any("only observes" in one for one in seen.warnings)
        assert guard.writer in seen.warnings[0]
        assert seen.changes


def test_evidence_comes_first_unless_it_is_an_emergency(scene, workspace):
    with workspace.writing() as database:  # a case that could not be frozen
        database.execute("UPDATE actions SET body = replace(body, '\"frozen\"', '\"noted\"')")
    with pytest.raises(UsageError, match="not frozen"):
        containing.contain(scene.loaded, workspace, "latest", "block", by="ana", wait=0)
    assert OrderBook(workspace).active(datetime.now(UTC)) == ()
    made = containing.contain(
        scene.loaded, workspace, "latest", "block", by="ana", wait=0, emergency=True
    )
    last = CaseBook(workspace).log(made.incident.id).actions[-1]
    assert "emergency" in last.text
    assert last.details["emergency"] is True


def test_of_two_who_contain_at_once_one_does(scene, workspace):
    seen = CaseBook(workspace).get("latest").version
    containing.contain(scene.loaded, workspace, "latest", "block", by="ana", wait=0, version=seen)
    with pytest.raises(UsageError, match="in the meantime by ana"):
        containing.contain(
            scene.loaded, workspace, "latest", "coarsen", by="bo", wait=0, version=seen
        )
    assert [one.action for one in OrderBook(workspace).active(datetime.now(UTC))] == ["block"]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"action": "explode"}, "no containment"),
        ({"action": "block", "for_": "soon"}, "length of time"),
        ({"action": "block", "by": " "}, "name"),
        ({"action": "block", "for_": "99999999d"}, "too long"),
        ({"action": "throttle", "settings": {"per_minute": "x"}}, "per_minute"),
        ({"action": "throttle", "settings": {"nosuch": 1}}, "no setting"),
    ],
)
def test_what_cannot_be_is_refused(scene, workspace, given, says):
    words = {"by": "ana", **given}
    with pytest.raises(UsageError, match=says):
        containing.contain(scene.loaded, workspace, "latest", wait=0, **words)
    with pytest.raises(UsageError, match="no containment"):
        containing.undo(scene.loaded, workspace, "latest", None, by="ana", why="x", wait=0)


def test_the_last_good_version_needs_a_place(scene, workspace):
    seen = containing.preview(scene.loaded, workspace, "latest", "last-good", by="ana")
    assert seen.orders == ()
    assert "last_good" in seen.changes[0]
    seen = containing.preview(
        scene.loaded, workspace, "latest", "last-good", by="ana", reach="model",
        settings={"upstream": "http://127.0.0.1:9"},
    )  # fmt: skip
    assert {one.action for one in seen.orders} == {"route"}
    assert seen.orders[0].scope.model


def test_an_order_that_cannot_be_kept_leaves_the_case_as_it_was(scene, workspace, monkeypatch):
    before = CaseBook(workspace).get("latest")

    def refuse(*_):
        raise UsageError("there is another order")

    with monkeypatch.context() as patched:
        patched.setattr(containing, "insert", refuse)
        with pytest.raises(UsageError, match="another order"):
            containing.contain(scene.loaded, workspace, "latest", "block", by="ana", wait=0)
    assert CaseBook(workspace).get("latest") == before


def test_a_case_closed_meanwhile_is_not_contained(scene, workspace, monkeypatch):
    real = containing.preview

    def closed_meanwhile(*given, **more):
        seen = real(*given, **more)
        cases.close(workspace, "latest", "it was us", by="bo")
        return seen

    monkeypatch.setattr(containing, "preview", closed_meanwhile)
    with pytest.raises(UsageError, match="in the meantime by bo"):
        containing.contain(scene.loaded, workspace, "latest", "block", by="ana", wait=0)
    assert OrderBook(workspace).active(datetime.now(UTC)) == ()
