"""Which folder a path means."""

import pytest

from casemate.errors import UsageError
from casemate.workflows.verifying import place, prove_event, verify_telemetry
from tests.store.telemetry.places import sealed


def test_the_nearest_telemetry_is_meant(tmp_path):
    made, _ = sealed(tmp_path, rounds=1)
    assert place(tmp_path) == made.folder
    assert place(made.folder) == made.folder
    assert verify_telemetry(tmp_path, witness=made.witness).answer == "whole"
    with pytest.raises(UsageError, match="is no event"):
        prove_event(tmp_path, "w-1:x")
    with pytest.raises(UsageError, match="no telemetry"):
        place(tmp_path / "keys")
