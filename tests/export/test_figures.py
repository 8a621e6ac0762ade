"""Charts of trials say in words what they draw."""

import msgspec

from casemate.export.figures import distance_charts, query_chart, trial_charts
from tests.export import bundles


def test_one_chart_for_each_norm_worst_case_lines_and_dots():
    trials = [one for one in bundles.image_bundle().trials if one.family == "evasion"]
    first, second = distance_charts("m", trials)
    assert (first.title, second.title) == (
        "Accuracy within a distance, L∞",
        "Accuracy within a distance, L2",
    )
    labels = [shape.label for shape in first.shapes]
    assert labels[:2] == ["evasion-fmn", "worst case over attacks"]
    assert "evasion-square at 0.1" in labels
    assert "of 200 inputs" in first.text


def test_queries_are_drawn_for_attacks_without_gradients():
    trials = bundles.image_bundle().trials
    chart = query_chart("q", trials)
    assert [shape.label for shape in chart.shapes] == ["evasion-square L∞"]
    assert query_chart("q", [one for one in trials if one.cost.backward]) is None


def test_a_series_that_is_no_share_is_not_drawn_as_one():
    trial = bundles.image_bundle().trials[-1]
    (chart,) = trial_charts(trial)
    assert "97 % at 0 flip rate" in chart.text
    odd = msgspec.structs.replace(trial.series[0], points=((0.0, 5.0), (1.0, 7.0)))
    assert trial_charts(msgspec.structs.replace(trial, series=(odd,))) == []
