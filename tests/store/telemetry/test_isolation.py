"""A query in a process of its own is stopped whatever it does."""

import time

import pytest

from casemate.errors import UsageError
from casemate.store.telemetry.columns import row, table
from casemate.store.telemetry.isolation import query
from tests.store.telemetry.samples import events


def ask(text, parameters=(), **bounds):
    limits = {"memory": "200MB", "threads": 2, "seconds": 1.0, "most": 1000}
    unsealed = table([row(one) for one in events(200)])
    return query([], unsealed, text, parameters, **(limits | bounds))


def test_answers_and_refusals_come_back():
    assert ask("SELECT sum(took), NULL, [1, 2] FROM events")[1] == [(256700, None, [1, 2])]
    with pytest.raises(UsageError, match="the query failed"):
        ask("SELECT no_such_column FROM events")
    with pytest.raises(UsageError, match="one SELECT"):
        ask("SELECT 1; SELECT 2")
    with pytest.raises(UsageError, match="a parameter that no query takes"):
        ask("SELECT ?", [object()])
    with pytest.raises(UsageError, match="characters"):
        ask("SELECT " + "1," * 100_000 + "1")


@pytest.mark.parametrize(
    "text",
    [
        "SELECT count(*) FROM range(10_000_000_000_000)",
        "WITH RECURSIVE r AS (SELECT 1 AS x UNION ALL SELECT x + 1 FROM r) SELECT count(*) FROM r",
        "SELECT list(a.marks) FROM events a, events b, events c",
        "SELECT repeat('x', 2_000_000_000)",
        "SELECT len(range(5_000_000_000))",
    ],
)
def test_without_end_or_too_large_it_is_stopped(text):
    began = time.monotonic()
    with pytest.raises(UsageError, match=r"more than|emory|failed|stopped"):
        ask(text)
    assert time.monotonic() - began < 30
