"""Knockoff nets: natural inputs only, of the kinds from which most is learnt."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from casemate.attack.extraction.students import choose, learners
from casemate.attack.extraction.surrogate import Copy
from casemate.errors import BudgetSpent, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from casemate.attack.domain import Domain
    from casemate.attack.extraction.students import Student
    from casemate.attack.extraction.teacher import Teacher
    from casemate.targets.capabilities import Array, Ints

    Doubles = npt.NDArray[np.float64]

PACE = 0.3
"""How far one reward moves the preference for a kind."""
_ROUNDS = 20
_TINY = 1e-9


def knockoff(
    teacher: Teacher,
    x: Array,
    domain: Domain,
    *,
    rng: np.random.Generator,
    queries: int,
    rounds: int,
    kinds: int,
    learner: str,
) -> Iterator[Copy]:
    """Yield a copy after every round of questions about natural inputs, each asked about once.

    Orekondy, Schiele and Fritz 2019, "Knockoff nets: stealing functionality of black-box models"
    (arXiv 1812.02766): a gradient bandit prefers kinds of inputs whose answers are certain, varied,
    and not yet what the copy says. We differ in that kinds are clusters of the inputs, as the
    attacker has no labels. It ends when the inputs do.

    Args:
        teacher: The door to the model.
        x: Inputs the attacker has (n, ...).
        domain: Not used: nothing but these inputs is sent.
        rng: Source of everything random.
        queries: Inputs to ask about in all; the teacher's budget may end it before.
        rounds: Times a copy is made and preferences change.
        kinds: Clusters of inputs chosen between.
        learner: `linear`, `trees`, `network`, or `auto` for the one that agrees best.
    """
    del domain
    known = learners(x.shape[1:])
    if learner != "auto":
        if learner not in known:
            raise UsageError(f"no learner '{learner}' here", hint=f"known: {', '.join(known)}")
        known = {learner: known[learner]}
    total = min(queries, teacher.left, len(x))
    kind = _clusters(x, min(kinds, len(x)), rng)
    taste = np.zeros(int(kind.max()) + 1)
    free, name = np.ones(len(x), bool), ""
    student: Student | None = None
    seed = int(rng.integers(2**31))
    for end in np.unique(
        np.ceil(total * 0.5 ** np.arange(rounds - 1, -1, -1)).astype(int)
    ).tolist():
        pick = _draw(kind, free, taste, end - teacher.asked, rng)
        free[pick] = False
        try:
            teacher.ask(x[pick])
        except BudgetSpent:
            if not teacher.asked:
                raise
            total = teacher.asked
        given, said = teacher.lessons
        fresh = slice(len(given) - len(pick), None) if teacher.asked == end else slice(0, 0)
        reward = _rewards(said, fresh, None if student is None else student(given[fresh]))
        taste = _adjust(taste, kind[pick][: len(reward)], reward)
        forms = known if not name or teacher.asked >= total else {name: known[name]}
        name, student = choose(given, said, forms, seed, rng)
        yield Copy(student, name, teacher.asked)
        if teacher.asked >= total:
            return


def _clusters(x: Array, count: int, rng: np.random.Generator) -> Ints:
    """Return the cluster (n,) of each input: k-means on standardised cells, from random centres."""
    flat = np.nan_to_num(x.reshape(len(x), -1).astype(np.float64))
    flat = (flat - flat.mean(axis=0)) / np.maximum(flat.std(axis=0), _TINY)
    centres = flat[rng.permutation(len(flat))[:count]]
    near = np.zeros(len(flat), np.int64)
    for _ in range(_ROUNDS):
        now = ((centres**2).sum(axis=1) - 2 * flat @ centres.T).argmin(axis=1)
        if (now == near).all():
            break
        near = now
        for k in np.unique(near):
            centres[k] = flat[near == k].mean(axis=0)
    return np.asarray(np.unique(near, return_inverse=True)[1], np.int64)


def _draw(
    kind: Ints, free: npt.NDArray[np.bool_], taste: Doubles, want: int, rng: np.random.Generator
) -> Ints:
    """Return positions (want,) of inputs not asked about yet, kinds weighed by taste."""
    weight = np.exp(taste - taste.max())
    there = np.bincount(kind[free], minlength=len(taste))
    odds = np.where(free, weight[kind] / np.maximum(there, 1)[kind], 0)
    return np.asarray(rng.choice(len(kind), size=want, replace=False, p=odds / odds.sum()))


def _rewards(said: Doubles, fresh: slice, copied: Doubles | None) -> Doubles:
    """Return what each fresh answer was worth (n,): certain, unlike the others, unlike the copy."""
    new = said[fresh]
    top = np.sort(new, axis=1)
    certain = top[:, -1] - (top[:, -2] if new.shape[1] > 1 else 0)
    varied = np.maximum(new - said.mean(axis=0), 0).sum(axis=1)
    parts = [certain, varied]
    if copied is not None:
        parts.append(-(new * np.log(np.maximum(copied, 1e-6))).sum(axis=1))
    spread = [np.ptp(part) if len(part) else 1.0 for part in parts]
    scaled = [
        (p - p.min(initial=np.inf)) / max(s, _TINY) for p, s in zip(parts, spread, strict=True)
    ]
    return np.asarray(np.mean(scaled, axis=0))


def _adjust(taste: Doubles, kind: Ints, reward: Doubles) -> Doubles:
    """Return the preferences after a round, by the gradient of the expected reward."""
    taste = taste.copy()
    if not len(reward):
        return taste
    middle = float(reward.mean())
    for k in np.unique(kind):
        odds = np.exp(taste - taste.max())
        share = odds[k] / odds.sum()
        taste[k] += PACE * len(taste) * (float(reward[kind == k].mean()) - middle) * (1 - share)
    return taste
