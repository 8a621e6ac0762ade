"""An alias against a small registry; tests/journeys sets one back in a real MLflow."""

import pytest

from casemate.case.changes_mlflow import Moved, mlflow_alias, registered
from casemate.errors import TargetError, UsageError
from tests.servers.registry import registry


@pytest.fixture
def fraud():
    versions = [str(number) for number in range(1, 12)]
    with registry({"fraud": [versions, {"prod": "11", "shadow": "2"}]}) as held:
        yield held


def test_versions_are_in_order_and_aliases_as_they_stand(fraud):
    found = registered(fraud.url, "fraud", environ={})
    assert found.versions[-3:] == ("9", "10", "11")
    assert found.aliases == {"prod": "11", "shadow": "2"}
    assert registered(fraud.url, "other", environ={}) is None


def test_an_alias_is_moved_and_moved_back(fraud):
    moved = mlflow_alias(fraud.url, "fraud", "prod", "9", environ={})
    assert moved == Moved("fraud", "prod", "11", "9")
    assert fraud.models["fraud"][1] == {"prod": "9", "shadow": "2"}
    back = mlflow_alias(fraud.url, "fraud", "prod", moved.former, environ={})
    assert back.now == "11"


def test_an_alias_that_was_not_there_has_no_former_version(fraud):
    assert mlflow_alias(fraud.url, "fraud", "canary", "1", environ={}).former is None


@pytest.mark.parametrize(("model", "version"), [("other", "1"), ("fraud", "12"), ("fraud", "")])
def test_nothing_is_set_to_what_is_not_there(fraud, model, version):
    with pytest.raises(UsageError):
        mlflow_alias(fraud.url, model, "prod", version, environ={})
    assert fraud.models["fraud"][1]["prod"] == "11"


def test_a_registry_that_does_not_do_it_is_told():
    with (
        registry({"fraud": [["1", "2"], {"prod": "2"}]}, stubborn=True) as held,
        pytest.raises(TargetError, match="still stands for version 2"),
    ):
        mlflow_alias(held.url, "fraud", "prod", "1", environ={})
