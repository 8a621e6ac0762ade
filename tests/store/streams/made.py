"""Events, orders and detections for the tests of this folder, and patience."""

import time
from datetime import UTC, datetime, timedelta

from casemate.records.event import Event
from casemate.records.make import make, new_id
from casemate.records.order import Order, Scope

KEY = b"k" * 32
NOW = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
ANA, BO, EVE = (f"w-{digit * 16}" for digit in "abe")


def events(writer, first, last, **fields):
    """Return the events of a writer from one sequence to another, the last one left out."""
    return [
        make(Event, **{"writer": writer, "sequence": n, "at": 1000 * n, "model": "m", **fields})
        for n in range(first, last)
    ]


def order(**fields):
    given = {
        "id": new_id("ord"),
        "at": NOW,
        "expires": NOW + timedelta(hours=1),
        "action": "block",
        "scope": Scope(principal="eve"),
        "author": "ana",
        "reason": "walks along a border",
    }
    return make(Order, **{**given, **fields})


def taken(feed, count, seconds=15.0):
    """Take until there are so many, or the time is over."""
    found = []
    end = time.monotonic() + seconds
    while len(found) < count and time.monotonic() < end:
        found += feed.take(0.1)
    return found


def until(condition, seconds=15.0):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return condition()
