"""A guard put together: rules held to the catalog, orders obeyed and said so, payloads erased."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta

import pytest

from casemate.errors import UsageError
from casemate.guard.policy import GuardTable, RuleTable
from casemate.records.make import make, new_id
from casemate.records.order import Order, Scope
from casemate.store.guards import GuardBook
from casemate.store.orders import OrderBook
from casemate.workflows import composing


@pytest.fixture
def keys(tmp_path, monkeypatch):
    monkeypatch.setenv("CASEMATE_KEYS", str(tmp_path / "keys"))


def test_a_guard_says_which_orders_it_obeys_and_which_it_cannot(tmp_path, keys):
    from casemate.workflows.config import Config, Loaded

    now = datetime.now(UTC)

    def order(action, **more):
        return make(
            Order, id=new_id("ord"), at=now, expires=now + timedelta(hours=1), action=action,
            scope=Scope(principal="eve"), author="ann", reason="a test", **more,
        )  # fmt: skip

    made = composing.compose(Loaded(config=Config(), root=tmp_path), GuardTable(mode="enforce"))
    book = OrderBook(made.workspace)
    block, decoy = order("block"), order("decoy")
    (standing,) = GuardBook(made.workspace).alive(time.time_ns() // 1000)
    assert (standing.mode, standing.obeys) == ("enforce", ())
    book.add(block)
    book.add(decoy)
    made.turn(datetime.now(UTC))
    (standing,) = GuardBook(made.workspace).alive(time.time_ns() // 1000)
    assert standing.writer == made.guard.writer
    assert standing.obeys == (block.id,)
    assert list(standing.refuses) == [decoy.id]
    assert GuardBook(made.workspace).alive(time.time_ns() // 1000 + 60_000_000) == []
    folder = made.workspace.folder
    made.close()
    from casemate.store.workspace import Workspace

    with Workspace.open(folder) as workspace:
        assert GuardBook(workspace).all() == []


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        (RuleTable(when="no-such", action="block"), "no entry"),
        (RuleTable(when="query-graph", action="block", for_="soon"), "length of time"),
        (RuleTable(when="query-graph", action="decoy"), "not the model's own"),
        (RuleTable(when="query-graph", action="block", scope="session"), "for a session"),
        (RuleTable(when="query-graph", action="block", scope="cluster"), "for a cluster"),
        (RuleTable(when="query-graph", action="block", scope="route"), "for a route"),
    ],
)
def test_rules_are_held_to_the_catalog_before_anything_is_served(tmp_path, keys, rule, says):
    from casemate.workflows.config import Config, Loaded

    loaded = Loaded(config=Config(), root=tmp_path)
    with pytest.raises(UsageError, match=says):
        composing.compose(loaded, GuardTable(rule=(rule,)))


def test_a_subject_is_erased(tmp_path, keys):
    from casemate.guard import keys as guard_keys
    from casemate.workflows.config import Config, Loaded
    from casemate.workflows.job import open_workspace

    loaded = Loaded(config=Config(), root=tmp_path)
    with open_workspace(None, loaded) as workspace:
        held = guard_keys.read(
            os.environ, tmp_path / "keys" / "guard.key", workspace=workspace.folder
        )
        vault = composing.vault(GuardTable(), workspace, held)
        vault.keep("0" * 32, "ann", "application/json", b"{}", at=time.time_ns() // 1000)
    assert composing.erase(loaded, "ann") == 1
    assert composing.erase(loaded, "ann") == 0
