"""A small real project to run workflows on: a linear torch model on scikit-learn's digits."""

import numpy as np
import pytest

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


@pytest.fixture
def project(trained, tmp_path, monkeypatch):
    for name in ("w.pt", "d.npz", "m.py"):
        (tmp_path / name).write_bytes((trained / name).read_bytes())
    (tmp_path / "casemate.toml").write_text(
        'version = 1\n[model]\ntarget = "torch:m.py:load"\ndata = "d.npz"\n'
        '[scan]\npaths = ["w.pt"]\n[attack]\neps = { linf = 0.1 }\ninputs = 20\n'
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path
