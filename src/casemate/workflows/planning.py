"""Fit an assessment to its time: which attacks, with which settings, on how many inputs.

What applies is decided by the catalog (what an attack needs, for which data) and what the target
gives; how much of it fits, by the time one answer of this target takes, measured here.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple

from casemate.catalog.entries import Attack
from casemate.catalog.loader import entries
from casemate.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from casemate.targets.capabilities import Model
    from casemate.targets.data import Data
    from casemate.workflows.config import Config

_FEWEST = 10
_MOST = {"white-box": 1000, "score-based": 300, "decision-based": 100, "training-data": 1000}
QUERIES = 1000
"""Queries per input allowed to black-box attacks in an assessment."""


class Step(NamedTuple):
    """One attack of the plan."""

    attack: Attack
    params: dict[str, Any]
    budget: int | None
    weight: float
    """Its share of the time, relative to the other steps."""
    per_input: float
    """Seconds one input is thought to take."""
    most: int
    """Inputs there are, or that are wanted."""

    @property
    def costs(self) -> str:
        """What its time goes into, so that one step's real cost corrects the next one's."""
        return "gradients" if "gradients" in self.attack.needs else self.attack.family


class Plan(NamedTuple):
    """Steps in order, and what is left out with the reason."""

    steps: tuple[Step, ...]
    left_out: tuple[tuple[str, str], ...]


def plan(model: Model, data: Data, config: Config) -> Plan:
    """Choose the steps for this target.

    Args:
        model: The opened target.
        data: What it is attacked with.
        config: eps by norm, inputs, attacks to skip, the training function.
    """
    chosen: list[tuple[Attack, dict[str, Any]]] = []
    left_out: list[tuple[str, str]] = []
    tabular = bool(data.columns)
    ranked = sorted(entries("attacks", Attack).values(), key=lambda a: (a.assess or 999, a.id))
    for attack in ranked:
        reason = _unfit(attack, model, config, tabular=tabular)
        if reason:
            left_out.append((attack.id, reason))
            continue
        chosen += [(attack, params) for params in settings_of(attack, config)]
    if not chosen:
        return Plan((), tuple(left_out))
    cost = _cost(model, data)
    steps = []
    for attack, params in chosen:
        each = cost.gradient if "gradients" in attack.needs else cost.answer
        steps.append(
            Step(
                attack,
                params,
                budget=QUERIES if _is_black_box_evasion(attack) else None,
                weight=1.0 if attack.family == "evasion" else 2.0,
                per_input=max(_evaluations(attack, params) * each, 1e-7),
                most=min(config.attack.inputs or _MOST[attack.knowledge], len(data.x)),
            )
        )
    return Plan(tuple(steps), tuple(left_out))


class Share(NamedTuple):
    """What the next step gets."""

    inputs: int
    seconds: float


def share(left: Sequence[Step], seconds: float, correction: float) -> Share:
    """Return the next step's inputs and time, so that the steps after it get theirs.

    Where even the fewest inputs worth attacking do not fit, the last steps give up their time:
    a few attacks that were really tried say more than many that were not.

    Args:
        left: The steps not run yet, the most telling first.
        seconds: Time for all of them.
        correction: Real over thought cost of earlier steps of the same kind.
    """
    step = left[0]
    each = step.per_input * correction
    fewest = min(_FEWEST, step.most)
    kept = list(left)
    mine = _portion(kept, seconds)
    while len(kept) > 1 and fewest * each > mine:
        kept.pop()
        mine = _portion(kept, seconds)
    if step.attack.family != "evasion":
        return Share(step.most, mine)  # these learn from the data as a whole
    return Share(max(min(int(mine / each), step.most), fewest), mine)


def _portion(steps: Sequence[Step], seconds: float) -> float:
    return seconds * steps[0].weight / sum(step.weight for step in steps)


def _unfit(attack: Attack, model: Model, config: Config, *, tabular: bool) -> str:
    """Return why an attack is not tried, an empty string when it is."""
    if attack.id in config.attack.skip:
        return "left out in casemate.toml ([attack] skip)"
    if attack.status == "sandbox":
        return "not proven enough to run by default"
    kinds = {"any", "tabular" if tabular else "image"}
    if not kinds & set(attack.modality):
        return f"made for {' and '.join(attack.modality)} inputs"
    for need in attack.needs:
        if need == "training":
            if not config.model.train and not model.target.uri.startswith("sklearn:"):
                return 'needs the training function: [model] train = "train.py:train"'
        elif need not in model.gives:
            return f"needs {need}, which this target does not give"
    if tabular and attack.family == "evasion" and "tabular" not in attack.modality:
        return (
            "a distance over columns of different units says little; "
            f"casemate attack --attack {attack.id} runs it"
        )
    if attack.assess is None:
        return f"a stronger attack covers it; casemate attack --attack {attack.id} runs it"
    return ""


def settings_of(attack: Attack, config: Config) -> list[dict[str, Any]]:
    """Return the parameter sets an attack is run with: one for each radius or norm that matters."""
    if "norm" not in attack.params:
        eps = config.attack.eps.get("linf")
        return [{"eps": eps} if eps is not None and "eps" in attack.params else {}]
    known = set(attack.norms)
    if attack.minimum_norm:
        wanted = [norm for norm in (config.attack.eps or {"linf": 0, "l2": 0}) if norm in known]
        return [{"norm": norm} for norm in wanted] or [{}]
    radii = {norm: eps for norm, eps in config.attack.eps.items() if norm in known}
    return [{"norm": norm, "eps": eps} for norm, eps in radii.items()] or [{}]


def _evaluations(attack: Attack, params: dict[str, Any]) -> float:
    """Return about how many forward evaluations one input takes."""
    values = {name: spec.default for name, spec in attack.params.items()} | params
    if _is_black_box_evasion(attack):
        return QUERIES
    rounds = 1.0
    for name in ("steps", "restarts", "targets", "searches"):
        value = values.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool) and value > 0:
            rounds *= value
    return rounds


def _is_black_box_evasion(attack: Attack) -> bool:
    return attack.family == "evasion" and attack.knowledge in ("score-based", "decision-based")


class _Cost(NamedTuple):
    """Seconds one input takes, in batches."""

    answer: float
    gradient: float
    """Forward and backward together; 0 where the target gives no gradients."""


def _cost(model: Any, data: Data) -> _Cost:
    """Time the target's answers and gradients on a few inputs.

    Raises:
        CasemateError: The target does not answer at all.
    """
    probe = data.x[:128]
    answer = getattr(model, "scores", None) or getattr(model, "labels", None)
    if answer is None:
        raise UsageError(f"{model.target.uri} answers neither scores nor labels")
    gradient = 0.0
    if "gradients" in model.gives:
        import torch

        x, y = torch.from_numpy(probe), torch.from_numpy(data.y[:128])

        def true_score(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
            return -logits.gather(1, labels[:, None])[:, 0]

        gradient = _fastest(lambda: model.value_and_grad(x, y, true_score)) / len(probe)
    return _Cost(_fastest(lambda: answer(probe)) / len(probe), gradient)


def _fastest(call: Callable[[], object]) -> float:
    """Return the least seconds a call takes in three, fewer where it is slow."""
    best = float("inf")
    for _ in range(3):
        begun = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - begun)
        if best > 1:
            break
    return best
