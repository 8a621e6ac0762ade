"""The run loop of extraction: let the attacker learn, compare copy and model, build the Trial.

The data are split: one part is what the attacker has, without labels, the other is held out to
compare the copy with the model on. Comparing asks the model too, but is no cost of the attacker's.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from casemate.attack.course import Course
from casemate.attack.domain import Domain
from casemate.attack.evasion import answers, inputs
from casemate.attack.extraction.teacher import Teacher
from casemate.attack.measure import share
from casemate.catalog import loader
from casemate.errors import UsageError
from casemate.records.trial import Series

if TYPE_CHECKING:
    from collections.abc import Callable

    from casemate.catalog.entries import Attack
    from casemate.records.trial import Param, Trial
    from casemate.targets.data import Data

FEWEST = 10
"""Inputs without which neither part of the data says anything."""
HELD_OUT = 1000
"""Most inputs that copy and model are compared on."""


def run(
    entry: Attack,
    model: Any,
    data: Data,
    *,
    params: dict[str, Param],
    budget: int | None,
    seed: int,
    limit: int | None,
    device: str,
    progress: Callable[[str, int, int], None] | None,
    deadline: float | None,
    **_: Any,
) -> Trial:
    """Copy `model` and say how well; see `casemate.attack.run.run`.

    Args:
        entry: The attack.
        model: The target.
        data: Inputs; labels are used for the accuracy of model and copy only.
        params: Complete and checked.
        budget: Inputs that may be asked about in all; None: as the parameters say.
        seed: Of everything random.
        limit: Most inputs of the data used.
        device: Where the target computes.
        progress: Told (attack, queries done, queries in all).
        deadline: `time.monotonic()` at which to stop.

    Raises:
        UsageError: Fewer than 20 inputs, or a budget below 1.
    """
    # Who gives scores gives away labels with them.
    given = {*model.gives, *(("labels",) if "scores" in model.gives else ())}
    for need in entry.needs:
        if need not in given:
            raise UsageError(
                f"{entry.id} needs {need}, which {model.target.uri} does not give",
                hint=f"it gives {', '.join(sorted(model.gives)) or 'neither scores nor labels'}",
            )
    if budget is not None and budget < 1:
        raise UsageError(f"a budget of {budget} queries allows nothing", hint="at least 1")
    chosen = inputs.choose(model, data, limit, gradients=False)
    rng = np.random.default_rng(np.random.SeedSequence([seed, 0]))
    order = rng.permutation(len(chosen.y))
    held, own = order[: min(HELD_OUT, len(order) // 2)], order[min(HELD_OUT, len(order) // 2) :]
    if len(held) < FEWEST:
        raise UsageError(
            f"{len(order)} inputs are too few to copy a model with and compare on",
            hint=f"at least {2 * FEWEST}; the more, the truer",
        )
    x, y = chosen.x[held], chosen.y[held]
    device = inputs.resolve(device)
    clean = answers.ask(model, x, y, model.threshold, device)
    total = int(params["queries"] if budget is None else budget)  # type: ignore[arg-type]
    params = {**params, "queries": total}

    def tick(done: int) -> None:
        if progress is not None:
            progress(entry.id, done, total)

    teacher = Teacher(model, total, deadline=deadline, tick=tick)
    domain = Domain(chosen.lower, chosen.upper, tuple(data.columns))
    points: list[tuple[float, float]] = []
    agree = right = None
    learner = ""
    course = Course(
        [*chosen.notes, f"the attacker had {len(own)} inputs like those attacked, unlabelled"]
    )
    with course:
        for copy in loader.load(entry)(teacher, chosen.x[own], domain, rng=rng, **params):
            said = copy.student(x).argmax(axis=1)
            agree, right, learner = said == clean.label, said == y, copy.learner
            points.append((float(copy.queries), float(agree.mean())))
        if deadline is not None and time.monotonic() >= deadline:
            course.end("budget-spent", "stopped at its deadline")
    if learner:
        course.notes.append(
            f"the copy is of the kind '{learner}', chosen by its agreement in training"
        )
    n = len(y)
    measures = (
        share("fidelity", 0, 0) if agree is None else share("fidelity", int(agree.sum()), n),
        share("copy-accuracy", 0, 0)
        if right is None
        else share("copy-accuracy", int(right.sum()), n),
        share("fidelity-by-guessing", int(np.bincount(clean.label).max()), n),
    )
    curve = Series(
        name="fidelity-against-queries", x_name="queries", y_name="fidelity", points=tuple(points)
    )
    return course.trial(
        entry,
        model,
        data,
        forward=teacher.asked,
        queries=teacher.asked,
        params=params,
        seed=seed,
        budget=budget,
        inputs=len(held),
        clean=share("accuracy", int((clean.label == y).sum()), len(y)),
        robust=None,
        measures=measures,
        series=(curve,) if points else (),
    )
