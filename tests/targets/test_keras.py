from __future__ import annotations

import json
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from casemate.errors import CasemateError, UsageError
from casemate.targets import keras as target
from casemate.targets.open import open_target, wrap
from casemate.targets.settings import Settings
from tests.targets.subjects import keras as made_by_keras

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("h5py")
SETTINGS = Settings(shape=(8, 8, 1))


@pytest.fixture(scope="module")
def keras() -> Any:
    return target._import("cpu")


def rewritten(path: Path, change: Any) -> None:
    """Change the configuration inside a .keras file."""
    with zipfile.ZipFile(path) as old:
        parts = {name: old.read(name) for name in old.namelist()}
    config = json.loads(parts["config.json"])
    change(config)
    parts["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(path, "w") as new:
        for name, raw in parts.items():
            new.writestr(name, raw)


def refused(uri: str, root: Path, *words: str) -> None:
    with pytest.raises(CasemateError) as caught:
        open_target(uri, settings=SETTINGS._replace(root=root))
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in f"{caught.value} | {caught.value.hint}"


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_lambda_layer_is_refused_before_keras_sees_it(
    tmp_path: Path, keras: Any, suffix: str
) -> None:
    layers = keras.layers
    net = keras.Sequential([layers.Input((4,)), layers.Lambda(lambda x: x * 2), layers.Dense(2)])
    net.save(tmp_path / f"m{suffix}")
    refused(f"m{suffix}", tmp_path, "a Lambda layer", "not Keras' own", "keras:file.py:FUNCTION")


def test_a_file_that_is_zip_and_hdf5_at_once_is_refused(tmp_path: Path, keras: Any) -> None:
    """Keras would read the HDF5 in it, where the harmless configuration in the zip is not."""
    layers = keras.layers
    net = keras.Sequential([layers.Input((4,)), layers.Lambda(lambda x: x * 2), layers.Dense(2)])
    net.save(tmp_path / "m.h5")
    good = keras.Sequential([layers.Input((4,)), layers.Dense(2)])
    good.save(tmp_path / "good.keras")
    with zipfile.ZipFile(tmp_path / "good.keras") as zipped:
        config = zipped.read("config.json")
    with zipfile.ZipFile(tmp_path / "m.h5", "a") as zipped:
        zipped.writestr("config.json", config)
    refused("m.h5", tmp_path, "not a model that Keras saved")


@pytest.mark.parametrize(
    "named",
    [
        {"class_name": "__lambda__", "config": {"value": "x"}},
        {"module": "builtins", "class_name": "function", "config": "eval"},
        {"module": "keras.utils", "class_name": "function", "config": "get_file"},
    ],
)
def test_functions_that_reach_beyond_layers_are_refused(
    tmp_path: Path, keras: Any, named: dict[str, Any]
) -> None:
    net = keras.Sequential([keras.layers.Input((8, 8, 1)), keras.layers.Dense(2)])
    net.save(tmp_path / "m.keras")

    def change(config: Any) -> None:
        config["config"]["layers"][1]["config"]["activation"] = named

    rewritten(tmp_path / "m.keras", change)
    refused("m.keras", tmp_path, "not Keras' own")


def test_a_lambda_inside_an_inner_model(tmp_path: Path, keras: Any) -> None:
    layers = keras.layers
    inner = keras.Sequential([layers.Input((4,)), layers.Lambda(lambda x: x)], name="inner")
    net = keras.Sequential([layers.Input((4,)), inner])
    net.save(tmp_path / "m.keras")
    refused("m.keras", tmp_path, "a Lambda layer")


@pytest.mark.parametrize(
    ("module", "name"),
    [("os", "system"), ("builtins", "Lambda"), ("kerassy", "Dense"), ("subprocess", "Popen")],
)
def test_foreign_classes_are_refused(tmp_path: Path, keras: Any, module: str, name: str) -> None:
    made_by_keras(tmp_path)

    def change(config: Any) -> None:
        layer = config["config"]["layers"][1]
        layer["module"], layer["class_name"], layer["registered_name"] = module, name, None

    rewritten(tmp_path / "net.keras", change)
    refused("net.keras", tmp_path, "net.keras holds")


def test_a_foreign_function_deep_inside(tmp_path: Path, keras: Any) -> None:
    made_by_keras(tmp_path)

    def change(config: Any) -> None:
        config["config"]["layers"][1]["config"]["activation"] = {
            "module": "os", "class_name": "function", "config": "system", "registered_name": "x",
        }  # fmt: skip

    rewritten(tmp_path / "net.keras", change)
    refused("net.keras", tmp_path, "os.function")


def test_a_registered_class_needs_its_code(tmp_path: Path, keras: Any) -> None:
    @keras.saving.register_keras_serializable(package="mine")
    class Twice(keras.layers.Layer):  # type: ignore[misc, name-defined]
        def call(self, x: Any) -> Any:
            return x * 2

    keras.Sequential([keras.layers.Input((4,)), Twice()]).save(tmp_path / "m.keras")
    refused("m.keras", tmp_path, "Twice")


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_truncated(tmp_path: Path, keras: Any, suffix: str, share: float) -> None:
    made_by_keras(tmp_path, suffix)
    path = tmp_path / f"net{suffix}"
    raw = path.read_bytes()
    path.write_bytes(raw[: int(share * len(raw))])
    refused(f"keras:net{suffix}", tmp_path, f"net{suffix}")


def test_weights_alone(tmp_path: Path, keras: Any) -> None:
    net = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(2)])
    net.save_weights(tmp_path / "m.weights.h5")
    refused("m.weights.h5", tmp_path, "weights alone")


