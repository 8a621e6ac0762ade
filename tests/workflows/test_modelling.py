"""threats as a job: from a description, or from a bare model."""

import pytest

from casemate.errors import UsageError
from casemate.workflows import config, modelling
from casemate.workflows.assess import assess
from casemate.workflows.job import open_workspace


def test_a_bare_model_has_threats_and_an_assessment_covers_some(short):
    loaded = config.read()
    with open_workspace(None, loaded) as workspace:
        before = modelling.model_threats(loaded, workspace)
        assert before.threats
        assert not any(threat.covered_by for threat in before.threats)
    assess(minutes=0.1)
    with open_workspace(None, loaded) as workspace:
        after = modelling.model_threats(loaded, workspace)
    assert any(threat.covered_by for threat in after.threats)


def test_nothing_described_is_a_usage_error(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    loaded = config.read()
    with open_workspace(None, loaded) as workspace, pytest.raises(UsageError, match="threats"):
        modelling.model_threats(loaded, workspace)
