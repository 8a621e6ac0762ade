from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import nn

from casemate.errors import CasemateError, TargetError, UsageError
from casemate.targets.open import open_target, wrap
from casemate.targets.settings import Settings
from tests.targets.subjects import snapshot, trained

if TYPE_CHECKING:
    from pathlib import Path

SHAPE = Settings(shape=(1, 8, 8))


def write(folder: Path, body: str, name: str = "net.py") -> Settings:
    text = f"import torch\nfrom torch import nn\n\n\n{body}\n"
    (folder / name).write_text(text, encoding="utf-8")
    return SHAPE._replace(root=folder)


def refused(uri: str, settings: Settings, *words: str, **kwargs: Any) -> None:
    with pytest.raises(CasemateError) as caught:
        open_target(uri, settings=settings, **kwargs)
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in f"{caught.value} | {caught.value.hint}"


class TestFactories:
    def test_a_class_is_a_factory(self, tmp_path: Path) -> None:
        settings = write(
            tmp_path,
            "class Net(nn.Module):\n"
            "    def __init__(self):\n"
            "        super().__init__()\n"
            "        self.layer = nn.Linear(64, 3)\n"
            "    def forward(self, x):\n"
            "        return self.layer(x.flatten(1))",
        )
        assert open_target("torch:net.py:Net", settings=settings).classes == 3

    def test_a_live_module_needs_no_factory(self, tmp_path: Path) -> None:
        settings = write(tmp_path, "net = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))")
        assert open_target("torch:net.py:net", settings=settings).classes == 3

    def test_a_package_beside_the_configuration(self, tmp_path: Path) -> None:
        (tmp_path / "farm_of_nets").mkdir()
        settings = write(tmp_path, "def make(): return nn.Linear(64, 2)")
        (tmp_path / "net.py").rename(tmp_path / "farm_of_nets" / "net.py")
        (tmp_path / "farm_of_nets" / "__init__.py").touch()
        model = open_target("torch:farm_of_nets.net:make", settings=settings._replace(shape=(64,)))
        assert model.target.uri == "torch:farm_of_nets.net:make"

    def test_the_factory_may_import_its_neighbours(self, tmp_path: Path) -> None:
        settings = write(tmp_path, "def width(): return 64", "neighbour_of_net.py")
        write(tmp_path, "import neighbour_of_net as n\ndef make(): return nn.Linear(n.width(), 2)")
        assert (
            open_target("torch:net.py:make", settings=settings._replace(shape=(64,))).classes == 2
        )

    def test_two_files_of_one_name_are_two_models(self, tmp_path: Path) -> None:
        counts = []
        for i in (2, 3):
            folder = tmp_path / str(i)
            folder.mkdir()
            settings = write(folder, f"def make(): return nn.Linear(64, {i})")
            model = open_target("torch:net.py:make", settings=settings._replace(shape=(64,)))
            counts.append(model.classes)
        assert counts == [2, 3]

    def test_the_digest_follows_code_and_weights(self, tmp_path: Path) -> None:
        body = "def make():\n    torch.manual_seed(0)\n    return nn.Linear(64, {})"
        digests = set()
        for end in ("2", "2", "2)  # (", "3"):
            settings = write(tmp_path, body.format(end))
            model = open_target("torch:net.py:make", settings=settings._replace(shape=(64,)))
            digests.add(model.target.digest)
        assert len(digests) == 3

    @pytest.mark.parametrize(
        ("body", "words"),
        [
            ("def make(): raise OSError('no weights')", ["make() raised OSError: no weights"]),
            ("def make(): return 3", ["make gave int, not a torch module"]),
            ("def make(path): return nn.Linear(1, 1)", ["make() raised TypeError"]),
            ("def maker(): pass", ["no 'make'", "did you mean 'maker'"]),
            ("import nothing_like_this", ["nothing_like_this", "pip install nothing_like_this"]),
            ("def make(:", ["SyntaxError"]),
        ],
    )
    def test_what_can_go_wrong(self, tmp_path: Path, body: str, words: list[str]) -> None:
        refused("torch:net.py:make", write(tmp_path, body), *words)

    def test_no_such_place(self, tmp_path: Path) -> None:
        settings = SHAPE._replace(root=tmp_path)
        refused("torch:nowhere.py:make", settings, "nowhere.py does not exist")
        refused("torch:no.such.module:make", settings, "no file or module 'no.such.module'")
        (tmp_path / "net.py").touch()
        refused("torch:net.py", settings, "name the function")


