"""Run one attack of the catalog on one target: the entrance to this stage.

Finds the entry, checks its parameters and hands over to the loop of its family,
`casemate.attack.<family>.run:run`, which takes the same arguments and returns the Trial.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, cast

from casemate.catalog import loader
from casemate.catalog.entries import Attack

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from casemate.records.trial import Param, Trial
    from casemate.targets.data import Data


def run(
    model: Any,
    data: Data,
    attack: str,
    *,
    params: Mapping[str, Param] | None = None,
    budget: int | None = None,
    seed: int = 0,
    limit: int | None = None,
    device: str = "cpu",
    fpr: float | None = None,
    progress: Callable[[str, int, int], None] | None = None,
    keep: Callable[[bytes], str] | None = None,
    deadline: float | None = None,
    **family: Any,
) -> Trial:
    """Attack `model` on `data` and return what was measured.

    Args:
        model: An opened target, see `casemate.targets.capabilities.Model`.
        data: Inputs in model units with their true classes.
        attack: Catalog id.
        params: Parameters of the entry that differ from its defaults.
        budget: Evaluations, forward and backward together, allowed to each input.
        seed: Of everything random.
        limit: Attack at most this many inputs, the first of the data.
        device: Where gradients are computed; `auto` takes an accelerator if there is one.
        fpr: Measure recall at this false-positive rate instead of accuracy (two classes). None:
            do so, at 0.01, where fewer than 10 % of the data are positive.
        progress: Told (attack, inputs done, inputs in all).
        keep: Stores bytes and returns their digest; None: adversarial inputs are not kept.
        deadline: `time.monotonic()` at which to stop with what was found.
        **family: Settings of the attack's family, such as a poisoning attack's training function.

    Raises:
        UsageError: No such attack, a wrong parameter, data that do not fit the model, a target that
            cannot give what the attack needs.
        TargetError: The model failed before anything could be measured.
    """
    entry = loader.entry("attacks", attack, Attack)
    module = importlib.import_module(f"casemate.attack.{entry.family}.run")
    trial = module.run(
        entry,
        model,
        data,
        params=loader.params(entry, params or {}),
        budget=budget,
        seed=seed,
        limit=limit,
        device=device,
        fpr=fpr,
        progress=progress,
        keep=keep,
        deadline=deadline,
        **family,
    )
    return cast("Trial", trial)
