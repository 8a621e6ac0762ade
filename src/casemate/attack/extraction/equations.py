"""Solving for a linear model: as many answers with scores as it has unknowns, and a few more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from casemate.attack.extraction.students import learn_linear
from casemate.attack.extraction.surrogate import Copy
from casemate.errors import BudgetSpent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from casemate.attack.domain import Domain
    from casemate.attack.extraction.teacher import Teacher
    from casemate.targets.capabilities import Array

ROUNDS = 4
"""Copies made on the way, each from twice the answers of the one before."""


def equations(
    teacher: Teacher,
    x: Array,
    domain: Domain,
    *,
    rng: np.random.Generator,
    queries: int,
    surplus: float,
) -> Iterator[Copy]:
    """Yield a linear model that fits the answers to random inputs.

    Tramèr et al. 2016, "Stealing machine learning models via prediction APIs" (arXiv 1609.02943),
    section 4.1. Exact for logistic and softmax regression, once there are as many answers as
    weights per class. The attacker has the range of each cell and the model's scores.

    Args:
        teacher: The door to the model.
        x: Inputs the attacker has (n, ...); their ranges are all that is used.
        domain: What may be sent at all.
        rng: Source of the questions.
        queries: Most inputs to ask about; the teacher's budget may end it before.
        surplus: Questions asked over unknowns.
    """
    unknowns = x[0].size + 1
    total = min(queries, teacher.left, int(np.ceil(surplus * unknowns)))
    low, high = x.min(axis=0), x.max(axis=0)
    for end in np.unique(
        np.ceil(total * 0.5 ** np.arange(ROUNDS - 1, -1, -1)).astype(int)
    ).tolist():
        want = end - teacher.asked
        aim = (low + rng.random((want, *x.shape[1:])) * (high - low)).astype(x.dtype)
        # A legal row of a table is one that can be reached from some legal row.
        made = domain.project(aim, x[rng.integers(len(x), size=want)])
        try:
            teacher.ask(made)
        except BudgetSpent:
            if not teacher.asked:
                raise
            total = teacher.asked
        yield Copy(learn_linear(*teacher.lessons, 0), "linear", teacher.asked)
        if teacher.asked >= total:
            return
