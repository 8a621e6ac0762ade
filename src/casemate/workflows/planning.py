"""Fit an assessment to its time: which attacks, with which settings, on how many inputs.

What applies is decided by the catalog (what an attack needs, for which data) and what the target
gives; how much of it fits, by the time one answer of this target takes, measured here.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple

from casemate.catalog.entries import Attack
from casemate.catalog.loader import entries
from casemate.errors import CasemateError, UsageError

if TYPE_CHECKING:
    from casemate.targets.capabilities import Model
    from casemate.targets.data import Data
    from casemate.workflows.config import Config

_BACKWARD = 2.5
"""A forward and backward evaluation costs about this many forward ones, and one more."""
_FEWEST = 10
_MOST = {"white-box": 1000, "score-based": 300, "decision-based": 100, "training-data": 1000}
QUERIES = 1000
"""Queries per input allowed to black-box attacks in an assessment."""


class Step(NamedTuple):
    """One attack of the plan."""

    attack: Attack
    params: dict[str, Any]
    inputs: int
    budget: int | None
    weight: float
    """Its share of the time, relative to the other steps."""


class Plan(NamedTuple):
    """Steps in order, and what is left out with the reason."""

    steps: tuple[Step, ...]
    left_out: tuple[tuple[str, str], ...]


def plan(model: Model, data: Data, config: Config, *, seconds: float) -> Plan:
    """Choose the steps for this target and this much time.

    Args:
        model: The opened target.
        data: What it is attacked with.
        config: eps by norm, inputs, attacks to skip, the training function.
        seconds: Time for all attacks together.
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
        chosen += [(attack, params) for params in _settings(attack, config)]
    if not chosen:
        return Plan((), tuple(left_out))
    cost = _cost(model, data)
    weights = [_weight(attack) for attack, _ in chosen]
    steps = []
    for (attack, params), weight in zip(chosen, weights, strict=True):
        per_input = _evaluations(attack, params) * cost
        fits = int(seconds * weight / sum(weights) / max(per_input, 1e-9))
        most = min(config.attack.inputs or _MOST[attack.knowledge], len(data.x))
        budget = QUERIES if attack.knowledge in ("score-based", "decision-based") else None
        if attack.family != "evasion":
            budget = None
        steps.append(Step(attack, params, max(min(fits, most), min(_FEWEST, most)), budget, weight))
    return Plan(tuple(steps), tuple(left_out))


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
    if attack.assess is None:
        return f"a stronger attack covers it; casemate attack --attack {attack.id} runs it"
    return ""


def _settings(attack: Attack, config: Config) -> list[dict[str, Any]]:
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
    if attack.knowledge in ("score-based", "decision-based") and attack.family == "evasion":
        return QUERIES
    rounds = 1.0
    for name in ("steps", "restarts", "targets", "search_steps"):
        value = values.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool) and value > 0:
            rounds *= value
    return rounds * (1 + _BACKWARD if "gradients" in attack.needs else 1)


def _weight(attack: Attack) -> float:
    return {"white-box": 1.0, "score-based": 1.5, "decision-based": 1.0}.get(attack.knowledge, 1.0)


def _cost(model: Model, data: Data) -> float:
    """Return seconds one input takes to be answered, in batches.

    Raises:
        CasemateError: The target does not answer at all.
    """
    probe = data.x[:64]
    answer = getattr(model, "scores", None) or getattr(model, "labels", None)
    if answer is None:
        raise UsageError(f"{model.target.uri} answers neither scores nor labels")
    best = float("inf")
    for _ in range(3):
        begun = time.perf_counter()
        try:
            answer(probe)
        except CasemateError:
            if best == float("inf"):
                raise
            break
        best = min(best, (time.perf_counter() - begun) / len(probe))
        if best * len(probe) > 1:
            break
    return best
