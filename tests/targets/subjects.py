"""What the contract is held against: one small trained model per kind of target.

To add a kind of target, write a function that makes a model in a folder and says how it is
opened, and append it to SUBJECTS.
"""

from __future__ import annotations

import functools
import shutil
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from casemate.targets.data import Data, open_data

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

Capabilities = frozenset[str]
ALL: Capabilities = frozenset({"gradients", "scores", "labels"})
SCORES: Capabilities = frozenset({"scores", "labels"})
LABELS: Capabilities = frozenset({"labels"})


class Made(NamedTuple):
    """A model that can be opened, and the data it was trained on."""

    uri: str
    data: Data
    close: Callable[[], None] = lambda: None
    """Stops the server behind it, where there is one."""


class Subject(NamedTuple):
    """One kind of target, or one way such a target can be."""

    name: str
    make: Callable[[Path], Made]
    gives: Capabilities
    needs: tuple[str, ...] = ()
    """Modules without which it is skipped."""
    options: Mapping[str, Any] = MappingProxyType({})
    """Fields of Settings it is opened with."""
    fixed_digest: bool = True
    """Whether opening it twice must give the same digest; endpoints have none."""


def snapshot(path: Path) -> Path:
    """A vet that trusts everything and returns a copy, as the scanner's does."""
    copy = path.with_name(f"vetted-{path.name}")
    shutil.copyfile(path, copy)
    return copy


# --- data: bundled with scikit-learn ---


@functools.cache
def digits() -> tuple[np.ndarray, np.ndarray]:
    """Images (600, 1, 8, 8) of ten digits as bytes, and their labels."""
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    return np.round(x * 255 / 16).astype(np.uint8).reshape(-1, 1, 8, 8)[:600], y[:600]


def digit_data(folder: Path, *, binary: bool = False, last: bool = False) -> Data:
    x, y = digits()
    if binary:
        x, y = x[y < 2], y[y < 2]
    if last:
        x = x.transpose(0, 2, 3, 1)
    np.savez(folder / "digits.npz", x=x, y=y)
    return open_data("digits.npz", root=folder)


