"""Severities are ordered as the bug bar orders them."""

from casemate.records.severity import Severity


def test_order():
    assert Severity.CRITICAL.at_least(Severity.IMPORTANT)
    assert Severity.LOW.at_least(Severity.LOW)
    assert not Severity.MODERATE.at_least(Severity.IMPORTANT)
