"""Students: models that learn from a teacher's answers, and the choice of the best of them.

A linear one always; trees where scikit-learn is installed; a small network where torch is. The one
that agrees most with answers it has not learnt from is taken.
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt
    import torch

    from casemate.targets.capabilities import Array, Ints

    Doubles = npt.NDArray[np.float64]
    Student = Callable[[Array], Doubles]
    """Inputs (n, ...) to probabilities (n, classes)."""
    Learn = Callable[[Array, Doubles, int], Student]
    """Inputs, answers (n, classes) and a seed to a student."""

_FLOOR = 1e-6
_LESSONS_FOR_TREES = 20


def learners(shape: tuple[int, ...]) -> dict[str, Learn]:
    """Return what can be learnt with here, by name.

    Args:
        shape: Of one input; a network for images convolves.
    """
    known: dict[str, Learn] = {"linear": learn_linear}
    if len(shape) == 1 and importlib.util.find_spec("sklearn") is not None:
        known["trees"] = learn_trees
    if importlib.util.find_spec("torch") is not None:
        known["network"] = learn_network
    return known


def choose(
    x: Array, p: Doubles, known: dict[str, Learn], seed: int, rng: np.random.Generator
) -> tuple[str, Student]:
    """Return the name of the best way to learn and a student taught all lessons that way.

    Args:
        x: Inputs (n, ...).
        p: Answers (n, classes).
        known: From `learners`.
        seed: Of the students.
        rng: Picks the fifth of the lessons that the choice is made on.
    """
    order = rng.permutation(len(x))
    held, used = order[: len(x) // 5], order[len(x) // 5 :]
    names = list(known)
    if len(held) and len(names) > 1:
        taught = {name: known[name](x[used], p[used], seed) for name in names}
        agree = {
            name: float((taught[name](x[held]).argmax(axis=1) == p[held].argmax(axis=1)).mean())
            for name in names
        }
        names.sort(key=lambda name: -agree[name])
    return names[0], known[names[0]](x, p, seed)


def learn_linear(x: Array, p: Doubles, seed: int) -> Student:  # noqa: ARG001 - has no chance in it
    """Solve for log-odds that are linear in the input (Tramèr et al. 2016, arXiv 1609.02943).

    From scores by least squares, which is exact for a linear model once there are more answers than
    unknowns; then, and from labels, by cross-entropy.
    """
    from scipy.optimize import minimize

    flat, scale = _standardise(x)
    z = np.hstack([scale(flat), np.ones((len(flat), 1))])
    soft = not np.isin(p, (0.0, 1.0)).all()
    logs = np.log(np.maximum(p, _FLOOR))
    logs -= logs.mean(axis=1, keepdims=True)
    ridge = 1e-6 * len(z) * np.eye(z.shape[1])
    start = np.linalg.solve(z.T @ z + ridge, z.T @ (logs if soft else p - p.mean(axis=0)))
    penalty = 1e-6 if soft else 1e-4

    def loss(w: Doubles) -> tuple[float, Doubles]:
        weights = w.reshape(start.shape)
        q = softmax(z @ weights)
        value = -(p * np.log(np.maximum(q, 1e-300))).sum() / len(z) + penalty * (weights**2).sum()
        slope = z.T @ (q - p) / len(z) + 2 * penalty * weights
        return float(value), slope.ravel()

    found = start
    exact = soft and np.abs(z @ start - logs).max() < 1e-2
    if not exact:
        found = minimize(loss, start.ravel(), jac=True, method="L-BFGS-B", options={"maxiter": 300})
        found = found.x.reshape(start.shape)

    return Linear(found, scale)


def learn_trees(x: Array, p: Doubles, seed: int) -> Student:
    """Grow a forest that predicts the answers."""
    from sklearn.ensemble import ExtraTreesRegressor

    forest: Any = ExtraTreesRegressor(200, min_samples_leaf=1, random_state=seed, n_jobs=1)
    forest.fit(np.nan_to_num(x.reshape(len(x), -1)), p)

    def student(some: Array) -> Doubles:
        return np.asarray(forest.predict(np.nan_to_num(some.reshape(len(some), -1)))).reshape(
            len(some), -1
        )

    return student


def learn_network(x: Array, p: Doubles, seed: int) -> Student:
    """Train a small network on the answers: convolutions for images, dense layers for the rest."""
    import torch
    from torch import nn

    from casemate.attack.evasion.square import planes

    flat, scale = _standardise(x)
    image = x.ndim > 2 and min(planes(x).shape[2:]) >= 8

    def tensor(some: Array) -> torch.Tensor:
        if image:
            return torch.as_tensor(np.ascontiguousarray(planes(some)), dtype=torch.float32)
        return torch.as_tensor(scale(some.reshape(len(some), -1)), dtype=torch.float32)

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if image:
            channels, height, width = planes(x).shape[1:]
            sides = [-(-side // 4) for side in (height, width)]
            net = nn.Sequential(
                nn.Conv2d(channels, 16, 3, 2, 1), nn.ReLU(),
                nn.Conv2d(16, 32, 3, 2, 1), nn.ReLU(), nn.Flatten(),
                nn.Linear(32 * sides[0] * sides[1], 64), nn.ReLU(), nn.Linear(64, p.shape[1]),
            )  # fmt: skip
        else:
            net = nn.Sequential(
                nn.Linear(flat.shape[1], 64), nn.ReLU(),
                nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, p.shape[1]),
            )  # fmt: skip
        inputs, answers = tensor(x), torch.as_tensor(p, dtype=torch.float32)
        size = min(64, len(x))
        steps = max(300, min(3000, 40 * len(x) // size))
        fit = torch.optim.AdamW(net.parameters(), 3e-3, weight_decay=1e-3)
        rate = torch.optim.lr_scheduler.OneCycleLR(fit, 3e-3, total_steps=steps)
        for _ in range(steps):
            pick = torch.randint(len(inputs), (size,))
            loss = nn.functional.cross_entropy(net(inputs[pick]), answers[pick])
            fit.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            fit.step()
            rate.step()
    net.eval()

    return Network(net, tensor)


class Linear:
    """Log-odds that are linear in the scaled input."""

    def __init__(self, weights: Doubles, scale: Callable[[Array], Doubles]) -> None:
        self._weights, self._scale = weights, scale

    def __call__(self, x: Array) -> Doubles:
        """Return probabilities (n, classes) of inputs (n, ...)."""
        rows = self._scale(x.reshape(len(x), -1))
        return softmax(np.hstack([rows, np.ones((len(rows), 1))]) @ self._weights)

    def slope(self, x: Array, classes: Ints) -> Array:
        """Return the signs (n, ...) of the derivative of each row's log-odds of a class."""
        own = self._weights[:-1].T[classes]
        mean = self(x) @ self._weights[:-1].T
        return np.asarray(np.sign(own - mean).reshape(x.shape), x.dtype)


