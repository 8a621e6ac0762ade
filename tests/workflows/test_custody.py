"""Who did what: names, times and figures as they go on a custody log."""

from datetime import UTC, datetime

import pytest

from casemate.errors import UsageError
from casemate.workflows import custody


def test_the_author_is_who_says_so(monkeypatch):
    monkeypatch.setenv("CASEMATE_USER", " Ada   Lovelace ")
    assert custody.author() == "Ada Lovelace"
    monkeypatch.setenv("CASEMATE_USER", "")
    assert custody.author()


@pytest.mark.parametrize("name", ["", "  ", "x" * 121])
def test_nobody_cannot_act(name):
    with pytest.raises(UsageError, match="name"):
        custody.action(name, "noted", "x")


def test_figures_must_be_figures():
    with pytest.raises(UsageError, match="nan"):
        custody.action("ada", "noted", "x", details={"rate": float("nan")})
    made = custody.action("ada", "noted", "x", details={"rate": 0.5})
    assert made.tool.startswith("casemate ")
    assert made.at.tzinfo is not None


def test_times_go_both_ways():
    at = datetime(2026, 11, 21, 3, 0, 0, 123456, tzinfo=UTC)
    assert custody.moment(custody.micros(at)) == at
