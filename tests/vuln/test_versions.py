"""Versions are in PEP 440's order, and ranges mean what OSV says."""

import itertools
import random

import pytest
from packaging.version import InvalidVersion, Version

from casemate.vuln.versions import Event, affected, key, repair


def spelled(rng):
    """A version as people write them, right and wrong."""
    parts = [str(rng.choice((0, 1, 2, 10, 2026))) for _ in range(rng.randint(1, 4))]
    text = ".".join(parts)
    if rng.random() < 0.1:
        text = f"{rng.randint(0, 2)}!{text}"
    if rng.random() < 0.4:
        text += rng.choice(("a", "b", "rc", "-alpha.", ".beta", "_c", "pre", "preview"))
        text += rng.choice(("", "0", "1", "12"))
    if rng.random() < 0.3:
        text += rng.choice((".post", "-", "-r", "rev", ".POST")) + rng.choice(("", "0", "3"))
    if rng.random() < 0.3:
        text += rng.choice((".dev", "dev", "-dev")) + rng.choice(("", "0", "7"))
    if rng.random() < 0.2:
        text += rng.choice(("+cpu", "+cu121", "+a.b-1", "+"))
    return ("v" if rng.random() < 0.1 else "") + text


def published(text):
    try:
        return Version(Version(text).public)
    except InvalidVersion:
        return None


def test_order_and_form_are_those_of_packaging():
    rng = random.Random(440)
    drawn = [spelled(rng) for _ in range(3000)]
    known = [(one, key(one), published(one)) for one in drawn]
    assert [one for one, mine, theirs in known if (mine is None) != (theirs is None)] == []
    valid = [one for one in known if one[1] is not None]
    for one, other in itertools.pairwise(valid):
        assert (one[1] < other[1]) == (one[2] < other[2]), (one[0], other[0])
        assert (one[1] == other[1]) == (one[2] == other[2]), (one[0], other[0])


@pytest.mark.parametrize("text", ["", "latest", "1..2", "1.0-SNAPSHOT", "1" * 5000, "2.0\n", "①"])
def test_what_is_no_version_has_no_place_in_the_order(text):
    assert key(text) is None or text == "2.0\n"


BEFORE_2_6 = [[Event("introduced", "0"), Event("fixed", "2.6.0")]]
TWO = [
    [Event("fixed", "3.12.1"), Event("introduced", "3.0.0")],
    [Event("introduced", "3.13.0"), Event("fixed", "3.13.2")],
]
UP_TO = [[Event("introduced", "0.2.30"), Event("last_affected", "0.2.71")]]


@pytest.mark.parametrize(
    ("version", "ranges", "inside"),
    [
        ("2.5.1", BEFORE_2_6, True),
        ("2.5.1+cpu", BEFORE_2_6, True),
        ("2.6.0", BEFORE_2_6, False),
        ("2.6.0+cu121", BEFORE_2_6, False),
        ("2.6.0rc1", BEFORE_2_6, True),
        ("2.6.0a0", BEFORE_2_6, True),
        ("2.10", BEFORE_2_6, False),
        ("0.dev0", BEFORE_2_6, True),
        ("2.15.0", TWO, False),
        ("3.0.0", TWO, True),
        ("3.12.1", TWO, False),
        ("3.13.0", TWO, True),
        ("3.13.2", TWO, False),
        ("0.2.29", UP_TO, False),
        ("0.2.71", UP_TO, True),
        ("0.2.72", UP_TO, False),
        ("1.0", [[Event("introduced", "0.9.0")]], True),
        ("1.0", [], False),
        ("main", BEFORE_2_6, None),
        ("1.0", [[Event("introduced", "0"), Event("fixed", "after-the-merge")]], None),
    ],
)
def test_a_range_holds_what_it_says(version, ranges, inside):
    assert affected(version, ranges) is inside


def test_the_repair_is_the_next_one_and_not_any():
    assert repair("3.13.0", TWO) == "3.13.2"
    assert repair("3.1.0", TWO) == "3.12.1"
    assert repair("0.2.40", UP_TO) is None
