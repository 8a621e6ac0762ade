"""The inputs of everybody change: no attacker, but the model is not asked what it was made for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from casemate.detect import shifts
from casemate.detect.rule import Limits, Rule, Sighting
from casemate.detect.words import powers

if TYPE_CHECKING:
    from collections.abc import Iterable

    from casemate.detect.models import Model


def input_drift(limits: Limits, *, fewest: int, principals: int, shift: float) -> Rule:
    """See a shift that stays when its largest contributors are left out.

    Args:
        limits: The budget.
        fewest: Recent inputs before anything is said.
        principals: Fewest principals among them.
        shift: Stability index from which on it is a drift.
    """

    def tick(now: int, model: Model) -> Iterable[Sighting]:
        if len(model.recent) < fewest or not model.baseline.ready:
            return
        by = model.callers
        if len(by) < principals:
            return
        loud = set(sorted(by, key=lambda who: -by[who])[:3])
        rest = shifts.tally(place for who, place in model.recent if who not in loud)
        usual = (shifts.TENTHS, shifts.TENTHS, shifts.shares(model.baseline.labels))
        # Not distances: they shrink by themselves, the more inputs a guard remembers.
        names = ("margins", "sizes", "labels")
        for what, seen, others, then in zip(names, model.present[:3], rest[:3], usual, strict=True):
            index = min(shifts.index(seen, then), shifts.index(others, then))
            evidence = shifts.evidence(others, then)
            bar = limits.bar(model)
            if not seen or index < shift or evidence < bar:
                continue
            yield Sighting(
                subject=what,
                message=(
                    f"The {what} of the last {len(model.recent):,} inputs, from {len(by)} "
                    f"principals, are no longer those of the baseline (stability index "
                    f"{index:.2f}; 0.25 is called large), and no few principals make the "
                    "difference. A drift, not an attack: the data or the world have changed."
                ),
                principals=(),
                began=now,
                queries=len(model.recent),
                score=powers(evidence),
                bar=powers(bar),
                counted=False,
            )

    return Rule(tick=tick)
