from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from casemate.errors import CasemateError
from casemate.targets.open import open_target, wrap
from casemate.targets.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path


def write(folder: Path, body: str) -> Settings:
    (folder / "serve.py").write_text(f"import numpy as np\n{body}\n", encoding="utf-8")
    return Settings(root=folder, shape=(3,))


def test_scores(tmp_path: Path) -> None:
    settings = write(tmp_path, "def predict(x): return x @ np.arange(6.0).reshape(3, 2)")
    model: Any = open_target("python:serve.py:predict", settings=settings)
    assert model.gives == {"scores", "labels"}
    assert model.kind == "logits"
    assert model.target.digest


def test_an_object_that_can_be_called_is_no_factory(tmp_path: Path) -> None:
    settings = write(
        tmp_path,
        "class Serve:\n"
        "    def __call__(self, x, scale=1.0): return np.stack([x[:, 0] * scale, x[:, 1]], 1)\n"
        "serve = Serve()\n"
        "def make(): return Serve()",
    )
    for name in ("serve", "make", "Serve"):
        model: Any = open_target(f"serve.py:{name}", settings=settings)
        assert model.target.uri == f"python:serve.py:{name}"
        assert model.labels(np.array([[1.0, 2, 0], [2, 1, 0]])).tolist() == [1, 0]


def test_a_probability_for_two_classes(tmp_path: Path) -> None:
    settings = write(tmp_path, "def predict(x): return 1 / (1 + np.exp(-x[:, 0]))")
    model: Any = open_target("python:serve.py:predict", settings=settings)
    assert model.kind == "probabilities"
    assert model.classes == 2
    assert "probability of class 1" in model.notes[0]


def test_a_factory_of_another_framework(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    settings = write(tmp_path, "from torch import nn\ndef make(): return nn.Linear(3, 2)")
    model = open_target("python:serve.py:make", settings=settings)
    assert "gradients" in model.gives


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("def predict(x): raise KeyError('model')", "KeyError: 'model'"),
        ("def predict(x): return x / 0", "NaN or infinite"),
        ("def predict(x): return None", "answered shape ()"),
        ("def predict(x): return 'cat'", "answered shape ()"),
        ("predict = 3", "neither a model nor a function"),
        ("def predict(x, y): return x", "TypeError"),
        ("def predict(x): return ['a', 'b'] * 4", "how many classes"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value")
def test_what_can_go_wrong(tmp_path: Path, body: str, words: str) -> None:
    settings = write(tmp_path, body)
    with pytest.raises(CasemateError) as caught:
        open_target("python:serve.py:predict", settings=settings)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_functions_in_memory() -> None:
    model: Any = wrap(lambda x: x[:, :2], settings=Settings(shape=(3,)))
    assert model.target.uri.startswith("python:")
    assert model.classes == 2
