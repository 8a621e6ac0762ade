"""Small models with known optima, and data for them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from casemate.records.target import Target

TARGET = Target(kind="model", uri="test:model", digest=None)


class Data(NamedTuple):
    x: np.ndarray
    y: np.ndarray
    lower: float = 0.0
    upper: float = 1.0
    columns: tuple = ()
    target: Target = Target(kind="dataset", uri="test:data", digest=None)
    classes: tuple[str, ...] | None = None


class TorchModel:
    """Any torch module as a target that gives everything, counting the rows it sees itself."""

    kind = "logits"

    def __init__(self, module, shape, classes, *, threshold=None, gives=None):
        self.module, self.shape, self.classes, self.threshold = (
            module,
            tuple(shape),
            classes,
            threshold,
        )
        self.gives = frozenset(gives or ("gradients", "scores", "labels"))
        self.target, self.deterministic = TARGET, None
        self.lower, self.upper = 0.0, 1.0
        self.forward_rows = self.backward_rows = 0

    def logits(self, x):
        self.forward_rows += len(x)
        with torch.no_grad():
            return self.module(x)

    def value_and_grad(self, x, y, loss):
        self.forward_rows += len(x)
        self.backward_rows += len(x)
        x = x.detach().requires_grad_()
        logits = self.module(x)
        value = loss(logits, y)
        (grad,) = torch.autograd.grad(value.sum(), x)
        return logits.detach(), value.detach(), grad

    def jacobian(self, x, classes):
        self.forward_rows += len(x)
        self.backward_rows += len(x) * classes.shape[1]
        x = x.detach().requires_grad_()
        logits = self.module(x)
        grads = []
        for j in range(classes.shape[1]):
            picked = logits.gather(1, classes[:, j : j + 1]).sum()
            grads.append(torch.autograd.grad(picked, x, retain_graph=True)[0])
        return logits.detach(), torch.stack(grads, 1)

    def scores(self, x):
        with torch.no_grad():
            return self.module(torch.as_tensor(x, dtype=torch.float32)).double().numpy()

    def labels(self, x):
        scores = self.scores(x)
        if self.threshold is None:
            return scores.argmax(1)
        bar = np.log(self.threshold / (1 - self.threshold))
        return (scores[:, 1] - scores[:, 0] >= bar).astype(np.int64)

    def close(self):
        pass


def linear(shape=(3, 4, 4), classes=5, seed=0, scale=1.0):
    """A linear classifier of inputs about the middle of the box."""
    rng = np.random.default_rng(seed)
    d = int(np.prod(shape))
    layer = torch.nn.Linear(d, classes)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(rng.normal(size=(classes, d)) * scale))
        layer.bias.copy_(-layer.weight.sum(1) * 0.5)
    module = torch.nn.Sequential(torch.nn.Flatten(), layer)
    module.requires_grad_(False)
    return TorchModel(module, shape, classes)


def near_boundary(model, n=20, spread=0.1, seed=1):
    """Inputs about the middle of the box with the labels the model gives them."""
    rng = np.random.default_rng(seed)
    x = (0.5 + spread * rng.uniform(-1, 1, size=(n, *model.shape))).astype(np.float32)
    return Data(x, model.labels(x))


def optimum(model, x, y, norm):
    """The exact distance to the nearest boundary of a linear model, the box left aside."""
    layer = model.module[1]
    w, b = layer.weight.double().numpy(), layer.bias.double().numpy()
    z = x.reshape(len(x), -1).astype(np.float64) @ w.T + b
    dual = {"linf": 1, "l2": 2, "l1": np.inf}[norm]
    best = np.full(len(x), np.inf)
    for k in range(model.classes):
        dw = np.linalg.norm(w[k][None] - w[y], ord=dual, axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            gap = (z[np.arange(len(x)), y] - z[:, k]) / dw
        best = np.where(y == k, best, np.minimum(best, gap))
    return best
