"""attack as a job: records kept, unchanged inputs taken from the workspace, payloads stored."""

import io
import time

import numpy as np
import pytest

from casemate.errors import UsageError
from casemate.workflows import config
from casemate.workflows.attacking import attack_once, parse_settings, take_step
from casemate.workflows.job import Job, open_workspace
from casemate.workflows.opening import open_both


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


def test_a_function_whose_weights_lie_elsewhere_is_measured_again_when_they_change(project):
    import torch

    (project / "f.py").write_text(
        "import numpy as np, torch\nfrom m import load\n\nnet = load()\n\n"
        "def predict(x):\n"
        "    with torch.no_grad():\n"
        "        return net(torch.as_tensor(x, dtype=torch.float32)).softmax(1).numpy()\n"
    )
    loaded = config.read()
    asked = {"target": "python:f.py:predict", "budget": 5}
    with open_workspace(None, loaded) as workspace:
        first = attack_once(loaded, "evasion-square", workspace=workspace, **asked)
        same = attack_once(loaded, "evasion-square", workspace=workspace, **asked)
        state = torch.load(project / "w.pt", weights_only=True)
        torch.save({**state, "1.weight": -state["1.weight"]}, project / "w.pt")
        other = attack_once(loaded, "evasion-square", workspace=workspace, **asked)
    assert same.trial.id == first.trial.id
    assert other.trial.id != first.trial.id
    assert other.trial.clean.value < first.trial.clean.value


def test_a_changed_training_function_is_measured_again(project):
    code = "from sklearn.{} import {} as C\n\ndef train(x, y):\n    return C().fit({}, y)\n"
    (project / "t.py").write_text(code.format("dummy", "DummyClassifier", "x"))
    toml = project / "casemate.toml"
    toml.write_text(toml.read_text().replace("[model]\n", '[model]\ntrain = "t.py:train"\n'))
    loaded = config.read()
    asked = {"inputs": 60, "params": {"repeats": 1}}
    with open_workspace(None, loaded) as workspace:
        first = attack_once(loaded, "poisoning-label-flip", workspace=workspace, **asked)
        (project / "t.py").write_text(code.format("dummy", "DummyClassifier", "x * 1"))
        other = attack_once(loaded, "poisoning-label-flip", workspace=workspace, **asked)
    assert other.trial.id != first.trial.id


def test_what_ran_out_of_time_is_not_taken_for_the_whole(project):
    loaded = config.read()
    with open_workspace(None, loaded) as workspace, open_both(loaded) as opened:
        job = Job("attack", loaded, workspace)
        asked = {"params": {"steps": 500}, "budget": None, "seed": 0, "inputs": None}
        with job:
            soon = time.monotonic() + 0.3
            short = take_step(
                job, opened, loaded, "evasion-fmn", device="cpu", deadline=soon, **asked
            )
            whole = take_step(job, opened, loaded, "evasion-fmn", device="cpu", **asked)
    assert short.state == "budget-spent"
    assert whole.id != short.id
    assert whole.state == "complete"
