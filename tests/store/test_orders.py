"""The order book: shared by processes, survives them, and lets go of orders by itself."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from casemate.errors import UsageError
from casemate.records.make import make, new_id
from casemate.records.order import Order, Scope
from casemate.store.orders import OrderBook
from casemate.store.workspace import Workspace

NOW = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)


def an_order(minutes: float = 60, **fields) -> Order:
    given = {
        "id": new_id("ord"),
        "at": NOW,
        "expires": NOW + timedelta(minutes=minutes),
        "action": "rate",
        "scope": Scope(principal="eve"),
        "author": "ana",
        "reason": "hunts for a border",
        "settings": {"per_minute": 5},
    }
    return make(Order, **{**given, **fields})


@pytest.fixture
def workspace(tmp_path):
    with Workspace.open(tmp_path / ".casemate") as opened:
        yield opened


@pytest.fixture
def book(workspace):
    return OrderBook(workspace)


def test_an_order_holds_until_it_expires(book):
    order = an_order(minutes=60)
    assert book.active(NOW) == ()
    assert book.add(order)
    assert book.active(NOW) == (order,)
    assert book.active(NOW + timedelta(minutes=59, seconds=59.999999)) == (order,)
    assert book.active(NOW + timedelta(minutes=60)) == ()


def test_it_holds_at_once_though_its_author_is_ahead_in_time(book):
    order = an_order(at=NOW + timedelta(seconds=90))
    book.add(order)
    assert book.active(NOW) == (order,)


def test_it_is_undone_at_once_and_both_stay_on_record(book):
    order, other = an_order(), an_order()
    book.add(order)
    book.add(other)
    undo = book.undo(order.id, author="bo", reason="it was our own scanner", now=NOW)
    assert book.active(NOW) == (other,)
    assert [one for _, one in book.history()] == [order, other, undo]
    assert undo.expires > order.expires


def test_an_undo_that_arrives_first_still_ends_the_order(book):
    order = an_order()
    undo = an_order(action="undo", undoes=order.id, settings={})
    book.add(undo)
    book.add(order)
    assert book.active(NOW) == ()


def test_the_same_order_again_is_no_second_one(book):
    order = an_order()
    assert book.add(order)
    assert not book.add(order)
    assert len(book.history()) == 1
    with pytest.raises(UsageError, match="another order"):
        book.add(msgspec.structs.replace(order, reason="something else"))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"expires": NOW - timedelta(seconds=1)}, "expires before"),
        ({"action": "undo"}, "must name"),
        ({"undoes": "ord-x"}, "must name"),
        ({"id": "ord-a", "action": "undo", "undoes": "ord-a"}, "undoes itself"),
        ({"at": NOW.replace(tzinfo=None)}, "zone"),
    ],
)
def test_an_order_that_cannot_be_is_refused(book, fields, words):
    with pytest.raises(UsageError, match=words):
        book.add(an_order(**fields))
    assert book.history() == []


def test_what_cannot_be_undone_is_said(book):
    book.add(an_order(id="ord-aa1"))
    book.add(an_order(id="ord-aa2"))
    for which, words in {"ord-b": "no order", "aa": "2 orders"}.items():
        with pytest.raises(UsageError, match=words):
            book.undo(which, author="bo", reason="x", now=NOW)
    book.undo("aa1", author="bo", reason="x", now=NOW)
    with pytest.raises(UsageError, match="no order"):
        book.undo("aa1", author="bo", reason="x", now=NOW)


def test_history_goes_on_where_it_was_left(book):
    book.add(an_order())
    ((number, _),) = book.history()
    assert book.history(number) == []
    later = an_order()
    book.add(later)
    assert [one for _, one in book.history(number)] == [later]


def test_another_process_sees_it_and_it_outlives_its_writer(workspace, book, tmp_path):
    body = """
import sys
from pathlib import Path
from datetime import UTC, datetime
from casemate.records.codec import decode
from casemate.store.orders import OrderBook
from casemate.store.workspace import Workspace
with Workspace.open(Path(sys.argv[1])) as workspace:
    OrderBook(workspace).add(decode(sys.argv[2].encode()))
    import os
    os._exit(9)
"""
    order = an_order()
    done = subprocess.run(
        [
            sys.executable, "-c", body, str(tmp_path / ".casemate"),
            msgspec.json.encode(order).decode(),
        ]
    )  # fmt: skip
    assert done.returncode == 9
    assert book.active(NOW) == (order,)
