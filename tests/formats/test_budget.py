"""What one file may cause is bounded, in every currency."""

import pytest

from casemate.errors import LimitExceeded
from casemate.formats.budget import EXPANDED, FREE, MEMBERS, RATIO, Budget


def test_a_small_file_may_expand_freely_and_no_further():
    budget = Budget(10)
    budget.spend_expansion(FREE, FREE, 1)
    assert not budget.expansion_spent
    with pytest.raises(LimitExceeded, match="fold"):
        budget.spend_expansion(1, FREE + 1, 1)
    assert budget.expansion_spent


def test_many_small_streams_add_up():
    budget = Budget(1000)
    for _ in range(100):
        budget.spend_expansion(FREE // 100, FREE // 100, FREE // 100)
    with pytest.raises(LimitExceeded, match="fold"):
        budget.spend_expansion(FREE // 10, FREE // 10, FREE // 10)


def test_a_large_file_still_has_an_end():
    budget = Budget(1 << 40)
    with pytest.raises(LimitExceeded, match="more than"):
        budget.spend_expansion(EXPANDED + 1, EXPANDED + 1, EXPANDED)


def test_ordinary_ratios_pass():
    Budget(1 << 30).spend_expansion(RATIO << 20, RATIO << 20, 1 << 20)


def test_members_are_counted():
    budget = Budget(1)
    budget.members = MEMBERS - 1
    budget.spend_member()
    with pytest.raises(LimitExceeded, match="members"):
        budget.spend_member()
