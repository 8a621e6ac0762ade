"""Whoever fails too often waits; nobody else does, however many fail."""

from casemate.console import limits
from casemate.console.limits import Failures


def test_one_address_waits_and_another_does_not():
    now = [0.0]
    failures = Failures(clock=lambda: now[0])
    for _ in range(limits.EACH):
        assert failures.wait("10.0.0.1") == 0
        failures.failed("10.0.0.1")
        now[0] += 1
    assert 50 < failures.wait("10.0.0.1") <= limits.WINDOW
    assert failures.wait("10.0.0.2") == 0
    now[0] += failures.wait("10.0.0.1")
    assert failures.wait("10.0.0.1") == 0
    failures.failed("10.0.0.1")
    assert failures.wait("10.0.0.1") > 0


def test_getting_in_is_forgiven():
    failures = Failures(clock=lambda: 0.0)
    for _ in range(limits.EACH):
        failures.failed("10.0.0.1")
    failures.passed("10.0.0.1")
    assert failures.wait("10.0.0.1") == 0


def test_many_addresses_lock_nobody_out_and_cost_little():
    now = [0.0]
    failures = Failures(clock=lambda: now[0])
    for number in range(limits.LISTED):
        assert failures.failed(f"10.0.{number}.1") == 0
    for number in range(7):
        assert failures.failed(f"10.1.{number}.1") is None
    assert failures.wait("192.0.2.1") == 0
    now[0] += limits.WINDOW
    assert failures.failed("192.0.2.1") == 7
    assert failures.failed("192.0.2.1") == 0
    for number in range(3 * limits._MOST):
        failures.failed(f"{number}")
    assert len(failures._times) <= limits._MOST
