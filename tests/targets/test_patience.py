from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from casemate.errors import TargetError
from casemate.targets.patience import Caps, Later, Patience, retry_after


def test_asks_again_and_counts_every_attempt() -> None:
    answers = iter([Later("answered 503"), Later("broke off", after=0.0), "ok"])
    patience = Patience(Caps(), seed=1)
    assert patience.call(3, lambda _: next(answers)) == "ok"
    assert (patience.requests, patience.inputs) == (3, 9)


def test_gives_up_with_one_line() -> None:
    patience = Patience(Caps(retries=2), seed=1)
    with pytest.raises(TargetError, match=r"answered 429, 3 times in a row") as caught:
        patience.call(1, lambda _: Later("answered 429", after=0.01))
    assert caught.value.retry
    assert patience.requests == 3
    with pytest.raises(TargetError, match="waiting 3600 s is too long"):
        patience.call(1, lambda _: Later("answered 429", after=3600))


def test_waits_grow() -> None:
    patience = Patience(Caps(retries=2), seed=1)
    start = time.monotonic()
    with pytest.raises(TargetError):
        patience.call(1, lambda _: Later("answered 503"))
    assert 0.37 <= time.monotonic() - start < 3


def test_the_spend_is_never_exceeded() -> None:
    patience = Patience(Caps(inputs=10, retries=0))
    for _ in range(3):
        patience.call(3, lambda _: "ok")
    with pytest.raises(TargetError, match="cap of 10 inputs") as caught:
        patience.call(3, lambda _: "ok")
    assert not caught.value.retry
    assert patience.inputs == 9
    patience.call(1, lambda _: "ok")
    with ThreadPoolExecutor(8) as pool:
        shared = Patience(Caps(requests=20))
        asked = [pool.submit(shared.call, 1, lambda _: "ok") for _ in range(40)]
        failed = sum(future.exception() is not None for future in asked)
    assert (shared.requests, failed) == (20, 20)


def test_rate() -> None:
    patience = Patience(Caps(rate=50.0))
    start = time.monotonic()
    for _ in range(11):
        patience.call(1, lambda _: "ok")
    assert time.monotonic() - start >= 0.2


def test_deadline_bounds_requests_and_waits() -> None:
    patience = Patience(Caps(timeout=9.0, deadline=0.2, retries=99), seed=1)
    granted: list[float] = []

    def send(seconds: float) -> Later:
        granted.append(seconds)
        return Later("answered 503", after=0.09)

    with pytest.raises(TargetError, match=r"too long|deadline"):
        patience.call(1, send)
    assert all(0 < seconds <= 0.2 for seconds in granted)
    time.sleep(0.2)
    with pytest.raises(TargetError, match=r"deadline of 0.2 s is over") as caught:
        patience.call(1, send)
    assert not caught.value.retry


def test_closing_wakes_who_waits() -> None:
    patience = Patience(Caps())
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(patience.call, 1, lambda _: Later("answered 503", after=30.0))
        time.sleep(0.05)
        patience.close()
        assert isinstance(future.exception(5), TargetError)


def test_retry_after() -> None:
    assert retry_after("3") == 3
    assert retry_after(None) is None
    assert retry_after("soon") is None
    assert retry_after("9" * 200) is None
    later = datetime.now(UTC) + timedelta(seconds=30)
    assert 25 < (retry_after(format_datetime(later, usegmt=True)) or 0) <= 30
    assert retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0
