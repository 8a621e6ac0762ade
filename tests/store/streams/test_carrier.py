"""Tries come slower and slower, and never stop."""

from casemate.store.streams.carrier import pause


def test_pauses_grow_to_two_seconds():
    pauses = [pause(tries) for tries in range(50)]
    assert pauses == sorted(pauses)
    assert pauses[0] < 0.2
    assert pauses[-1] == 2.0
