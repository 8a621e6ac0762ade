from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("onnx2torch") is None, reason="onnx2torch is not installed"
)


def test_torchvision_without_its_kernels_still_imports() -> None:
    """In a process of its own: a broken torchvision must not keep onnx2torch from importing."""
    text = (
        "from casemate.targets.onnx_gradients import torchvision_importable as ready\n"
        "ready(); ready()\n"
        "import onnx2torch, torchvision.models\n"
        "print(onnx2torch.convert.__name__)\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", text], capture_output=True, text=True, timeout=120
    )
    assert done.stdout.strip() == "convert", done.stderr[-800:]


def test_it_does_nothing_where_there_is_no_torchvision(monkeypatch: pytest.MonkeyPatch) -> None:
    from casemate.targets import onnx_gradients

    monkeypatch.setitem(sys.modules, "torchvision", None)  # type: ignore[arg-type]
    onnx_gradients.torchvision_importable()
