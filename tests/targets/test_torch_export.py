from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from casemate.errors import CasemateError
from casemate.targets.open import open_target
from casemate.targets.settings import Settings
from tests.targets.subjects import snapshot, trained

if TYPE_CHECKING:
    from pathlib import Path

SHAPE = Settings(shape=(1, 8, 8))


def refused(uri: str, settings: Settings, *words: str, **kwargs: Any) -> None:
    with pytest.raises(CasemateError) as caught:
        open_target(uri, settings=settings, **kwargs)
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in f"{caught.value} | {caught.value.hint}"


def save(path: Path, net: Any, *example: Any) -> Settings:
    torch.export.save(torch.export.export(net, example), path)
    return SHAPE._replace(root=path.parent)


def test_a_damaged_program(tmp_path: Path) -> None:
    (tmp_path / "net.pt2").write_bytes(b"PK\x03\x04 nothing")
    settings = SHAPE._replace(root=tmp_path)
    refused("net.pt2", settings, "not saved by torch.export", vet=snapshot)
    refused("net.pt2", settings, "can run code")


@pytest.mark.parametrize("share", [0.2, 0.6, 0.97])
def test_a_truncated_program(tmp_path: Path, share: float) -> None:
    settings = save(tmp_path / "net.pt2", trained(), torch.zeros(2, 1, 8, 8))
    raw = (tmp_path / "net.pt2").read_bytes()
    (tmp_path / "net.pt2").write_bytes(raw[: int(share * len(raw))])
    refused("net.pt2", settings, "not saved by torch.export", vet=snapshot)


def test_batches_of_one_size_are_filled_up(tmp_path: Path) -> None:
    settings = save(tmp_path / "net.pt2", trained(), torch.zeros(4, 1, 8, 8))
    model: Any = open_target("net.pt2", vet=snapshot, settings=settings)
    assert "batches of 4" in model.notes[0]
    x = torch.rand(6, 1, 8, 8)
    assert torch.allclose(model.logits(x), trained()(x), atol=1e-5)


def test_several_inputs(tmp_path: Path) -> None:
    class Two(torch.nn.Module):
        def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
            return a + b

    settings = save(tmp_path / "net.pt2", Two(), torch.zeros(2, 3), torch.zeros(2, 3))
    refused("net.pt2", settings, "takes 2 inputs", vet=snapshot)