def wine_table(folder: Path, *, kinds: bool = False) -> Data:
    """A table of 13 measures with named classes; with `kinds`, also columns of other types."""
    from sklearn.datasets import load_wine

    wine = load_wine()
    names = [name.replace("/", "_per_") for name in wine.feature_names]
    labels = [str(wine.target_names[t]) for t in wine.target]
    lines = [",".join([*names, *(["shade", "organic", "bottles"] if kinds else []), "label"])]
    for i, (row, label) in enumerate(zip(wine.data, labels, strict=True)):
        more = []
        if kinds:
            shade = "pale" if row[9] < 4 else "deep" if row[9] > 7 else "ruby"
            more = [shade, str(bool(i % 2)), str(i % 12)]
        lines.append(",".join([*(repr(float(v)) for v in row), *more, label]))
    (folder / "wine.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return open_data("wine.csv", label="label", root=folder)


# --- torch and what it exports ---

NETS = """
import torch
from torch import nn


class Flatten01(nn.Module):
    def forward(self, x):
        return x[:, 0]


def digits():
    return nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Dropout(0.1), nn.Linear(288, 10)
    )


def softmax():
    return nn.Sequential(*digits(), nn.Softmax(1))


def binary():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 1))


def sigmoid():
    return nn.Sequential(*binary(), nn.Sigmoid(), Flatten01())


def load_digits():
    net = digits()
    net.load_state_dict(torch.load(HERE + "/digits.pt", weights_only=True))
    return net


def load_softmax():
    return nn.Sequential(*load_digits(), nn.Softmax(1))


def load_binary():
    net = binary()
    net.load_state_dict(torch.load(HERE + "/binary.pt", weights_only=True))
    return net


def load_sigmoid():
    return nn.Sequential(*load_binary(), nn.Sigmoid(), Flatten01())
"""


@functools.cache
def _trained(kind: str) -> Any:
    import torch
    from torch.nn import functional

    space: dict[str, Any] = {}
    exec(NETS, space)  # the text above, the same that the factory's file gets
    x, y = digits()
    if kind == "binary":
        x, y = x[y < 2], y[y < 2]
    torch.manual_seed(0)
    net = space[kind]()
    optimiser = torch.optim.Adam(net.parameters(), 0.01)
    inputs, labels = torch.tensor(x).float() / 255, torch.tensor(y)
    for _ in range(40):
        out = net(inputs)
        if kind == "binary":
            loss = functional.binary_cross_entropy_with_logits(out[:, 0], labels.float())
        else:
            loss = functional.cross_entropy(out, labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return net.eval()


def trained(kind: str = "digits") -> Any:
    """A small network for the digits, or for zero against one with a single output."""
    return _trained(kind)


def torch_factory(folder: Path, function: str = "load_digits", binary: bool = False) -> Made:
    import torch

    kind = "binary" if binary else "digits"
    torch.save(trained(kind).state_dict(), folder / f"{kind}.pt")
    text = NETS + f"\n\nHERE = {str(folder)!r}\n"
    (folder / "nets.py").write_text(text, encoding="utf-8")
    return Made(f"torch:nets.py:{function}", digit_data(folder, binary=binary))


def torch_whole(folder: Path) -> Made:
    import torch

    net = torch.nn.Sequential(*trained())
    torch.save(net, folder / "whole.pt")
    return Made("torch:whole.pt", digit_data(folder))


def torchscript(folder: Path) -> Made:
    import torch

    torch.jit.trace(trained(), torch.zeros(2, 1, 8, 8)).save(str(folder / "traced.pt"))
    return Made("torchscript:traced.pt", digit_data(folder))


def torch_export(folder: Path, fixed: bool = False) -> Made:
    import torch

    batch = torch.export.Dim("batch", min=1)
    program = torch.export.export(
        trained(), (torch.zeros(4, 1, 8, 8),), dynamic_shapes=None if fixed else ({0: batch},)
    )
    torch.export.save(program, folder / "program.pt2")
    return Made("torch-export:program.pt2", digit_data(folder))


# --- ONNX ---


def onnx_net(folder: Path, batch: int | str = "n", *, last: bool = False) -> Made:
    """The digit network written as a graph by hand; with `last`, channels are the last axis."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    state = [p.detach().numpy() for p in trained().parameters()]
    names = ["w", "b", "v", "c"]
    shape = [batch, 8, 8, 1] if last else [batch, 1, 8, 8]
    nodes = [
        helper.make_node("Conv", ["image", "w", "b"], ["h"], kernel_shape=[3, 3]),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("Flatten", ["r"], ["f"]),
        helper.make_node("Gemm", ["f", "v", "c"], ["logits"], transB=1),
    ]
    if last:
        nodes[0].input[0] = "turned"
        nodes.insert(0, helper.make_node("Transpose", ["image"], ["turned"], perm=[0, 3, 1, 2]))
    graph = helper.make_graph(
        nodes,
        "digits",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [batch, 10])],
        [numpy_helper.from_array(s, n) for s, n in zip(state, names, strict=True)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, folder / "net.onnx")
    return Made("onnx:net.onnx", digit_data(folder))


def onnx_forest(folder: Path, zipmap: bool = True) -> Made:
    """A random forest on a table with named classes, through skl2onnx."""
    from skl2onnx import to_onnx
    from sklearn.ensemble import RandomForestClassifier

    data = wine_table(folder)
    names = np.array(data.classes)
    forest = RandomForestClassifier(20, random_state=0).fit(
        data.x.astype(np.float32), names[data.y]
    )
    options = {id(forest): {"zipmap": zipmap}}
    proto = to_onnx(forest, data.x[:1].astype(np.float32), options=options)
    (folder / "forest.onnx").write_bytes(proto.SerializeToString())
    return Made("onnx:forest.onnx", data)


# --- scikit-learn and boosting ---


def sklearn_file(folder: Path, suffix: str = ".joblib") -> Made:
    import joblib
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    data = wine_table(folder)
    model = make_pipeline(StandardScaler(), LogisticRegression())
    joblib.dump(model.fit(data.x, np.array(data.classes)[data.y]), folder / f"wine{suffix}")
    return Made(f"sklearn:wine{suffix}", data)


def sklearn_frame(folder: Path) -> Made:
    """A pipeline trained on a DataFrame with numbers, strings, booleans and whole numbers."""
    import joblib
    import pandas as pd
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    data = wine_table(folder, kinds=True)
    frame = pd.read_csv(folder / "wine.csv")
    y = frame.pop("label")
    numbers = [name for name in frame.columns if name not in ("shade", "organic", "bottles")]
    model = make_pipeline(
        make_column_transformer(
            (StandardScaler(), numbers), (OneHotEncoder(), ["shade", "organic", "bottles"])
        ),
        LogisticRegression(),
    )
    joblib.dump(model.fit(frame, y), folder / "frame.joblib")
    return Made("sklearn:frame.joblib", data)


def sklearn_svm(folder: Path) -> Made:
    """Numbered classes from 1 on, and decision_function instead of probabilities."""
    import joblib
    from sklearn.datasets import load_wine
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    x, y = load_wine(return_X_y=True)
    np.savez(folder / "wine.npz", x=x, y=y + 1)
    joblib.dump(make_pipeline(StandardScaler(), SVC()).fit(x, y + 1), folder / "svm.joblib")
    bounds = (float(x.min()), float(x.max()))
    return Made("sklearn:svm.joblib", open_data("wine.npz", bounds=bounds, root=folder))


def sklearn_labels(folder: Path) -> Made:
    """An estimator that can do nothing but predict."""
    data = wine_table(folder)
    (folder / "nearest.py").write_text(
        "import numpy as np\n"
        "from sklearn.preprocessing import StandardScaler\n"
        "from sklearn.datasets import load_wine\n"
        "class Nearest:\n"
        "    classes_ = np.array(['class_0', 'class_1', 'class_2'])\n"
        "    def __init__(self):\n"
        "        x, y = load_wine(return_X_y=True)\n"
        "        self.scaler = StandardScaler().fit(x)\n"
        "        x = self.scaler.transform(x)\n"
        "        self.middles = np.stack([x[y == k].mean(0) for k in range(3)])\n"
        "    def predict(self, x):\n"
        "        far = self.scaler.transform(x)[:, None] - self.middles\n"
        "        return self.classes_[(far ** 2).sum(2).argmin(1)]\n",
        encoding="utf-8",
    )
    return Made("sklearn:nearest.py:Nearest", data)


def xgboost(folder: Path, suffix: str = ".json") -> Made:
    from xgboost import XGBClassifier

    data = wine_table(folder)
    model = XGBClassifier(n_estimators=10, n_jobs=1, max_depth=3).fit(data.x, data.y)
    model.get_booster().feature_names = [column.name for column in data.columns]
    model.save_model(folder / f"trees{suffix}")
    return Made(f"xgboost:trees{suffix}", data)


def lightgbm(folder: Path) -> Made:
    import lightgbm as lgb

    data = wine_table(folder)
    params = {"objective": "multiclass", "num_class": 3, "verbosity": -1, "num_threads": 1}
    lgb.train(params, lgb.Dataset(data.x, data.y), 10).save_model(folder / "trees.txt")
    return Made("lightgbm:trees.txt", data)


def lightgbm_binary(folder: Path) -> Made:
    import lightgbm as lgb

    data = digit_data(folder, binary=True)
    params = {"objective": "binary", "verbosity": -1, "num_threads": 1}
    flat = data.x.reshape(len(data.x), -1)
    lgb.train(params, lgb.Dataset(flat, data.y), 10).save_model(folder / "binary.txt")
    return Made("lightgbm:binary.txt", data)


# --- Keras, and plain functions ---


def keras(folder: Path, suffix: str = ".keras") -> Made:
    """The digit network in Keras, channels last; the data stays channels first."""
    from casemate.targets import keras as target

    library = target._import("cpu")
    layers = library.layers
    net = library.Sequential(
        [
            layers.Input((8, 8, 1)),
            layers.Conv2D(8, 3, activation="relu"),
            layers.Permute((3, 1, 2)),
            layers.Flatten(),
            layers.Dense(10, activation="softmax"),
        ]
    )
    w, b, v, c = (p.detach().numpy() for p in trained().parameters())
    net.set_weights([w.transpose(2, 3, 1, 0), b, v.T, c])
    net.save(folder / f"net{suffix}")
    return Made(f"keras:net{suffix}", digit_data(folder))


def function(folder: Path, name: str = "scores") -> Made:
    data = wine_table(folder)
    (folder / "serve.py").write_text(
        "import numpy as np\n"
        "from sklearn.datasets import load_wine\n"
        "X, Y = load_wine(return_X_y=True)\n"
        "S = X.std(0)\n"
        "M = np.stack([(X / S)[Y == k].mean(0) for k in range(3)])\n"
        "def scores(x):\n"
        "    return -((x[:, None] / S - M) ** 2).sum(2)\n"
        "def labels(x):\n"
        "    return ['class_%d' % k for k in scores(x).argmax(1)]\n",
        encoding="utf-8",
    )
    return Made(f"python:serve.py:{name}", data)


def partial(make: Callable[..., Made], *args: object, **kwargs: object) -> Callable[[Path], Made]:
    return lambda folder: make(folder, *args, **kwargs)


_ONNX = ("onnx", "onnxruntime")

SUBJECTS: list[Subject] = [
    Subject("torch", torch_factory, ALL, ("torch",)),
    Subject("torch-softmax", partial(torch_factory, "load_softmax"), ALL, ("torch",)),
    Subject("torch-one-logit", partial(torch_factory, "load_binary", True), ALL, ("torch",)),
    Subject("torch-sigmoid", partial(torch_factory, "load_sigmoid", True), ALL, ("torch",)),
    Subject("torch-file", torch_whole, ALL, ("torch",)),
    Subject("torchscript", torchscript, ALL, ("torch",)),
    Subject("torch-export", torch_export, ALL, ("torch",)),
    Subject("torch-export-fixed", partial(torch_export, True), ALL, ("torch",)),
    Subject("onnx", onnx_net, ALL, (*_ONNX, "onnx2torch")),
    Subject("onnx-one-at-a-time", partial(onnx_net, 1), ALL, (*_ONNX, "onnx2torch")),
    Subject("onnx-fixed", partial(onnx_net, 7), ALL, (*_ONNX, "onnx2torch")),
    Subject("onnx-last", partial(onnx_net, last=True), ALL, (*_ONNX, "onnx2torch")),
    Subject("onnx-maps", onnx_forest, SCORES, (*_ONNX, "skl2onnx")),
    Subject("onnx-forest", partial(onnx_forest, False), SCORES, (*_ONNX, "skl2onnx")),
    Subject("sklearn", sklearn_file, SCORES, ("sklearn",)),
    Subject("sklearn-pickle", partial(sklearn_file, ".pkl"), SCORES, ("sklearn",)),
    Subject("sklearn-frame", sklearn_frame, SCORES, ("sklearn", "pandas")),
    Subject("sklearn-svm", sklearn_svm, SCORES, ("sklearn",)),
    Subject("sklearn-labels", sklearn_labels, LABELS, ("sklearn",)),
    Subject("xgboost", xgboost, SCORES, ("xgboost",)),
    Subject("xgboost-ubj", partial(xgboost, ".ubj"), SCORES, ("xgboost",)),
    Subject("lightgbm", lightgbm, SCORES, ("lightgbm",)),
    Subject("lightgbm-binary", lightgbm_binary, SCORES, ("lightgbm",)),
    Subject("keras", keras, ALL, ("keras", "torch")),
    Subject("keras-hdf5", partial(keras, ".h5"), ALL, ("keras", "torch", "h5py")),
    Subject("python", function, SCORES, ("sklearn",)),
    Subject("python-labels", partial(function, "labels"), LABELS, ("sklearn",)),
]


# --- endpoints: the scikit-learn pipeline behind a real server on loopback ---


def endpoint(folder: Path, address: str, template: str = "", *, answers: str = "scores") -> Made:
    """The wine pipeline served over HTTP; `address` is a URI with {} for host and port."""
    import contextlib

    import joblib

    from tests.targets.serving import app, serve

    made = sklearn_frame(folder) if answers == "frame" else sklearn_file(folder)
    model = joblib.load(folder / made.uri.partition(":")[2])
    columns = [encoding.name for encoding in made.data.encodings]
    if template:
        (folder / "body.json").write_text(template, encoding="utf-8")

    def predict(rows: Any) -> Any:
        if answers == "frame":
            import pandas as pd

            return model.predict_proba(pd.DataFrame(rows, columns=columns))
        x = np.array(rows, np.float64)
        return model.predict(x) if answers == "labels" else model.predict_proba(x)

    stack = contextlib.ExitStack()
    host = stack.enter_context(serve(app(predict, columns)))
    return Made(address.format(host), made.data, stack.close)


_HTTP = ("httpx", "starlette", "uvicorn", "sklearn")


def _endpoint(name: str, address: str, gives: Capabilities = SCORES, **made: Any) -> Subject:
    needs = (*_HTTP, "pandas") if made.get("answers") == "frame" else _HTTP
    return Subject(name, partial(endpoint, address, **made), gives, needs, fixed_digest=False)


SUBJECTS += [
    _endpoint("http-oip", "http+oip://{}/v2/models/iris"),
    _endpoint("http-oip-binary", "http+oip-binary://{}/v2/models/iris"),
    _endpoint("http-tfserving", "http+tfserving://{}/v1/models/iris"),
    _endpoint("http-mlflow", "http+mlflow://{}/invocations"),
    _endpoint("http-mlflow-labels", "http+mlflow://{}/invocations", LABELS, answers="labels"),
    _endpoint("http-mlflow-frame", "http+mlflow://{}/invocations", answers="frame"),
    _endpoint("http-sagemaker", "http+sagemaker://{}/sagemaker/invocations"),
    _endpoint(
        "http-json",
        "http+json://{}/json#template=body.json&answer=result[*].p",
        template='{"model": "iris", "rows": "$inputs"}',
    ),
]
