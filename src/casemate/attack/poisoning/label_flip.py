"""Label flips: give a share of the training rows a false label, and train."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy.typing as npt

    from casemate.attack.poisoning.training import Train
    from casemate.targets.capabilities import Array, Ints

    Mask = npt.NDArray[np.bool_]
    Flips = tuple[Ints, Ints]
    """Rows, the most harmful first, and the false label of each."""
    Flip = Callable[[Array, Ints, int, np.random.Generator], Flips]

SHARES = (0.0, 0.1, 0.3, 1.0)
"""Of the highest rate: the rates that are measured."""
FEWEST_FOLDS = 3
_NEIGHBOURS = 10
_REFERENCE = 1000


class Retrained(NamedTuple):
    """What one training on false labels came to."""

    rate: float
    fold: int
    choice: str
    held: Ints
    """The rows held out."""
    right: Mask
    """Which of them the model got right."""


def label_flip(
    train: Train,
    x: Array,
    y: Ints,
    *,
    rng: np.random.Generator,
    rate: float,
    choice: str,
    repeats: int,
) -> Iterator[Retrained]:
    """Yield what the model gets right after training on 0, a tenth, a third and all of the flips.

    Biggio et al. 2011, "Support vector machines under adversarial label noise"; one-sided and
    region-wise flips after Jagielski et al. 2021, "Subpopulation data poisoning attacks"
    (arXiv 2006.14026). The attacker can change labels, not rows, and knows the training data; where
    `choice` is `worst` also the training function, to try the choices out on the training rows.
    Every fold is trained on by turns and measured on rows that were never flipped.

    Args:
        train: The user's training.
        x: Rows (n, ...).
        y: True classes (n,).
        rng: Source of folds and flips.
        rate: Highest share of the training rows whose label is changed.
        choice: How the rows are chosen, a name in `CHOICES`, or `worst`.
        repeats: Folds that are held out by turns.
    """
    folds = np.array_split(rng.permutation(len(y)), max(FEWEST_FOLDS, repeats))
    for fold, held in enumerate(map(np.sort, folds[:repeats])):
        own = np.setdiff1d(np.arange(len(y)), held)
        if choice == "worst":
            choice = _worst(train, x[own], y[own], rate, rng)
        # Flips of a lower rate are among those of a higher one: the curve is of one attack.
        rows, false = CHOICES[choice](x[own], y[own], round(rate * len(own)), rng)
        for share in SHARES:
            labels, count = y[own].copy(), round(share * rate * len(own))
            labels[rows[:count]] = false[:count]
            right = train(x[own], labels)(x[held]) == y[held]
            yield Retrained(share * rate, fold, choice, held, np.asarray(right))


def _worst(train: Train, x: Array, y: Ints, rate: float, rng: np.random.Generator) -> str:
    """Return the choice that costs most on a quarter of the training rows, kept from training."""
    order = rng.permutation(len(y))
    held, own = order[: len(y) // 4], order[len(y) // 4 :]
    hits = {}
    for name, flip in CHOICES.items():
        labels = y[own].copy()
        rows, false = flip(x[own], y[own], round(rate * len(own)), rng)
        labels[rows] = false
        hits[name] = int((train(x[own], labels)(x[held]) == y[held]).sum())
    return min(hits, key=hits.__getitem__)


def flip_random(x: Array, y: Ints, count: int, rng: np.random.Generator) -> Flips:  # noqa: ARG001
    """Flip rows chosen blindly, to any other class."""
    return _relabel(y, rng.permutation(len(y))[:count], rng)


def flip_sure(x: Array, y: Ints, count: int, rng: np.random.Generator) -> Flips:
    """Flip the rows deepest inside their class: they pull a smooth model farthest."""
    own, other = _surroundings(x, y, rng)
    return _relabel(y, np.argsort(-own, kind="stable")[:count], rng, other)


def flip_unsure(x: Array, y: Ints, count: int, rng: np.random.Generator) -> Flips:
    """Flip the rows nearest to another class: they move the border, and are hardest to notice."""
    own, other = _surroundings(x, y, rng)
    return _relabel(y, np.argsort(own, kind="stable")[:count], rng, other)


def flip_one_class(x: Array, y: Ints, count: int, rng: np.random.Generator) -> Flips:
    """Flip rows of the largest class to the class next to it: all errors pull the same way."""
    _, other = _surroundings(x, y, rng)
    source = int(np.bincount(y).argmax())
    rows = rng.permutation(np.flatnonzero(y == source))[:count]
    target = np.bincount(other[y == source]).argmax()
    return _relabel(y, rows, rng, np.full_like(y, target))


def flip_region(x: Array, y: Ints, count: int, rng: np.random.Generator) -> Flips:
    """Flip one row deep inside the largest class and its nearest neighbours of that class."""
    own, other = _surroundings(x, y, rng)
    rows = np.flatnonzero(y == np.bincount(y).argmax())
    centre = rows[own[rows].argmax()]
    flat = _standardise(x)
    near = rows[np.argsort(((flat[rows] - flat[centre]) ** 2).sum(axis=1), kind="stable")[:count]]
    target = np.bincount(other[near]).argmax() if len(near) else 0
    return _relabel(y, near, rng, np.full_like(y, target))


CHOICES: dict[str, Flip] = {
    "random": flip_random,
    "sure": flip_sure,
    "unsure": flip_unsure,
    "one-class": flip_one_class,
    "region": flip_region,
}


def _relabel(y: Ints, rows: Ints, rng: np.random.Generator, to: Ints | None = None) -> Flips:
    """Return rows and their false labels: those in `to` where these are false, else any."""
    classes = np.unique(y)
    step = rng.integers(1, max(2, len(classes)), len(rows))
    false = classes[(np.searchsorted(classes, y[rows]) + step) % len(classes)]
    if to is not None:
        false = np.where(to[rows] != y[rows], to[rows], false)
    return rows, false


def _surroundings(x: Array, y: Ints, rng: np.random.Generator) -> tuple[Array, Ints]:
    """Return, by the nearest rows, the share that has each row's class, and the next class."""
    flat = _standardise(x)
    some = np.sort(rng.permutation(len(y))[:_REFERENCE])
    votes = np.zeros((len(y), int(y.max()) + 1))
    for first in range(0, len(y), 512):
        part = flat[first : first + 512]
        away = (flat[some] ** 2).sum(axis=1) - 2 * part @ flat[some].T
        away[some[None] == np.arange(first, first + len(part))[:, None]] = np.inf
        near = some[np.argsort(away, axis=1)[:, :_NEIGHBOURS]]
        for k in range(near.shape[1]):
            # Nearer rows count more, so that shares differ and ties are few.
            np.add.at(votes, (np.arange(first, first + len(part)), y[near[:, k]]), 1 / (k + 2))
    rows = np.arange(len(y))
    own = votes[rows, y] / np.maximum(votes.sum(axis=1), 1e-12)
    common = np.bincount(y, minlength=votes.shape[1]) * 1e-9
    votes = votes + common
    votes[rows, y] = -1
    return own, votes.argmax(axis=1)


def _standardise(x: Array) -> npt.NDArray[np.float64]:
    flat = np.nan_to_num(x.reshape(len(x), -1).astype(np.float64))
    spread = flat.std(axis=0)
    return np.asarray((flat - flat.mean(axis=0)) / np.where(spread > 0, spread, 1.0))
