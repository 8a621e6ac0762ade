"""One account of rate, spending and time, whoever sends."""

from datetime import UTC, datetime, timedelta

import pytest

from casemate.errors import TargetError
from casemate.workflows.allowance import Allowance
from casemate.workflows.config import Config, Loaded
from casemate.workflows.job import open_workspace
from casemate.workflows.scope import Scope, Signed

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def signed(**changes):
    fields = {
        "version": 1, "name": "n", "approver": "a", "hosts": ("h:1",), "rate": 1000.0,
        "spend": 250, "not_before": NOW, "not_after": NOW + timedelta(hours=1),
    }  # fmt: skip
    return Signed(scope=Scope(**{**fields, **changes}), key="k", digest="sha256:1")


@pytest.fixture
def workspace(tmp_path):
    with open_workspace(None, Loaded(config=Config(), root=tmp_path)) as opened:
        yield opened


def test_nothing_goes_beyond_what_is_allowed_and_a_crash_gives_nothing_back(workspace):
    first = Allowance(signed(), workspace, lambda: NOW)
    for _ in range(120):
        first.permit(1)
    # It ends here without a word; the next one may not know better than what was put on account.
    second = Allowance(signed(), workspace, lambda: NOW)
    assert 120 <= second.spent <= 120 + 100
    with pytest.raises(TargetError, match="is spent"):
        second.permit(second.left + 1)
    second.permit(second.left)
    assert second.left == 0
    with pytest.raises(TargetError, match="is spent"):
        second.permit(1)


def test_what_was_not_sent_is_given_back_at_an_orderly_end(workspace):
    first = Allowance(signed(), workspace, lambda: NOW)
    first.permit(3)
    first.close()
    assert Allowance(signed(), workspace, lambda: NOW).spent == 3


def test_the_hour_is_asked_before_every_request(workspace):
    times = iter([NOW, NOW + timedelta(hours=1)])
    allowance = Allowance(signed(), workspace, lambda: next(times))
    allowance.permit(1)
    with pytest.raises(TargetError, match="holds from"):
        allowance.permit(1)


def test_all_share_one_rate(workspace):
    allowance = Allowance(signed(rate=10.0), workspace, lambda: NOW)
    waits = [allowance.permit(1) for _ in range(5)]
    assert waits[0] == 0
    assert waits[4] == pytest.approx(0.4, abs=0.05)