class Network:
    """A torch module, and what turns inputs into its tensors."""

    def __init__(self, net: Any, tensor: Callable[[Array], torch.Tensor]) -> None:
        self._net, self._tensor = net, tensor

    def __call__(self, x: Array) -> Doubles:
        """Return probabilities (n, classes) of inputs (n, ...)."""
        import torch

        with torch.no_grad():
            parts = [self._net(self._tensor(x[i : i + 1024])) for i in range(0, len(x), 1024)]
        return np.asarray(torch.cat(parts).softmax(1).double().numpy())

    def slope(self, x: Array, classes: Ints) -> Array:
        """Return the signs (n, ...) of the derivative of each row's log-odds of a class."""
        import torch

        from casemate.attack.evasion.square import planes

        out = np.empty_like(x)
        for first in range(0, len(x), 1024):
            part = slice(first, first + 1024)
            given = self._tensor(x[part]).requires_grad_()
            logs = self._net(given).log_softmax(1)
            picked = logs.gather(1, torch.as_tensor(classes[part])[:, None]).sum()
            sign = torch.autograd.grad(picked, given)[0].sign().numpy()
            place = out[part]
            if sign.ndim == 4:
                planes(place)[...] = sign
            else:
                place[...] = sign.reshape(place.shape)
        return out


def softmax(z: Doubles) -> Doubles:
    """Return probabilities (n, classes) of log-odds."""
    odds = np.exp(z - z.max(axis=1, keepdims=True))
    return np.asarray(odds / odds.sum(axis=1, keepdims=True))


def _standardise(x: Array) -> tuple[Doubles, Callable[[Array], Doubles]]:
    """Return x as rows, and what brings such rows to mean 0 and deviation 1."""
    flat = np.nan_to_num(x.reshape(len(x), -1).astype(np.float64))
    middle, spread = flat.mean(axis=0), flat.std(axis=0)
    spread[spread < 1e-12] = 1.0
    return flat, lambda some: (np.nan_to_num(some.astype(np.float64)) - middle) / spread
