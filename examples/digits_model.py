"""The demo's digit reader: what a user's own model file looks like to casemate.

`load` is the factory that casemate.toml names, `train` the function that poisoning attacks call.
"""

from pathlib import Path

import numpy as np
import torch
from torch import nn


def network() -> nn.Module:
    """Return an untrained network: (n, 1, 28, 28) in [0, 1] to ten logits."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 4, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 4, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(1568, 100),
        nn.ReLU(),
        nn.Linear(100, 10),
    )


def load() -> nn.Module:
    """Return the trained network."""
    model = network()
    weights = torch.load(Path(__file__).with_name("weights.pt"), weights_only=True)
    model.load_state_dict(weights)
    return model.eval()


def train(x: np.ndarray, y: np.ndarray, epochs: int = 6) -> nn.Module:
    """Train on images (n, 1, 28, 28) with labels (n,) and return the network."""
    torch.manual_seed(0)
    model = network()
    images, labels = torch.from_numpy(x), torch.from_numpy(y)
    batches = len(x) // 64 + 1
    optimiser = torch.optim.Adam(model.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=epochs * batches)
    order = torch.Generator().manual_seed(0)
    for _ in range(epochs):
        for batch in torch.randperm(len(x), generator=order).tensor_split(batches):
            optimiser.zero_grad()
            nn.functional.cross_entropy(model(images[batch]), labels[batch]).backward()
            optimiser.step()
            schedule.step()
    return model.eval()