class TestFiles:
    def test_a_pickled_module_needs_the_vet(self, tmp_path: Path) -> None:
        torch.save(trained(), tmp_path / "net.pt")
        refused("torch:net.pt", SHAPE._replace(root=tmp_path), "runs code from the file")

    def test_what_is_loaded_is_what_was_vetted(self, tmp_path: Path) -> None:
        torch.save(nn.Sequential(nn.Flatten(), nn.Linear(64, 3)), tmp_path / "net.pt")
        torch.save(nn.Sequential(nn.Flatten(), nn.Linear(64, 5)), tmp_path / "other.pt")

        def vet(path: Path) -> Path:
            copy = snapshot(path)
            shutil.copyfile(tmp_path / "other.pt", path)  # swapped after the look
            return copy

        model = open_target("torch:net.pt", vet=vet, settings=SHAPE._replace(root=tmp_path))
        assert model.classes == 3

    def test_a_refusal_is_passed_on(self, tmp_path: Path) -> None:
        torch.save(trained(), tmp_path / "net.pt")

        def vet(path: Path) -> Path:
            raise UsageError("not this one")

        refused("torch:net.pt", SHAPE._replace(root=tmp_path), "not this one", vet=vet)

    def test_weights_alone_name_what_is_missing(self, tmp_path: Path) -> None:
        torch.save(trained().state_dict(), tmp_path / "net.pt")
        settings = SHAPE._replace(root=tmp_path)
        refused("torch:net.pt", settings, "a state dict of 4 entries", "torch:file.py:FUNCTION")

    @pytest.mark.parametrize("share", [0.05, 0.5, 0.95])
    def test_truncated(self, tmp_path: Path, share: float) -> None:
        torch.save(trained(), tmp_path / "net.pt")
        raw = (tmp_path / "net.pt").read_bytes()
        (tmp_path / "net.pt").write_bytes(raw[: int(len(raw) * share)])
        refused("torch:net.pt", SHAPE._replace(root=tmp_path), "net.pt", vet=snapshot)

    def test_no_torch_file(self, tmp_path: Path) -> None:
        (tmp_path / "net.pt").write_bytes(b"hello world" * 50)
        refused("torch:net.pt", SHAPE._replace(root=tmp_path), "not a torch file", vet=snapshot)

    def test_an_empty_file(self, tmp_path: Path) -> None:
        (tmp_path / "net.pt").touch()
        refused("torch:net.pt", SHAPE._replace(root=tmp_path), "is empty", vet=snapshot)


class TestModules:
    def test_training_mode_is_left_and_given_back(self) -> None:
        net = nn.Sequential(nn.Flatten(), nn.Linear(64, 3), nn.Dropout(0.5)).train()
        model = wrap(net, settings=SHAPE)
        assert not net.training
        assert not any(p.requires_grad for p in net.parameters())
        assert model.notes == (
            "the model came in training mode and is attacked in evaluation mode",
        )
        assert model.deterministic
        model.close()
        assert net.training
        assert all(p.requires_grad for p in net.parameters())

    def test_modules_that_do_not_care_for_the_mode_make_no_note(self) -> None:
        net = nn.Sequential(nn.Flatten(), nn.Linear(64, 3)).train()
        assert wrap(net, settings=SHAPE).notes == ()

    def test_randomness_is_noticed(self) -> None:
        class Noisy(nn.Module):
            def forward(self, x: torch.Tensor) -> torch.Tensor:
                return torch.rand(len(x), 3) + x.sum()

        model = wrap(Noisy(), settings=SHAPE)
        assert model.deterministic is False
        assert "differently each time" in model.notes[0]

    def test_double_precision(self) -> None:
        net = nn.Sequential(nn.Flatten(), nn.Linear(64, 3)).double()
        model = wrap(net, settings=SHAPE)
        x = torch.rand(2, 1, 8, 8)
        _, _, grad = model.value_and_grad(x, torch.tensor([0, 1]), lambda z, t: z.sum(1))  # type: ignore[attr-defined]
        assert grad.dtype == torch.float32

    def test_mappings_and_tuples(self) -> None:
        class Many(nn.Module):
            def __init__(self, how: str) -> None:
                super().__init__()
                self.how, self.layer = how, nn.Linear(64, 3)

            def forward(self, x: torch.Tensor) -> Any:
                out = self.layer(x.flatten(1))
                return {
                    "tuple": (out, x),
                    "logits": {"features": x, "logits": out},
                    "named": {"features": x, "classes": out},
                }[self.how]

        assert wrap(Many("tuple"), settings=SHAPE).classes == 3
        assert wrap(Many("logits"), settings=SHAPE).classes == 3
        assert wrap(Many("named"), settings=SHAPE._replace(output="classes")).classes == 3
        with pytest.raises(UsageError, match="features, classes"):
            wrap(Many("named"), settings=SHAPE)

    def test_one_by_one_maps_are_scores(self) -> None:
        class Maps(nn.Module):
            def forward(self, x: torch.Tensor) -> torch.Tensor:
                return x.flatten(1)[:, :5, None, None]

        assert wrap(Maps(), settings=SHAPE).classes == 5

    @pytest.mark.parametrize(
        ("answer", "words"),
        [
            (lambda x: x.sum() / 0 + x.flatten(1), "NaN or infinite for 8 of 8 inputs"),
            (lambda x: x, "answered shape (8, 1, 8, 8)"),
            (lambda x: x.flatten(1)[:3], "answered shape (3, 64)"),
            (lambda x: [1, 2], "answered int, not a tensor"),
            (lambda x: x @ torch.zeros(3, 3), "RuntimeError"),
            (lambda x: 1 / 0, "ZeroDivisionError: division by zero"),
        ],
    )
    def test_answers_that_are_none(self, answer: Any, words: str) -> None:
        class Bad(nn.Module):
            def forward(self, x: torch.Tensor) -> Any:
                return answer(x)

        with pytest.raises(TargetError) as caught:
            wrap(Bad(), settings=SHAPE)
        assert words in str(caught.value)

    def test_nan_on_some_inputs_only(self) -> None:
        class Sometimes(nn.Module):
            def forward(self, x: torch.Tensor) -> torch.Tensor:
                x = x.flatten(1)[:, :3]
                return torch.where(x > 2, x / 0 - x / 0, x)

        model = wrap(Sometimes(), settings=SHAPE)
        x = torch.zeros(4, 1, 8, 8)
        x[2] = 3
        with pytest.raises(TargetError, match="1 of 4 inputs, the first at row 2"):
            model.logits(x)  # type: ignore[attr-defined]

    def test_a_shape_that_does_not_fit_names_both(self) -> None:
        net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(144, 3))
        with pytest.raises(TargetError) as caught:
            wrap(net, settings=SHAPE)
        assert "(1, 8, 8)" in caught.value.hint
        assert "takes 3 channels" in caught.value.hint

    def test_no_shape_is_known(self) -> None:
        with pytest.raises(UsageError, match="shape of the model's inputs is not known"):
            wrap(nn.Linear(2, 2))

    def test_settings_that_contradict_the_model(self) -> None:
        net = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
        with pytest.raises(UsageError, match="5 classes, the model answers 3"):
            wrap(net, settings=SHAPE._replace(classes=5))
        with pytest.raises(UsageError, match="probabilities"):
            wrap(net, settings=SHAPE._replace(scores="probabilities"))

    def test_a_model_that_cannot_be_differentiated(self) -> None:
        class Detached(nn.Module):
            def forward(self, x: torch.Tensor) -> torch.Tensor:
                return x.flatten(1)[:, :3].detach()

        model: Any = wrap(Detached(), settings=SHAPE)
        with pytest.raises(TargetError, match="cannot be differentiated"):
            model.value_and_grad(torch.rand(2, 1, 8, 8), torch.tensor([0, 1]), lambda z, t: z[:, 0])

    def test_no_such_device(self) -> None:
        with pytest.raises(UsageError, match="no device 'warp'"):
            wrap(nn.Linear(2, 2), settings=Settings(shape=(2,)), device="warp")


