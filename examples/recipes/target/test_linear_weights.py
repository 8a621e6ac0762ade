"""What is particular to it; what all targets promise is held by tests/targets/test_contract.py."""

import numpy as np
import pytest

from casemate.errors import UsageError
from casemate.targets.open import open_target
from casemate.targets.settings import Settings


def test_it_answers_what_the_arrays_say(tmp_path):
    w = np.array([[1.0, -1.0], [0.5, 2.0]])
    np.savez(tmp_path / "weights.npz", w=w, b=np.zeros(2))
    settings = Settings(root=tmp_path, shape=(2,), bounds=(0.0, 1.0))
    model = open_target("linear:weights.npz", settings=settings)
    x = np.array([[1.0, 0.0], [0.0, 1.0]])
    assert model.labels(x).tolist() == [0, 1]
    assert model.target.digest.startswith("sha256:")


def test_another_file_is_one_line(tmp_path):
    np.savez(tmp_path / "other.npz", x=np.zeros(2))
    with pytest.raises(UsageError, match="holds no linear model"):
        open_target("linear:other.npz", settings=Settings(root=tmp_path, shape=(2,)))
