"""A surrogate by queries: ask about likely inputs, learn from the answers, ask where in doubt."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from casemate.attack.extraction.students import choose, learners
from casemate.errors import BudgetSpent, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from casemate.attack.domain import Domain
    from casemate.attack.extraction.students import Student
    from casemate.attack.extraction.teacher import Teacher
    from casemate.targets.capabilities import Array, Ints

CANDIDATES = 4
"""Inputs made up for each one that is chosen to be asked about."""


class Copy(NamedTuple):
    """A student, how it learnt, and what it had cost by then."""

    student: Student
    learner: str
    queries: int


def surrogate(
    teacher: Teacher,
    x: Array,
    domain: Domain,
    *,
    rng: np.random.Generator,
    queries: int,
    rounds: int,
    doubt: float,
    learner: str,
) -> Iterator[Copy]:
    """Yield a copy after every round of questions, the last one made with all of them.

    Tramèr et al. 2016, "Stealing machine learning models via prediction APIs" (arXiv 1609.02943);
    questions after Orekondy et al. 2019, Knockoff Nets (arXiv 1812.02766): natural inputs first.
    When these run out we cross pairs of them, and a share of the questions goes where the present
    copy is least sure (Pal et al. 2020, ActiveThief). The attacker has inputs of the right kind, no
    labels, and the model's answers.

    Args:
        teacher: The door to the model.
        x: Inputs the attacker has (n, ...).
        domain: What may be sent at all.
        rng: Source of everything random.
        queries: Inputs to ask about in all; the teacher's budget may end it before.
        rounds: Times a copy is made and the next questions are chosen by it.
        doubt: Share of the questions of a round chosen where the copy is least sure.
        learner: `linear`, `trees`, `network`, or `auto` for the one that agrees best.
    """
    known = learners(x.shape[1:])
    if learner != "auto":
        if learner not in known:
            raise UsageError(f"no learner '{learner}' here", hint=f"known: {', '.join(known)}")
        known = {learner: known[learner]}
    total = min(queries, teacher.left)
    pool = x[rng.permutation(len(x))]
    student: Student | None = None
    name = ""
    seed = int(rng.integers(2**31))
    # Each round doubles what is known, so that the curve shows the price of the first half too.
    ends = np.unique(np.ceil(total * 0.5 ** np.arange(rounds - 1, -1, -1)).astype(int))
    for end in ends.tolist():
        want = end - teacher.asked
        natural, pool = _next(pool, want, student, doubt, rng)
        made = _make_up(x, want - len(natural), domain, student, doubt, rng)
        try:
            teacher.ask(np.concatenate([natural, made]))
        except BudgetSpent:
            if not teacher.asked:
                raise
            total = teacher.asked
        # Which kind learns best is settled early and once more at the end, where it counts.
        kinds = known if not name or teacher.asked >= total else {name: known[name]}
        name, student = choose(*teacher.lessons, kinds, seed, rng)
        yield Copy(student, name, teacher.asked)
        if teacher.asked >= total:
            return


def _next(
    pool: Array, want: int, student: Student | None, doubt: float, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Return the natural inputs to ask about next and those that are left for later."""
    pick = _pick(pool, min(want, len(pool)), student, doubt, rng)
    rest = np.setdiff1d(np.arange(len(pool)), pick)
    return pool[pick], pool[rest]


def _make_up(
    x: Array,
    want: int,
    domain: Domain,
    student: Student | None,
    doubt: float,
    rng: np.random.Generator,
) -> Array:
    """Return legal inputs between natural ones: mixed for images, cells of either for the rest."""
    if want <= 0:
        return x[:0]
    many = want * CANDIDATES if student is not None else want
    first, second = (x[rng.integers(len(x), size=many)] for _ in range(2))
    if x.ndim > 2:
        share = rng.random((many, *[1] * (x.ndim - 1))).astype(x.dtype)
        mixed = first + share * (second - first)
    else:
        mixed = np.where(rng.random(first.shape) < 0.5, first, second)
    made = domain.project(mixed, first)
    return np.asarray(made[_pick(made, want, student, doubt, rng)])


def _pick(
    x: Array, want: int, student: Student | None, doubt: float, rng: np.random.Generator
) -> Ints:
    """Return positions (want,) in x: a share where the student is least sure, others at random."""
    order = rng.permutation(len(x))
    if student is None or want >= len(x):
        return order[:want]
    top = np.sort(student(x), axis=1)
    unsure = np.argsort(top[:, -1] - top[:, -2] if top.shape[1] > 1 else top[:, -1])
    chosen = unsure[: round(want * doubt)]
    rest = order[~np.isin(order, chosen)]
    return np.concatenate([chosen, rest[: want - len(chosen)]])
