"""MLServer, started for real: the Open Inference Protocol as somebody else wrote it."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pytest

from casemate.errors import TargetError
from casemate.targets.capabilities import Scores
from casemate.targets.open import open_target
from casemate.targets.settings import Settings
from tests.servers import mlserver_venv
from tests.targets.serving import WEIGHTS, probabilities

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(
    mlserver_venv.command() is None,
    reason="MLServer is not installed: python tests/servers/mlserver_venv.py",
)
X = np.random.default_rng(1).normal(size=(37, 4))
SETTINGS = Settings(bounds=(-8.0, 8.0), sample=X[:4], batch=10)


class Ports(NamedTuple):
    http: int
    grpc: int


def _free() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def ports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ports]:
    folder = tmp_path_factory.mktemp("mlserver")
    np.savetxt(folder / "weights.csv", WEIGHTS, delimiter=",", fmt="%.17g")
    shutil.copy(Path(mlserver_venv.__file__).with_name("iris_runtime.py"), folder)
    ports, metrics = Ports(_free(), _free()), _free()
    settings = {
        "host": "127.0.0.1",
        "http_port": ports.http,
        "grpc_port": ports.grpc,
        "metrics_port": metrics,
        "parallel_workers": 0,
        "environments_dir": str(folder / "environments"),
    }
    model = {
        "name": "iris",
        "implementation": "iris_runtime.Iris",
        "inputs": [{"name": "rows", "datatype": "FP64", "shape": [-1, 4]}],
        "outputs": [
            {"name": "label", "datatype": "BYTES", "shape": [-1, 1]},
            {"name": "probabilities", "datatype": "FP64", "shape": [-1, 3]},
        ],
    }
    (folder / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
    (folder / "model-settings.json").write_text(json.dumps(model), encoding="utf-8")
    log = (folder / "log").open("w+b")
    process = subprocess.Popen(
        [str(mlserver_venv.command()), "start", str(folder)],
        cwd=folder,
        stdout=log,
        stderr=subprocess.STDOUT,
    )
    try:
        _wait(process, f"http://127.0.0.1:{ports.http}/v2/models/iris/ready", folder / "log")
        yield ports
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        log.close()


def _wait(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    for _ in range(600):
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    pytest.fail(f"MLServer did not start:\n{log.read_text(errors='replace')[-2000:]}")


@pytest.mark.parametrize(
    "uri",
    [
        "http+oip://127.0.0.1:{ports.http}/v2/models/iris",
        "http+oip://127.0.0.1:{ports.http}/v2/models/iris#output=probabilities",
        "grpc+oip://127.0.0.1:{ports.grpc}/iris",
        "grpc+oip://127.0.0.1:{ports.grpc}/iris#form=typed",
    ],
)
def test_scores(ports: Ports, uri: str) -> None:
    model = open_target(uri.format(ports=ports), settings=SETTINGS)
    try:
        assert isinstance(model, Scores)
        assert (model.kind, model.classes, model.shape) == ("probabilities", 3, (4,))
        assert model.deterministic
        np.testing.assert_allclose(model.scores(X), probabilities(X), rtol=1e-6)
        np.testing.assert_array_equal(model.labels(X), probabilities(X).argmax(1))
    finally:
        model.close()


@pytest.mark.parametrize("scheme", ["http+oip", "grpc+oip"])
def test_labels_by_name(ports: Ports, scheme: str) -> None:
    port = ports.http if scheme.startswith("http") else ports.grpc
    place = "v2/models/iris#output=label"
    names = ("class-0", "class-1", "class-2")
    model = open_target(
        f"{scheme}://127.0.0.1:{port}/{place}", settings=SETTINGS._replace(class_names=names)
    )
    assert model.gives == {"labels"}
    np.testing.assert_array_equal(model.labels(X), probabilities(X).argmax(1))  # type: ignore[attr-defined]
    model.close()


@pytest.mark.parametrize("scheme", ["http+oip", "grpc+oip"])
def test_what_it_refuses_is_one_line(ports: Ports, scheme: str) -> None:
    port = ports.http if scheme.startswith("http") else ports.grpc
    for place in ("v2/models/other", "v2/models/iris#input=rows&datatype=INT64"):
        with pytest.raises(TargetError) as caught:
            open_target(
                f"{scheme}://127.0.0.1:{port}/{place}",
                settings=SETTINGS._replace(sample=np.full((2, 4), 1e300)),
            )
        assert "\n" not in str(caught.value)
        assert not caught.value.retry


def test_no_binary_extension_is_said(ports: Ports) -> None:
    with pytest.raises(TargetError) as caught:
        open_target(f"http+oip-binary://127.0.0.1:{ports.http}/v2/models/iris", settings=SETTINGS)
    assert "\n" not in str(caught.value)
