"""A mute has a reason and an end, covers what it names and nothing more."""

import msgspec
import pytest

from casemate.errors import UsageError
from casemate.notify.mutes import read
from casemate.notify.settings import MuteTable
from tests.notify.made import HOUR, NOW, detection


def mute(**fields):
    return read([MuteTable(**{"reason": "our own test", "expires": "2026-11-21", **fields})])[0]


def test_it_covers_what_it_names():
    found = detection()
    assert mute(principal="eve").covers(found, NOW)
    assert mute(rule="test-border-walk", model="fraud").covers(found, NOW)
    assert not mute(rule="test-border-walk", model="other").covers(found, NOW)
    assert not mute(principal="ev").covers(found, NOW)


def test_a_muted_account_does_not_hide_those_linked_to_it():
    linked = msgspec.structs.replace(detection(), principals=("load-test", "eve"))
    assert not mute(principal="load-test").covers(linked, NOW)


def test_it_ends_with_its_day_or_at_its_time():
    found = detection()
    day = mute(model="fraud", expires="2026-11-21")
    assert day.covers(found, NOW + 20 * HOUR)
    assert not day.covers(found, NOW + 21 * HOUR)
    time = mute(model="fraud", expires="2026-11-21T05:12:05+02:00")
    assert time.covers(found, NOW - 1)
    assert not time.covers(found, NOW)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"model": "m", "reason": " "}, "no reason"),
        ({}, "everything"),
        ({"model": "m", "expires": "never"}, "no day"),
        ({"model": "m", "expires": "9999-12-31"}, "no day"),
        ({"model": "m", "expires": ""}, "no day"),
    ],
)
def test_a_mute_that_cannot_be_is_refused(fields, words):
    with pytest.raises(UsageError, match=words):
        mute(**fields)
