from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from casemate.errors import CasemateError
from casemate.targets.open import open_target
from casemate.targets.settings import Settings
from tests.targets.subjects import trained

if TYPE_CHECKING:
    from pathlib import Path

SHAPE = Settings(shape=(1, 8, 8))


def refused(uri: str, settings: Settings, *words: str, **kwargs: Any) -> None:
    with pytest.raises(CasemateError) as caught:
        open_target(uri, settings=settings, **kwargs)
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in f"{caught.value} | {caught.value.hint}"


def test_a_script_is_recognised_under_any_scheme(tmp_path: Path) -> None:
    torch.jit.script(trained()).save(str(tmp_path / "net.pt"))
    for uri in ("torch:net.pt", "net.pt"):
        model = open_target(uri, settings=SHAPE._replace(root=tmp_path))
        assert model.target.uri == "torchscript:net.pt"


@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_a_damaged_script(tmp_path: Path, share: float) -> None:
    torch.jit.script(trained()).save(str(tmp_path / "net.pt"))
    raw = (tmp_path / "net.pt").read_bytes()
    (tmp_path / "net.pt").write_bytes(raw[: int(share * len(raw))])
    refused("torchscript:net.pt", SHAPE._replace(root=tmp_path), "not TorchScript")


def test_a_frozen_script(tmp_path: Path) -> None:
    torch.jit.freeze(torch.jit.script(trained().eval())).save(str(tmp_path / "net.pt"))
    model = open_target("net.pt", settings=SHAPE._replace(root=tmp_path))
    assert model.classes == 10
    assert model.notes == ()


def test_a_script_saved_in_training_mode(tmp_path: Path) -> None:
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Dropout(), torch.nn.Linear(64, 3))
    torch.jit.script(net.train()).save(str(tmp_path / "net.pt"))
    model = open_target("net.pt", settings=SHAPE._replace(root=tmp_path))
    assert model.deterministic
    assert "training mode" in model.notes[0]


def test_what_runs_is_what_was_vetted(tmp_path: Path) -> None:
    torch.jit.script(trained()).save(str(tmp_path / "net.pt"))
    seen: list[Path] = []

    def vet(path: Path) -> Path:
        seen.append(path)
        return path.rename(tmp_path / "snapshot.pt")

    model = open_target("torchscript:net.pt", vet=vet, settings=SHAPE._replace(root=tmp_path))
    assert seen == [tmp_path / "net.pt"]
    assert model.classes == 10
