"""Points land where the axes say, and the table says the same."""

import re

import pytest

from casemate.export.charts import Series, draw


def lined(points, **options):
    steps = options.pop("steps", False)
    return draw(
        "c",
        "title",
        "text",
        [Series("a", points, "worst", steps=steps, **options)],
        x_name="x",
        y_name="y",
    )


def numbers(path):
    return [float(one) for one in re.findall(r"[\d.]+", path)]


def test_the_corners_of_the_plot_are_its_ends():
    chart = lined([(0.0, 1.0), (2.0, 0.0)])
    left, top, right, bottom = chart.box
    assert numbers(chart.shapes[0].line) == [left, top, right, bottom]
    assert (chart.x_ticks[0].at, chart.x_ticks[-1].at) == (left, right)
    assert [one.label for one in chart.y_ticks] == ["0 %", "25 %", "50 %", "75 %", "100 %"]


def test_steps_hold_the_value_up_to_the_next_point():
    chart = lined([(0.0, 1.0), (1.0, 0.5)], steps=True)
    left, top, right, bottom = chart.box
    assert numbers(chart.shapes[0].line) == [left, top, right, top, right, (top + bottom) / 2]


def test_a_band_closes_on_itself():
    chart = lined([(0.0, 0.5), (1.0, 0.5)], band=[(0.4, 0.6), (0.3, 0.7)])
    assert chart.shapes[0].band.startswith("M")
    assert chart.shapes[0].band.endswith("Z")
    assert len(numbers(chart.shapes[0].band)) == 8


@pytest.mark.parametrize("high", [1e-3, 0.031, 0.3, 1, 7.3, 255, 31_000])
def test_ticks_are_round_few_and_inside(high):
    chart = lined([(0.0, 1.0), (high, 0.0)])
    assert 3 <= len(chart.x_ticks) <= 7
    assert chart.x_ticks[-1].at <= chart.box[2] + 0.1
    assert all(len(one.label) <= 8 for one in chart.x_ticks)


@pytest.mark.parametrize(("low", "high"), [(1, 1), (3, 40), (10, 1000), (7, 250_000), (5, 5)])
def test_logarithmic_ticks_enclose_the_data(low, high):
    points = [(float(low), 0.1), (float(high), 0.9)]
    series = [Series("a", points, "c1")]
    chart = draw("c", "t", "t", series, x_name="x", y_name="y", logarithmic=True)
    assert 2 <= len(chart.x_ticks) <= 9
    xs = numbers(chart.shapes[0].line)[::2]
    assert all(chart.box[0] <= x <= chart.box[2] + 0.1 for x in xs)


def test_the_table_has_every_series_and_dots_where_they_are():
    series = [
        Series("line", [(0.0, 1.0), (1.0, 0.5), (2.0, 0.25)], "worst", steps=True),
        Series("dot", [(1.5, 0.4)], "c1", dots=True),
    ]
    chart = draw("c", "t", "t", series, x_name="x", y_name="y")
    assert chart.head == ["x", "line", "dot"]
    assert chart.rows == [
        ["0", "100.0 %", "–"],
        ["1", "50.0 %", "–"],
        ["1.5", "50.0 %", "40.0 %"],
        ["2", "25.0 %", "–"],
    ]
