"""OrderBook: the containments of a workspace, kept so that every guard on the machine obeys them.

Written by page, case and the streams that carry orders from other machines; read by every guard,
which asks `active` now and then. An order is never changed or deleted: it expires, or another order
undoes it, and both stay on record.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from casemate.errors import UsageError
from casemate.records.codec import decode, encode
from casemate.records.make import make, new_id
from casemate.records.order import Order

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from casemate.store.workspace import Workspace

_MICROSECOND = timedelta(microseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class OrderBook:
    """The orders of one workspace, shared by every process that opens it."""

    def __init__(self, workspace: Workspace) -> None:
        """Use an open workspace; it stays the caller's to close."""
        self._workspace = workspace

    def add(self, order: Order) -> bool:
        """Keep an order and say whether it was new; the same one again changes nothing.

        An undo may come before the order it ends: streams deliver in any order.

        Raises:
            UsageError: It expires before it is given, has no time zone, undoes nothing it names,
                or carries the id of a different order.
            StoreError: The workspace cannot be written.
        """
        with self._workspace.writing() as database:
            return insert(database, order)

    def active(self, now: datetime) -> tuple[Order, ...]:
        """Return the orders that hold at `now`, oldest first: not expired, and not undone.

        An order holds from when it is in the book, whatever its author's clock says.
        """
        with self._workspace.reading() as database:
            rows = database.execute(
                """SELECT body FROM orders AS one WHERE expires > ? AND undoes IS NULL
                AND NOT EXISTS (SELECT 1 FROM orders AS later WHERE later.undoes = one.id)
                ORDER BY id""",
                (_micros(now),),
            ).fetchall()
        return _orders(rows)

    def undo(self, which: str, *, author: str, reason: str, now: datetime) -> Order:
        """End an order at once and return the order that does it, to be sent to other guards.

        Arguments and errors as for `ending`.
        """
        undo = self.ending(which, author=author, reason=reason, now=now)
        self.add(undo)
        return undo

    def ending(self, which: str, *, author: str, reason: str, now: datetime) -> Order:
        """Return the order that ends another, not yet kept.

        Args:
            which: Its id, or the start of one.
            author: Who ends it.
            reason: Why.
            now: The present time.

        Raises:
            UsageError: There is none, more than one begins so, or it has ended already.
        """
        start = which if which.startswith("ord-") else f"ord-{which}"
        active = self.active(now)
        found = [one for one in active if one.id.startswith(start)]
        if len(found) != 1:
            known = ", ".join(one.id for one in found or active[-3:]) or "none"
            problem = (
                f"{len(found)} orders in force begin with" if found else "no order in force is"
            )
            raise UsageError(f"{problem} '{which}'", hint=f"in force: {known}")
        (ended,) = found
        return make(
            Order,
            id=new_id("ord"),
            at=now,
            # Outlives what it ends, so that a guard that hears of both keeps to the undo.
            expires=max(ended.expires, now) + timedelta(days=1),
            action="undo",
            scope=ended.scope,
            author=author,
            reason=reason,
            undoes=ended.id,
        )

    def history(self, after: int = 0) -> list[tuple[int, Order]]:
        """Return every order ever kept with its number in the book, those beyond `after`."""
        with self._workspace.reading() as database:
            rows = database.execute(
                "SELECT number, body FROM orders WHERE number > ? ORDER BY number", (after,)
            ).fetchall()
        return [(int(number), order) for number, body in rows for order in _orders([(body,)])]


def insert(database: sqlite3.Connection, order: Order) -> bool:
    """Keep an order within a transaction that somebody else began; as `OrderBook.add`."""
    _check(order)
    body = encode(order)
    row = database.execute("SELECT body FROM orders WHERE id = ?", (order.id,)).fetchone()
    if row is None:
        database.execute(
            "INSERT INTO orders (id, expires, undoes, body) VALUES (?, ?, ?, ?)",
            (order.id, _micros(order.expires), order.undoes, body),
        )
    elif bytes(row[0]) != body:
        raise UsageError(f"there is another order '{order.id}'", hint="orders never change")
    return row is None


def _orders(rows: Iterable[tuple[bytes]]) -> tuple[Order, ...]:
    return tuple(order for (body,) in rows if isinstance(order := decode(body), Order))


def _check(order: Order) -> None:
    if order.at.tzinfo is None or order.expires.tzinfo is None:
        raise UsageError(f"order '{order.id}' has a time without a zone", hint="orders are in UTC")
    if order.expires <= order.at:
        raise UsageError(f"order '{order.id}' expires before it is given")
    if (order.action == "undo") != (order.undoes is not None):
        raise UsageError(
            f"order '{order.id}' must name the order it undoes, if and only if its action is 'undo'"
        )
    if order.undoes == order.id:
        raise UsageError(f"order '{order.id}' undoes itself")


def _micros(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND
