"""Jacobian-based augmentation: a few natural inputs, and steps from them across the copy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from casemate.attack.extraction.students import learners
from casemate.attack.extraction.surrogate import Copy
from casemate.errors import BudgetSpent, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from casemate.attack.domain import Domain
    from casemate.attack.extraction.teacher import Teacher
    from casemate.targets.capabilities import Array


def jacobian(
    teacher: Teacher,
    x: Array,
    domain: Domain,
    *,
    rng: np.random.Generator,
    queries: int,
    rounds: int,
    step_size: float,
    learner: str,
) -> Iterator[Copy]:
    """Yield a copy after every round; each round steps from the known inputs along its gradient.

    Papernot et al. 2017, "Practical black-box attacks against machine learning" (arXiv 1602.02697).
    The attacker has a few inputs of the right kind; every round doubles them by inputs to which the
    copy's answer would change fastest, away from it in one round and towards it in the next.

    Args:
        teacher: The door to the model.
        x: Inputs the attacker has (n, ...); the first round's worth of them is used.
        domain: What may be sent at all.
        rng: Source of everything random.
        queries: Inputs to ask about in all; the teacher's budget may end it before.
        rounds: Times a copy is made; the natural inputs are `queries` over 2 to the rounds less 1.
        step_size: Length of a step, as a share of each cell's deviation; for images, of the mean
            deviation.
        learner: `network` or `linear`; `auto` for the first that can be had.
    """
    known = {name: learn for name, learn in learners(x.shape[1:]).items() if name != "trees"}
    name = ("network" if "network" in known else "linear") if learner == "auto" else learner
    if name not in known:
        raise UsageError(f"no learner '{name}' here", hint=f"known: {', '.join(known)}")
    total = min(queries, teacher.left)
    spread = x.std(axis=0) if x.ndim == 2 else np.full(x.shape[1:], x.std(), x.dtype)
    ends = np.unique(np.ceil(total * 0.5 ** np.arange(rounds - 1, -1, -1)).astype(int)).tolist()
    seed = int(rng.integers(2**31))
    origin = ask = x[rng.permutation(len(x))[: ends[0]]]
    student: Any = None
    for number, end in enumerate(ends):
        if number:
            given, said = teacher.lessons
            pick = rng.permutation(len(given))[: end - len(given)]
            side = 1 if number % 2 == 0 else -1
            step = side * step_size * spread * student.slope(given[pick], said[pick].argmax(axis=1))
            ask = domain.project((given[pick] + step).astype(x.dtype), origin[pick])
            origin = np.concatenate([origin, origin[pick]])
        try:
            teacher.ask(ask)
        except BudgetSpent:
            if not teacher.asked:
                raise
            total = teacher.asked
        student = known[name](*teacher.lessons, seed)
        yield Copy(student, name, teacher.asked)
        if teacher.asked >= total:
            return
