"""OARS: an attack that finds out how near to one another a defence lets its questions be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np

from casemate.attack.evasion.detours import Detour
from casemate.attack.evasion.hopskipjump import hopskipjump
from casemate.attack.evasion.nes import nes
from casemate.attack.evasion.square import square
from casemate.attack.evasion.waves import noise
from casemate.errors import BudgetSpent, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from casemate.attack.oracle import Oracle
    from casemate.attack.questions import Labels
    from casemate.targets.capabilities import Array, Ints

RANGE = (0.003, 0.3)
"""Sizes between which one is looked for, in shares of the range of values."""
HALVINGS = 4
"""Bisections, on a logarithmic scale."""
PROBES = 4
"""Questions by which one size is tried."""
_WALK = np.array([-2, -1, 1, 2])


class Found(NamedTuple):
    """What was learnt of the defence, in root mean square per cell; 0: nothing to be heeded."""

    sigma: float
    """Least size at which questions scattered about a point get answers of their own."""
    stride: float
    """Least length of steps, one after the other along a line, that do."""


def oars(
    oracle: Labels,
    x: Array,
    y: Ints,
    *,
    rng: np.random.Generator,
    eps: float,
    norm: str,
    steps: int,
    inner: str,
    tries: int,
    guess: float,
) -> None:
    """Find the least spacing of questions that a defence lets pass, then attack at that spacing.

    Feng et al. 2023, "Stateful defenses for machine learning models are not yet secure against
    black-box attacks" (arXiv 2303.06280). The attacker knows that there is a defence and how such
    work, not its key. Size of probes and length of steps are adapted by bisection on whether
    questions are refused, and refused questions are drawn anew. We differ in what is done where
    nothing is refused: a size is too small as well if its answers are the same scores to the last
    digit. Labels alone do not tell, so there a guess stands in.

    Args:
        oracle: The door to the model.
        x: Inputs (n, ...).
        y: True classes (n,).
        rng: Source of everything random.
        eps: Radius in input units.
        norm: `linf` or `l2`.
        steps: Most steps of the attack inside.
        inner: `nes`, `square`, `hopskipjump`; `auto` for square where there are scores.
        tries: Questions spent on one answer.
        guess: Spacing, as a share of the range of values, where labels alone are answered and
            nothing is refused.
    """
    soft = "scores" in oracle.gives
    inner = ("square" if soft else "hopskipjump") if inner == "auto" else inner
    if inner in ("nes", "square") and not soft:
        raise UsageError(f"'{inner}' needs scores, which this target does not give")
    door = Detour(cast("Oracle", oracle), x, rng, tries)
    span = _span(oracle, x)
    try:
        found = _calibrate(door, x, "labels" if inner == "hopskipjump" else "scores", span, rng)
        if inner == "hopskipjump" and not door.refused:
            found = Found(guess * span, guess * span)
        door.away = max(found.sigma, found.stride, RANGE[0] * span)
        _ATTACKS[inner](door, x, y, rng, eps, norm, steps, found)
    except BudgetSpent as spent:
        if "refused" not in str(spent):
            raise
        oracle.notes.append(f"given up: {spent}")
    finally:
        if door.refused:
            oracle.notes.append(f"{door.refused} of {door.asked} questions were refused")


def _nes(
    door: Any, x: Array, y: Ints, rng: Any, eps: float, norm: str, steps: int, found: Found
) -> None:
    step = max(0.5, found.stride / max(_per_cell(eps, norm, x), 1e-12))
    nes(
        door, x, y, rng=rng, eps=eps, norm=norm, steps=steps, samples=20,
        sigma=max(0.01, found.sigma), step_size=step, band=0,
    )  # fmt: skip


def _square(
    door: Any, x: Array, y: Ints, rng: Any, eps: float, norm: str, steps: int, found: Found
) -> None:
    # A square of a share p of the cells, turned from end to end, is 2 eps sqrt(p) away.
    least = (found.stride / max(2 * _per_cell(eps, norm, x), 1e-12)) ** 2
    square(
        door, x, y, rng=rng, eps=eps, norm=norm, steps=steps, p_init=0.8,
        p_least=min(0.8, least), rescale=True,
    )  # fmt: skip


def _hopskipjump(
    door: Any, x: Array, y: Ints, rng: Any, _: float, norm: str, steps: int, found: Found
) -> None:
    hopskipjump(
        door, x, y, rng=rng, norm=norm, steps=steps, probes=20, starts=30, band=0,
        sigma=found.sigma,
    )  # fmt: skip


_ATTACKS: dict[str, Callable[..., None]] = {
    "nes": _nes,
    "square": _square,
    "hopskipjump": _hopskipjump,
}


def _calibrate(door: Detour, x: Array, name: str, span: float, rng: np.random.Generator) -> Found:
    """Spend questions of the first input on how the defence answers."""
    if not len(x):
        return Found(0.0, 0.0)

    def scatter(size: float) -> list[Array]:
        return [door.near(x[0], 0, size) for _ in range(PROBES)]

    def walk(size: float) -> list[Array]:
        line = noise(x[:1], 1, 0, rng)[1] * x[0].size ** 0.5
        along = x[0] + size * line * _WALK.reshape(-1, *[1] * x[0].ndim)
        return list(door.domain.project(along.astype(x.dtype), np.repeat(x[:1], PROBES, axis=0)))

    return Found(_least(door, scatter, name, span), _least(door, walk, name, span))


def _least(door: Detour, draw: Callable[[float], list[Array]], name: str, span: float) -> float:
    """Return the least size at which points drawn are answered, each with scores of its own."""

    def passes(size: float) -> bool:
        said = []
        for point in draw(size):
            answer = door.question(name, point, 0)
            if answer is None:
                return False
            said.append(np.asarray(answer))
        return name == "labels" or len(np.unique(np.stack(said), axis=0)) == PROBES

    low, high = (share * span for share in RANGE)
    if passes(low):
        return 0.0
    for _ in range(HALVINGS):
        middle = (low * high) ** 0.5
        low, high = (low, middle) if passes(middle) else (middle, high)
    return float(high)


def _span(oracle: Labels, x: Array) -> float:
    """Return the range of values: of the domain where it has ends, else of the inputs."""
    span = float(np.mean(np.asarray(oracle.domain.upper) - np.asarray(oracle.domain.lower)))
    return span if np.isfinite(span) and span > 0 else float(np.ptp(x)) or 1.0


def _per_cell(eps: float, norm: str, x: Array) -> float:
    return eps if norm == "linf" else eps / x[0].size ** 0.5
