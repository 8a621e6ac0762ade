import pytest

from casemate.errors import UsageError
from casemate.guard.clients import Clients
from casemate.guard.policy import ClientTable
from tests.guard.traffic import AT

HOUR = 3_600_000_000


def client(**given):
    said = {"name": "lime", "principals": ("xai-*", "ann"), "purpose": "explainability"}
    return ClientTable(**{**said, "per_hour": 100, "reason": "reports", **given})


def test_a_declared_client_has_its_allowance_and_no_more():
    clients = Clients([client()])
    assert clients.purpose("xai-7", 60, AT).name == "lime"
    assert clients.purpose("ann", 40, AT).name == "lime"
    assert clients.purpose("ann", 1, AT) is None
    assert clients.purpose("ann", 50, AT + HOUR // 2).name == "lime"
    assert clients.purpose("bob", 1, AT) is None
    assert clients.purpose("ann2", 1, AT) is None


def test_a_declaration_ends_with_its_day():
    clients = Clients([client(expires="2026-05-28")])
    last = 1_780_012_799_999_999
    assert clients.purpose("ann", 1, last).name == "lime"
    assert clients.purpose("ann", 1, last + 1) is None


def test_a_day_that_is_none_is_refused():
    with pytest.raises(UsageError, match="lime"):
        Clients([client(expires="soon")])
