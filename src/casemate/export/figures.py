"""The charts of the HTML report, from trials: distance, queries, extraction, poisoning."""

from __future__ import annotations

from typing import TYPE_CHECKING

from casemate.export import charts
from casemate.export.charts import Chart, Series
from casemate.export.curves import Robustness, fooled_within, robustness
from casemate.export.wording import MEASURES, NORMS, count, number, percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from casemate.records.trial import Trial

_STYLES = ("c1", "c2", "c3", "c4", "c5", "c6")


def distance_charts(ident: str, trials: Sequence[Trial]) -> list[Chart]:
    """Return one chart per norm: how much of the measure is left within each distance."""
    norms = dict.fromkeys(one.norm for one in trials if one.norm is not None)
    found = [curve for norm in norms if (curve := robustness(trials, norm)) is not None]
    return [_distance(f"{ident}-{curve.norm}", curve) for curve in found]


def _distance(ident: str, curve: Robustness) -> Chart:
    norm = NORMS.get(curve.norm, curve.norm)
    measure = MEASURES.get(curve.measure, curve.measure)
    series = [
        Series(label, [(one.x, one.share) for one in points], _STYLES[i % 6], steps=True)
        for i, (label, points) in enumerate(curve.lines)
    ]
    series.append(
        Series(
            "worst case over attacks" if curve.known_between else "worst case at the radii tried",
            [(one.x, one.share) for one in curve.worst],
            "worst" if curve.known_between else "sparse",
            steps=curve.known_between,
            band=[(one.low, one.high) for one in curve.worst],
        )
    )
    taken = len(curve.lines)
    for i, dot in enumerate(curve.dots):
        label = f"{dot.attack} at {number(dot.point.x)}"
        series.append(
            Series(label, [(dot.point.x, dot.point.share)], _STYLES[(taken + i) % 6], dots=True)
        )
    last = curve.worst[-1]
    half = next((one.x for one in curve.worst if one.share <= curve.worst[0].share / 2), None)
    text = (
        f"{measure.capitalize()} of {count(curve.n, 'input')} against the largest change allowed, "
        f"in {norm}: {percent(curve.worst[0].share)} with no change, {percent(last.share)} within "
        f"{number(last.x)}."
    )
    if half is not None and half > 0 and curve.known_between:
        text += f" Half is lost within {number(half)}."
    if not curve.known_between:
        text += " Between the dots nothing was measured."
    return charts.draw(
        ident,
        f"{measure.capitalize()} within a distance, {norm}",
        text,
        series,
        x_name="values changed (L0)"
        if curve.norm == "l0"
        else f"largest change ({norm}, input units)",
        y_name=measure,
    )


def query_chart(ident: str, trials: Sequence[Trial]) -> Chart | None:
    """Return the share of inputs fooled against queries spent, for attacks without gradients."""
    series: list[Series] = []
    for one in trials:
        points = fooled_within(one)
        if points:
            label = one.attack + (f" {NORMS.get(one.norm, one.norm)}" if one.norm else "")
            series.append(Series(label, points, _STYLES[len(series) % 6], steps=True))
    if not series:
        return None
    text = " ".join(
        f"{one.label} fools {percent(one.points[-1][1])} of the inputs the model had right, "
        f"half of those within {number(one.points[len(one.points) // 2][0])} queries each."
        for one in series
    )
    return charts.draw(
        ident,
        "Inputs fooled against queries spent",
        text,
        series,
        x_name="queries per input",
        y_name="share fooled",
        logarithmic=True,
    )


def trial_charts(trial: Trial) -> list[Chart]:
    """Return the curves a trial brings itself: fidelity by queries, accuracy by flip rate."""
    drawn = []
    for i, one in enumerate(trial.series):
        shares = all(0 <= y <= 1 for _, y in one.points)
        if len(one.points) < 2 or not shares or any(x < 0 for x, _ in one.points):
            continue
        first, last = one.points[0], one.points[-1]
        text = (
            f"{one.y_name.capitalize()} goes from {percent(first[1])} at {number(first[0])} "
            f"{one.x_name} to {percent(last[1])} at {number(last[0])}."
        )
        drawn.append(
            charts.draw(
                f"{trial.id}-{i}",
                f"{one.y_name.capitalize()} against {one.x_name}",
                text,
                [Series(one.y_name, sorted(dict(one.points).items()), "worst")],
                x_name=one.x_name,
                y_name=one.y_name,
            )
        )
    return drawn
