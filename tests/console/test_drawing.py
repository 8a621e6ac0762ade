"""Plots say what the figures say, in numbers a browser can draw."""

import pytest

from casemate.console.drawing import HEIGHT, WIDTH, plot
from casemate.workflows.casefile import Mark
from casemate.workflows.traffic import Bar, Timeline

MINUTE = 60_000_000
NOON = 1_795_262_400_000_000  # 2026-11-21 12:00:00 UTC


def line(*counts, width=MINUTE):
    bars = tuple(
        Bar(at=NOON + i * width, named=named, other=other, refused=refused)
        for i, (named, other, refused) in enumerate(counts)
    )
    return Timeline(since=NOON, until=NOON + width * len(counts), width=width, bars=bars)


def test_bars_stand_on_the_ground_and_on_each_other():
    drawn = plot(line((5, 10, 3), (0, 20, 0)), named=True)
    first, second = drawn.bars
    ground = drawn.box[3]
    assert first.named_y + first.named == pytest.approx(ground)
    assert first.other_y + first.other == pytest.approx(first.named_y)
    assert first.other == pytest.approx(second.other / 2)
    assert first.x + first.width <= second.x + 0.01
    assert drawn.text.startswith("35 inputs from 2026-11-21 12:00:00 UTC")
    assert "5 of them by the suspects" in drawn.text
    assert "3 refused" in drawn.text
    assert drawn.each == "1 minute"


def test_nobody_is_set_apart_unless_somebody_is_suspected():
    (bar,) = plot(line((7, 0, 0))).bars
    assert (bar.named, bar.other > 0) == (0, True)


@pytest.mark.parametrize("count", [0, 1, 3, 7, 99, 12345, 10**9])
def test_everything_stays_in_the_picture(count):
    drawn = plot(line((count, 0, count), (0, count, 0)), [Mark(at=NOON, words="x")])
    for bar in drawn.bars:
        assert 0 <= bar.other_y <= HEIGHT
        assert bar.x >= 0
        assert bar.x + bar.width <= WIDTH
    assert all(0 <= y <= HEIGHT for y, _ in drawn.y_ticks)


def test_moments_do_not_lie_on_each_other_and_those_outside_are_left_out():
    marks = [Mark(at=NOON + i * 1_000_000, words=f"m{i}") for i in range(4)]
    marks += [Mark(at=NOON - 1, words="before"), Mark(at=NOON + 10**12, words="after")]
    drawn = plot(line((1, 0, 0), (1, 0, 0), (1, 0, 0)), marks)
    assert len(drawn.moments) == 4
    named = [one for one in drawn.moments if one.words]
    assert [one.words for one in named] == ["m0", "m1"]
    assert named[0].y != named[1].y


def test_nothing_at_all_can_be_drawn():
    drawn = plot(Timeline(since=NOON, until=NOON, width=MINUTE))
    assert drawn.bars == ()
    assert drawn.text.startswith("0 inputs")


@pytest.mark.parametrize("hours", [1, 5, 24, 24 * 9, 24 * 400])
def test_there_are_a_few_times_to_read(hours):
    long = line((1, 0, 0), (2, 0, 0), width=hours * 1800 * 1_000_000)
    assert 1 <= len(plot(long).x_ticks) <= 12
