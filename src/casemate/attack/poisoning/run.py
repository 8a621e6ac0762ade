"""The run loop of poisoning: train on false labels, measure on true ones, build the Trial.

It trains the user's model, so it runs the user's code. Clean accuracy is that of the same training
without flips, not that of the target as it stands.
"""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from casemate.attack.course import Course
from casemate.attack.evasion import inputs
from casemate.attack.measure import share
from casemate.attack.poisoning.label_flip import CHOICES, FEWEST_FOLDS, SHARES, Retrained
from casemate.attack.poisoning.training import trainer
from casemate.catalog import loader
from casemate.errors import BudgetSpent, UsageError
from casemate.records.make import make
from casemate.records.trial import Measure, Series

if TYPE_CHECKING:
    from collections.abc import Callable

    from casemate.attack.poisoning.training import Train
    from casemate.catalog.entries import Attack
    from casemate.records.trial import Param, Trial
    from casemate.targets.capabilities import Array, Ints
    from casemate.targets.data import Data

FEWEST = 30
"""Rows below which nothing can be said."""


def run(
    entry: Attack,
    model: Any,
    data: Data,
    *,
    params: dict[str, Param],
    budget: int | None,
    seed: int,
    limit: int | None,
    progress: Callable[[str, int, int], None] | None,
    deadline: float | None,
    train: str | Callable[..., Any] | None = None,
    root: Path = Path(),
    **_: Any,
) -> Trial:
    """Train on false labels and say what it costs; see `casemate.attack.run.run`.

    Args:
        entry: The attack.
        model: The target; trained again if it can be and `train` is None.
        data: Training rows and their true classes.
        params: Complete and checked.
        budget: Not used: nothing is asked of the target.
        seed: Of folds and flips; the user's training draws as it likes.
        limit: Most rows.
        progress: Told (attack, trainings done, trainings in all).
        deadline: `time.monotonic()` at which to stop, looked at between trainings.
        train: The training function, `file.py:function` or itself; None: the target's own way.
        root: Folder that a relative path starts from.

    Raises:
        UsageError: Too few rows, one class only, or no way to train.
    """
    chosen = inputs.choose(model, data, limit, gradients=False)
    x, y = chosen.x, chosen.y
    if len(y) < FEWEST or len(np.unique(y)) < 2:
        raise UsageError(
            f"{len(y)} rows of {len(np.unique(y))} classes are too few to train on and measure",
            hint=f"at least {FEWEST} rows of 2 classes; attack more with --inputs",
        )
    rate, repeats = float(params["rate"] or 0), int(params["repeats"] or 1)
    total = repeats * len(SHARES) + (len(CHOICES) if params["choice"] == "worst" else 0)
    done = [0]
    fresh = trainer(model, train, root)

    def counted(rows: Array, labels: Ints) -> Any:
        if deadline is not None and time.monotonic() >= deadline:
            raise BudgetSpent("stopped at its deadline")
        made = fresh(rows, labels)
        done[0] += 1
        if progress is not None:
            progress(entry.id, min(done[0], total), total)
        return made

    found: list[Retrained] = []
    course = Course(chosen.notes)
    rng = np.random.default_rng(np.random.SeedSequence([seed, 0]))
    flips: Callable[..., Any] = loader.load(entry)
    typed: Train = counted
    with course:
        for result in flips(typed, x, y, rng=rng, **params):
            found += [result]
    if course.fault is not None and not found:
        raise course.fault
    rates = [round(part * rate, 9) for part in SHARES]
    folds = _whole_folds(found)
    by_rate = [_pooled(found, part, folds) for part in rates]
    clean, robust = by_rate[0], by_rate[-1]
    n = len(clean)
    course.notes.append(
        f"trained {done[0]} times on {1 - 1 / max(FEWEST_FOLDS, repeats):.0%} of the rows given, "
        "with the user's own code; clean accuracy is that of training without flips"
    )
    if found:
        course.notes.append(f"labels to flip were chosen by '{found[-1].choice}'")
    if n == 0 and course.state == "complete":
        course.state = "failed"
    drops = [
        _drop("accuracy-drop" if part == 1 else f"accuracy-drop-at-{part * rate:g}", clean, right)
        for part, right in zip(SHARES[:0:-1], by_rate[:0:-1], strict=True)
    ]
    points = tuple((at, float(right.mean())) for at, right in zip(rates, by_rate, strict=True) if n)
    curve = Series(name="accuracy-against-rate", x_name="rate", y_name="accuracy", points=points)
    return course.trial(
        entry,
        model,
        data,
        forward=sum(len(result.right) for result in found),
        params=params,
        seed=seed,
        budget=budget,
        inputs=n,
        clean=share("accuracy", int(clean.sum()), n),
        robust=share("accuracy", int(robust.sum()), n),
        measures=tuple(drops),
        series=(curve,) if points else (),
    )


def _whole_folds(found: list[Retrained]) -> set[int]:
    """Return the folds that were measured at every rate, so that rates compare like with like."""
    counts: dict[int, int] = {}
    for result in found:
        counts[result.fold] = counts.get(result.fold, 0) + 1
    return {fold for fold, count in counts.items() if count == len(SHARES)}


def _pooled(found: list[Retrained], rate: float, folds: set[int]) -> Any:
    """Return which of the held-out rows of all whole folds were right at a rate."""
    order = sorted({result.fold for result in found} & folds)
    parts = []
    for fold in order:
        mine = [result for result in found if result.fold == fold]
        parts.append(next(r.right for r in mine if math.isclose(r.rate, rate, abs_tol=1e-12)))
    return np.concatenate(parts) if parts else np.zeros(0, bool)


def _drop(name: str, clean: Any, right: Any) -> Measure:
    """Return how much accuracy fell, with the interval of a paired difference."""
    n = len(clean)
    if n < 2:
        return make(Measure, name=name, value=None, n=n)
    lost = clean.astype(float) - right.astype(float)
    value, half = float(lost.mean()), 1.959963984540054 * float(lost.std(ddof=1)) / math.sqrt(n)
    return make(Measure, name=name, value=value, low=value - half, high=value + half, n=n)