def test_a_factory_and_a_live_model(tmp_path: Path, keras: Any) -> None:
    (tmp_path / "net.py").write_text(
        "import keras\n"
        "def make():\n"
        "    keras.utils.set_random_seed(0)\n"
        "    layers = keras.layers\n"
        "    return keras.Sequential([layers.Input((6,)), layers.Dropout(0.5), layers.Dense(3)])\n",
        encoding="utf-8",
    )
    settings = Settings(root=tmp_path)
    model: Any = open_target("net.py:make", settings=settings)
    assert model.target.uri == "keras:net.py:make"
    assert model.gives == {"gradients", "scores", "labels"}
    assert model.deterministic
    assert model.shape == (6,)
    assert open_target("net.py:make", settings=settings).target == model.target
    live = keras.Sequential([keras.layers.Input((6,)), keras.layers.Dense(2)])
    assert wrap(live).classes == 2


def test_parameters_are_given_back(keras: Any) -> None:
    net = keras.Sequential([keras.layers.Input((6,)), keras.layers.Dense(2)])
    model = wrap(net)
    assert not net.trainable_variables[0].value.requires_grad
    model.close()
    assert net.trainable_variables[0].value.requires_grad


def test_several_inputs(keras: Any) -> None:
    a, b = keras.layers.Input((4,)), keras.layers.Input((4,))
    net = keras.Model([a, b], keras.layers.Dense(2)(keras.layers.Add()([a, b])))
    with pytest.raises(UsageError, match="takes 2 inputs"):
        wrap(net)


def test_a_confident_softmax_still_has_a_gradient(keras: Any) -> None:
    import torch

    net = keras.Sequential([keras.layers.Input((6,)), keras.layers.Dense(3, activation="softmax")])
    net.set_weights([1e4 * np.random.default_rng(0).normal(size=(6, 3)), np.zeros(3)])
    model: Any = wrap(net)
    x = torch.rand(4, 6)
    label = model.logits(x).argmax(1)
    _, _, grad = model.value_and_grad(
        x, label, lambda z, t: z.logsumexp(1) - 2 * z.gather(1, t[:, None])[:, 0]
    )
    assert (grad.abs().sum(1) > 0).all()
