"""Work that takes longer than a page: once at a time, told of when it ends, whatever happens."""

import threading

import pytest

from casemate.console import jobs
from casemate.console.jobs import Jobs
from casemate.errors import CasemateError, Conflict, UsageError


def test_quick_work_is_waited_for():
    made = Jobs()
    assert made.start("a", lambda: 7, wait=30).result == 7
    assert made.last("a").error is None
    assert not made.running("a")


def test_slow_work_goes_on_and_is_not_begun_twice():
    made, go, began = Jobs(), threading.Event(), []

    def work():
        began.append(1)
        go.wait(30)
        return "done"

    assert made.start("a", work, wait=0) is None
    assert made.running("a")
    assert made.last("a") is None
    assert made.start("a", work, wait=0) is None
    told = made.told
    go.set()
    assert made.start("a", work, wait=30).result == "done"
    assert began == [1]
    assert made.told > told


def test_who_asks_for_something_else_is_told_and_not_handed_it():
    made, go = Jobs(), threading.Event()
    assert made.start("a", lambda: go.wait(30) and "whole", wait=0, asked=("ann",)) is None
    for asked in ((), ("bob",), ("ann", "principals")):
        with pytest.raises(Conflict, match="under way"):
            made.start("a", lambda: "redacted", wait=0, asked=asked)
    go.set()
    assert made.start("a", lambda: "whole", wait=30, asked=("ann",)).result == "whole"
    assert made.start("a", lambda: "redacted", wait=30, asked=("bob",)).result == "redacted"


def test_what_fails_says_why():
    made = Jobs()

    def fails():
        raise UsageError("no", hint="yes")

    done = made.start("a", fails, wait=30)
    assert (str(done.error), done.error.hint) == ("no", "yes")
    assert list(made.failed()) == ["a"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_fault_is_no_success():
    made = Jobs()
    done = made.start("a", lambda: 1 / 0, wait=30)
    assert isinstance(done.error, CasemateError)


def test_there_is_room_for_only_so_much():
    made, go = Jobs(), threading.Event()
    for number in range(jobs._MOST):
        made.start(str(number), lambda: go.wait(30), wait=0)
    with pytest.raises(CasemateError, match="under way"):
        made.start("more", lambda: 1, wait=0)
    go.set()
