"""attack as a job: records kept, unchanged inputs taken from the workspace, payloads stored."""

import io

import numpy as np
import pytest

from casemate.errors import UsageError
from casemate.workflows import config
from casemate.workflows.attacking import attack_once, parse_settings
from casemate.workflows.job import open_workspace


def test_the_trial_and_its_payload_are_kept(project):
    loaded = config.read()
    with open_workspace(None, loaded) as workspace:
        done = attack_once(loaded, "evasion-pgd", params={"eps": "0.2"}, workspace=workspace)
        assert done.exit_code == 0
        assert done.trial.eps == 0.2
        assert done.trial.robust.value < done.trial.clean.value
        with np.load(io.BytesIO(workspace.get_blob(done.trial.adversarial))) as blob:
            assert np.abs(blob["adv"] - blob["x"]).max() <= 0.2
        command = done.bundle.commands[done.trial.id]
        assert command.startswith("casemate attack torch:m.py:load --data d.npz")
        again = attack_once(loaded, "evasion-pgd", params={"eps": 0.2}, workspace=workspace)
        assert again.trial.id == done.trial.id
        other = attack_once(loaded, "evasion-pgd", params={"eps": 0.2}, seed=1, workspace=workspace)
        assert other.trial.id != done.trial.id


def test_a_changed_model_is_measured_again(project):
    loaded = config.read()
    with open_workspace(None, loaded) as workspace:
        first = attack_once(loaded, "evasion-fgsm", workspace=workspace)
        (project / "m.py").write_text((project / "m.py").read_text() + "\n# changed\n")
        second = attack_once(loaded, "evasion-fgsm", workspace=workspace)
    assert first.trial.id != second.trial.id


def test_a_wrong_parameter_is_told_before_anything_is_opened(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="no parameter"):
        attack_once(config.read(), "evasion-pgd", params={"epz": 1}, target="onnx:none.onnx")


def test_set_wants_name_and_value():
    assert parse_settings(["eps=0.1", "norm=l2"]) == {"eps": "0.1", "norm": "l2"}
    with pytest.raises(UsageError):
        parse_settings(["eps"])
