"""Which figures of the accepted baseline got worse, and which could not be compared.

A figure is compared only with one got in the same way: same attack, model, norm, radius,
parameters and budget. On the same rows of the same data the test is paired; otherwise it is the
test for two samples.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from casemate.gate.baseline import Baseline, Kept, finished, rows_held
from casemate.gate.compare import Change, holm, paired, unpaired
from casemate.gate.figures import WORSE_WHEN_HIGHER, Figure, describe, distance_in, figures

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from casemate.records.trial import Trial

ALPHA = 0.05
"""Chance of a false alarm over all figures of one gate."""


class Comparison(NamedTuple):
    """A baseline figure beside today's, or the reason why there is none beside it."""

    kept: Kept
    trial: Trial | None
    change: Change | None
    problem: str = ""
    doubt: Change | None = None
    """The same if every input the attack did not finish were lost."""


class Fall(NamedTuple):
    """A figure that is worse than chance and the bar allow."""

    comparison: Comparison
    reason: str


def compare(baseline: Baseline, trials: Sequence[Trial]) -> list[Comparison]:
    """Put today's figure beside each figure of the baseline."""
    return [_beside(kept, trials) for kept in baseline.measures]


def doubts(comparisons: Sequence[Comparison], *, allowed: float) -> list[str]:
    """Say which figures may have fallen, for all that unfinished inputs tell."""
    return [
        f"{describe(c.kept.attack, c.kept.norm, c.kept.eps)} did not finish all inputs, and those "
        "left are enough to hide a fall: give it more time"
        for c in comparisons
        if c.change is not None and c.doubt is not None
        if not _fell(c.change, c.change.p, allowed) and _fell(c.doubt, c.doubt.p, allowed)
    ]


def falls(comparisons: Sequence[Comparison], *, allowed: float) -> list[Fall]:
    """Return the figures that fell by more than `allowed`, beyond what chance explains.

    The p-values are Holm's, so that comparing twenty figures does not make a false alarm likely.
    """
    told = [(c, c.change) for c in comparisons if c.change is not None]
    adjusted = holm([change.p for _, change in told])
    return [
        Fall(comparison, _reason(comparison, change, p, allowed))
        for (comparison, change), p in zip(told, adjusted, strict=True)
        if _fell(change, p, allowed)
    ]


def _fell(change: Change, p: float, allowed: float) -> bool:
    beyond = change.drop > allowed and (allowed == 0 or change.least > allowed)
    return p <= ALPHA and beyond


def _beside(kept: Kept, trials: Sequence[Trial]) -> Comparison:
    what = describe(kept.attack, kept.norm, kept.eps)
    same = [t for t in trials if t.attack == kept.attack and t.target.uri == kept.target]
    if not same:
        return Comparison(kept, None, None, f"the baseline has {what}, this run did not try it")
    same = [t for t in same if (t.norm, t.eps) == (kept.norm, kept.eps)]
    if not same:
        return Comparison(kept, None, None, f"this run has no {what} with that norm and radius")
    alike = [
        t for t in same if _settings(t.params, t.budget) == _settings(kept.params, kept.budget)
    ]
    if not alike:
        changed = _changed(kept, same[-1])
        return Comparison(kept, same[-1], None, f"{what} ran with other settings: {changed}")
    done = [t for t in alike if finished(t)]
    if not done:
        return Comparison(kept, alike[-1], None, f"{what} did not come to its end")
    trial = next((t for t in reversed(done) if t.data.digest == kept.data_digest), done[-1])
    compared = figures(trial, distance_in(kept.name))
    figure = next((f for f in compared if f.name == kept.name), None)
    if figure is None or figure.value is None or kept.value is None:
        return Comparison(kept, trial, None, f"{what} has no {kept.name} to compare")
    change = _change(kept, trial, figure)
    if change is None:
        return Comparison(kept, trial, None, f"{what} does not say how many inputs it rests on")
    doubt = _change(kept, trial, figure, standing=False) if figure.undecided else None
    return Comparison(kept, trial, change, doubt=doubt)


def _change(kept: Kept, trial: Trial, figure: Figure, *, standing: bool = True) -> Change | None:
    """Compare, counting rows the attack did not finish as still standing, or as lost."""
    before = rows_held(kept)
    after = {**figure.held, **dict.fromkeys(figure.undecided, standing)}
    if trial.data.digest is not None and trial.data.digest == kept.data_digest:
        common = sorted(before.keys() & after.keys())
        # Fewer than half of the rows in common: the rest says more than the pairs do.
        if common and 2 * len(common) >= min(len(before), len(after)):
            return paired([before[r] for r in common], [after[r] for r in common])
    then = Figure(kept.name, kept.value, kept.n or len(before), before)
    n = figure.n or len(after)
    if then.n == 0 or n == 0:
        return None
    lost = 0 if standing else len(figure.undecided)
    # What the baseline's own attack did not finish is not held against today's model.
    held = sum(before.values()) if before else then.holding
    return unpaired(held, then.n, max(figure._replace(n=n).holding - lost, 0), n)


def _settings(params: Mapping[str, object], budget: int | None) -> tuple[object, ...]:
    return (budget, tuple(sorted((name, repr(value)) for name, value in params.items())))


def _changed(kept: Kept, trial: Trial) -> str:
    before = {**kept.params, "budget": kept.budget}
    now = {**trial.params, "budget": trial.budget}
    return ", ".join(
        f"{name} {before.get(name)} -> {now.get(name)}"
        for name in sorted(before.keys() | now.keys())
        if before.get(name) != now.get(name)
    )


def _reason(comparison: Comparison, change: Change, p: float, allowed: float) -> str:
    kept = comparison.kept
    what = describe(kept.attack, kept.norm, kept.eps)
    if kept.name in WORSE_WHEN_HIGHER:
        moved = f"{kept.name} rose from {1 - change.before:.1%} to {1 - change.now:.1%}"
    else:
        moved = f"{kept.name} under attack fell from {change.before:.1%} to {change.now:.1%}"
    inputs = f"the same {change.n}" if change.paired else f"{change.n} or more"
    bar = f"the bar allows a fall of {allowed:.1%}" if allowed else "the bar allows none"
    return f"{what}: {moved} on {inputs} inputs (p = {p:.2g}); {bar} beyond chance"
