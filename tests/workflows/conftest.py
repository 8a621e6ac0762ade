"""A small real project to run workflows on: a linear torch model on scikit-learn's digits."""

import contextlib
import shutil

import numpy as np
import pytest

from casemate.workflows.assess import assess

MODEL = """
from pathlib import Path
import torch

HERE = Path(__file__).parent

def load():
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
    net.load_state_dict(torch.load(HERE / "w.pt", weights_only=True))
    return net
"""


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    import torch
    from sklearn.datasets import load_digits
    from sklearn.linear_model import LogisticRegression

    folder = tmp_path_factory.mktemp("trained")
    source = load_digits()
    x = (source.images / 16).astype(np.float32)
    fitted = LogisticRegression(max_iter=300).fit(x[:1000].reshape(1000, -1), source.target[:1000])
    state = {
        "1.weight": torch.tensor(fitted.coef_, dtype=torch.float32),
        "1.bias": torch.tensor(fitted.intercept_, dtype=torch.float32),
    }
    torch.save(state, folder / "w.pt")
    np.savez(folder / "d.npz", x=x[1000:1060, None], y=source.target[1000:1060])
    (folder / "m.py").write_text(MODEL)
    return folder


CONFIG = """
version = 1
[model]
target = "torch:m.py:load"
data = "d.npz"
[scan]
paths = ["w.pt"]
[attack]
eps = { linf = 0.1 }
inputs = 20
"""
SHORT = CONFIG + 'skip = ["extraction-surrogate"]\n'
"""Copying the model takes longer than all the rest; one assessment with it is enough."""


@pytest.fixture
def project(trained, tmp_path, monkeypatch):
    for name in ("w.pt", "d.npz", "m.py"):
        (tmp_path / name).write_bytes((trained / name).read_bytes())
    (tmp_path / "casemate.toml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def short(project):
    """The project, with nothing to do that takes long."""
    (project / "casemate.toml").write_text(SHORT)
    return project


@pytest.fixture(scope="session")
def once(trained, tmp_path_factory):
    """A short project that was assessed, and what came of it."""
    folder = tmp_path_factory.mktemp("once")
    for name in ("w.pt", "d.npz", "m.py"):
        (folder / name).write_bytes((trained / name).read_bytes())
    (folder / "casemate.toml").write_text(SHORT)
    with contextlib.chdir(folder):
        return folder, assess(minutes=0.2)


@pytest.fixture
def assessed(once, tmp_path, monkeypatch):
    """A copy of it, with its workspace."""
    shutil.copytree(once[0], tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path