class TestEndings:
    """A confident softmax has no float32 gradient left; what goes into it has."""

    @pytest.mark.parametrize("functional", [False, True])
    def test_attacks_see_the_logits_before_a_softmax(self, functional: bool) -> None:
        class Net(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.layer = nn.Linear(64, 3)

            def forward(self, x: torch.Tensor) -> torch.Tensor:
                out = 1e4 * self.layer(x.flatten(1))
                return out.softmax(-1) if functional else nn.Softmax(dim=1)(out)

        net = Net()
        model: Any = wrap(net, settings=SHAPE)
        assert "logits that go into it" in model.notes[-1]
        x = torch.rand(4, 1, 8, 8)
        assert torch.allclose(model.logits(x), 1e4 * net.layer(x.flatten(1)))
        label = model.logits(x).argmax(1)
        _, _, grad = model.value_and_grad(
            x, label, lambda z, t: z.logsumexp(1) - 2 * z.gather(1, t[:, None])[:, 0]
        )
        assert (grad.flatten(1).abs().sum(1) > 0).all()

    def test_a_softmax_in_the_middle_is_left_alone(self) -> None:
        class Mixed(nn.Module):
            def forward(self, x: torch.Tensor) -> torch.Tensor:
                p = x.flatten(1)[:, :3].softmax(1)
                return (p + 0.1) / 1.3

        model: Any = wrap(Mixed(), settings=SHAPE)
        x = torch.rand(4, 1, 8, 8)
        assert torch.allclose(model.logits(x).exp(), Mixed()(x))

    def test_a_temperature_after_the_softmax_is_not_lost(self) -> None:
        class Two(nn.Module):
            def forward(self, x: torch.Tensor) -> torch.Tensor:
                first = x.flatten(1)[:, :3].softmax(1)
                return (5 * first).softmax(1)

        model: Any = wrap(Two(), settings=SHAPE)
        x = torch.rand(4, 1, 8, 8)
        assert torch.allclose(model.logits(x).softmax(1), Two()(x), atol=1e-6)

    def test_a_single_logit(self) -> None:
        net = nn.Sequential(nn.Flatten(), nn.Linear(64, 1))
        with torch.no_grad():
            net[1].weight.mul_(20)
        model = wrap(net, settings=SHAPE)
        assert model.classes == 2
        assert "logit of class 1" in model.notes[0]
        x = np.random.default_rng(0).random((20, 1, 8, 8), dtype=np.float32)
        expected = (net(torch.tensor(x))[:, 0] > 0).long().numpy()
        assert np.array_equal(model.labels(x), expected)  # type: ignore[attr-defined]
