"""Answers, read into labels, margins and what they give away."""

import math

import numpy as np
import pytest

from casemate.detect.inline.answers import precision, read, surprise


def test_scores_say_label_confidence_and_margin():
    one, two = read(np.array([[0.1, 0.7, 0.2], [0.5, 0.5, 0.0]]), None, 2)
    assert (one.label, one.confidence) == (1, 0.7)
    assert one.margin == pytest.approx(0.5)
    assert (two.label, two.margin) == (0, 0.0)


def test_a_given_label_counts():
    assert read(np.array([[0.1, 0.9]]), np.array([0]), 1)[0].label == 0
    assert read(None, np.array([3]), 1)[0] == (3, None, None, 0.0)


@pytest.mark.parametrize("shape", [(1,), (1, 1)])
def test_one_probability_stands_for_two_classes(shape):
    told = read(np.full(shape, 0.3), None, 1)[0]
    assert (told.label, told.confidence) == (0, 0.7)
    assert told.margin == pytest.approx(0.4)


@pytest.mark.parametrize(
    "scores", [np.array([[np.nan, 1.0]]), np.array([["a"]]), np.ones((3, 2)), np.ones((1, 0))]
)
def test_what_cannot_be_read_is_absent(scores):
    told = read(scores, None, 1)[0]
    assert (told.confidence, told.margin, told.bits) == (None, None, 0.0)


def test_rounded_scores_give_away_less():
    full = read(np.array([[0.123456789, 0.876543211]]), None, 1)[0].bits
    coarse = read(np.array([[0.1, 0.9]]), None, 1)[0].bits
    assert read(np.array([[0.0, 1.0]]), None, 1)[0].bits == 0.0
    assert 0 < coarse < full <= 23.0


def test_precision_is_of_the_digits_written():
    assert precision(1.0) == 0.0
    assert precision(0.25) == pytest.approx(2 * math.log2(10))
    assert precision(0.123456789) == 23.0


def test_rare_labels_say_more():
    assert surprise(0, 1000, 10) > surprise(900, 1000, 10) > 0
    assert surprise(0, 0, 0) == 1.0
