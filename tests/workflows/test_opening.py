"""Model and data are opened together; what the command line gives beats the configuration."""

import numpy as np
import pytest

from casemate.errors import UsageError
from casemate.workflows import config
from casemate.workflows.opening import open_both, resolve


def test_the_command_line_beats_the_configuration(project):
    np.savez(project / "other.npz", x=np.zeros((3, 1, 8, 8), np.float32), y=np.zeros(3, np.int64))
    with open_both(config.read(), data="other.npz") as opened:
        assert len(opened.data.x) == 3
        assert opened.model.shape == (1, 8, 8)


def test_paths_are_relative_to_the_configuration(project, monkeypatch, tmp_path_factory):
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    with open_both(config.read(project / "casemate.toml")) as opened:
        assert len(opened.data.x) == 60


def test_no_data_is_a_usage_error(project):
    (project / "casemate.toml").write_text('[model]\ntarget = "torch:m.py:load"\n')
    with pytest.raises(UsageError, match="no data"), open_both(config.read()):
        pass


def test_auto_is_a_device_that_is_there():
    assert resolve("auto") in ("cpu", "cuda")
    assert resolve("cpu") == "cpu"
