"""The run loop of extraction: let the attacker learn, compare copy and model, build the Trial.

The data are split: one part is what the attacker has, without labels, the other is held out to
compare the copy with the model on. Comparing asks the model too, but is no cost of the attacker's.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from casemate.attack.domain import Domain
from casemate.attack.evasion import answers, inputs
from casemate.attack.extraction.teacher import Teacher
from casemate.attack.measure import share
from casemate.catalog import loader
from casemate.errors import BudgetSpent, TargetError, UsageError
from casemate.records.make import make, new_id
from casemate.records.trial import Cost, Series, Trial

if TYPE_CHECKING:
    from collections.abc import Callable

    from casemate.catalog.entries import Attack
    from casemate.records.trial import Param
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
    wall, cpu = time.perf_counter(), time.process_time()
    points: list[tuple[float, float]] = []
    agree = right = None
    learner, state = "", "complete"
    notes = [*chosen.notes, f"the attacker had {len(own)} inputs like those attacked, unlabelled"]
    try:
        for copy in loader.load(entry)(teacher, chosen.x[own], domain, rng=rng, **params):
            said = copy.student(x).argmax(axis=1)
            agree, right, learner = said == clean.label, said == y, copy.learner
            points.append((float(copy.queries), float(agree.mean())))
        if deadline is not None and time.monotonic() >= deadline:
            state, notes = "budget-spent", [*notes, "stopped at its deadline"]
    except BudgetSpent as spent:
        state, notes = "budget-spent", [*notes, str(spent)]
    except KeyboardInterrupt:
        state = "interrupted"
        notes.append("interrupted; what was found until then is kept")
    except TargetError as error:
        state, notes = "failed", [*notes, f"the target failed: {error}"]
    if learner:
        notes.append(f"the copy is of the kind '{learner}', chosen by its agreement in training")
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
    return make(
        Trial,
        id=new_id("trial"),
        attack=entry.id,
        family="extraction",
        target=model.target,
        data=data.target,
        params=params,
        seed=seed,
        budget=budget,
        norm=None,
        eps=None,
        inputs=len(held),
        clean=share("accuracy", int((clean.label == y).sum()), len(y)),
        robust=None,
        cost=make(
            Cost,
            forward=teacher.asked,
            queries=teacher.asked,
            wall_s=time.perf_counter() - wall,
            cpu_s=time.process_time() - cpu,
        ),
        measures=measures,
        series=(curve,) if points else (),
        state=state,
        notes=tuple(notes),
    )
