"""Phrases: every one is found whatever its case, none in the middle of what only looks like it."""

import random
import re

import pytest

from casemate.case.bundle.phrases import Phrases


def phrases(*texts):
    made = Phrases()
    for number, text in enumerate(texts):
        made.add(text, f"<{number}>")
    return made


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Alice Meyer", "<0>"),
        ("xALICE MEYERx", "x<0>x"),
        ("alice", "alice"),
        ("bob", "<1>"),
        ("Bob's", "<1>'s"),
        ("bobsled, kebob", "bobsled, kebob"),
        ("123456", "<2>"),
        ("0.123456 and 91234567", "0.123456 and 91234567"),
        ("(123456)", "(<2>)"),
        ("stra\u00dfe 5b", "<3>"),
        ("x9", "x9"),
        ("a+b(c)", "<5>"),
        ("", ""),
    ],
)
def test_what_is_replaced(text, shown):
    made = phrases("Alice Meyer", "Bob", "123456", "Stra\u00dfe 5b", "x9", "a+b(c)")
    assert made.replace(text) == shown


def test_the_longest_one_counts():
    made = phrases("alice meyer", "alice meyer-jones")
    assert made.replace("Alice Meyer-Jones and Alice Meyer") == "<1> and <0>"


def test_thousands_of_them_leave_nothing_behind():
    rng = random.Random(0)
    names = sorted({"".join(rng.choice("abcd") for _ in range(rng.randrange(6, 12)))
                    for _ in range(4000)})  # fmt: skip
    made = phrases(*names)
    text = " ".join(rng.choice(names).upper() + rng.choice(["", ",", "z"]) for _ in range(5000))
    shown = made.replace(text)
    assert not any(one in shown.lower() for one in names)
    assert len(re.findall(r"<\d+>", shown)) >= 5000


def test_texts_that_begin_one_another_a_hundred_deep_are_no_trouble():
    made = phrases(*("a" * length for length in range(6, 300)))
    assert made.replace("b" + "a" * 299 + "b") == "b<293>b"
