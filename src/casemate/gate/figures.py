"""The shares the gate compares, taken out of a trial: by input where the trial says so."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from casemate.records.trial import Measure, Outcome, Trial

WORSE_WHEN_HIGHER = frozenset({"fidelity"})
"""Measures of success for the attacker; their complement is what is compared."""
_TOLERANCE = 1e-6
_WITHIN = " within "


class Figure(NamedTuple):
    """A share of inputs, where more is better for the defender unless the name says otherwise."""

    name: str
    value: float | None
    n: int
    held: Mapping[int, bool]
    """Whether each row held, by row of the data set; empty where only the share is known."""
    undecided: frozenset[int] = frozenset()
    """Rows the attack had no time to finish: still standing, and counted so in `value`."""

    @property
    def holding(self) -> int:
        """Inputs that held, as the share says."""
        good = self.value or 0.0
        return round((1 - good if self.name in WORSE_WHEN_HIGHER else good) * self.n)


def figures(trial: Trial, within: float | None = None) -> tuple[Figure, ...]:
    """Return the shares of a trial that a gate can compare.

    A search for the smallest change fools nearly every input in the end, so its share says nothing;
    what it measures is how far each input holds. It gives the share that holds within a distance.

    Args:
        trial: What was measured.
        within: That distance; None for the trial's own median, as a baseline takes it.
    """
    found = []
    if trial.robust is not None:
        found.append(_figure(trial.robust, trial.outcomes))
        if trial.norm is not None and trial.eps is None:
            found += _within(trial, trial.robust, within)
    found += [_figure(m) for m in trial.measures if m.name in WORSE_WHEN_HIGHER]
    return tuple(found)


def distance_in(name: str) -> float | None:
    """Return the distance in a figure's name, `accuracy within 0.1`; None where there is none."""
    _, marked, distance = name.rpartition(_WITHIN)
    try:
        return float(distance) if marked else None
    except ValueError:
        return None


def describe(trial_attack: str, norm: str | None, eps: float | None) -> str:
    """Name an attack with its norm and radius: `evasion-pgd (linf, eps 0.1)`."""
    particulars = [norm] if norm else []
    if eps is not None:
        particulars.append(f"eps {eps:g}")
    return f"{trial_attack} ({', '.join(particulars)})" if particulars else trial_attack


def _within(trial: Trial, measure: Measure, within: float | None) -> list[Figure]:
    reached = sorted(o.distance for o in trial.outcomes if o.success and o.distance is not None)
    if within is None:
        if not reached:
            return []
        within = float(f"{reached[(len(reached) - 1) // 2]:.6g}")
    undecided = frozenset(o.index for o in trial.outcomes if o.clean and o.success is None)
    held = {
        o.index: o.clean and not (o.distance is not None and o.distance <= within)
        for o in trial.outcomes
        if o.index not in undecided
    }
    n = len(trial.outcomes)
    standing = sum(held.values()) + len(undecided)
    name = f"{measure.name}{_WITHIN}{within:.6g}"
    return [Figure(name, standing / n, n, held, undecided)] if n else []


def _figure(measure: Measure, outcomes: Sequence[Outcome] = ()) -> Figure:
    """Read off which rows held, if the outcomes give the very share that was measured.

    Recall is a share of the positive rows (label 1), accuracy of all; where neither reading of the
    outcomes gives the measured share, the share is taken as it stands and compared without pairs.
    """
    for rows in (outcomes, [o for o in outcomes if o.label == 1]):
        stands = {o.index: o.clean and not o.success for o in rows}
        if not stands or measure.value is None or measure.n not in (0, len(stands)):
            continue
        if abs(sum(stands.values()) / len(stands) - measure.value) < _TOLERANCE:
            undecided = frozenset(o.index for o in rows if o.clean and o.success is None)
            held = {row: stood for row, stood in stands.items() if row not in undecided}
            return Figure(measure.name, measure.value, measure.n, held, undecided)
    return Figure(measure.name, measure.value, measure.n, {})
