"""Programs are found wherever they begin, and only programs."""

import random

import pytest

from casemate.errors import LimitExceeded
from casemate.formats.budget import Budget
from casemate.formats.carving import carve
from casemate.formats.source import CHUNK, BytesSource
from tests.corpus.inert import HARMLESS, PROTOCOL_0, PROTOCOL_4


@pytest.mark.parametrize("junk", [b"\0" * 16, b"HEADER\n", bytes(range(200)), b"x" * 2_000_000])
@pytest.mark.parametrize(
    "program", [PROTOCOL_4, PROTOCOL_0, PROTOCOL_4[11:]], ids=["4", "0", "bare"]
)
def test_programs_behind_junk_are_found(junk, program):
    data = junk + program + b"\x07" * 40
    found = list(carve(BytesSource(data), Budget(len(data))))
    assert len(junk) in [each.start for each in found]


def test_noise_holds_no_programs():
    data = random.Random(5).randbytes(3_000_000)
    assert list(carve(BytesSource(data), Budget(len(data)))) == []


@pytest.mark.parametrize("shift", range(-30, 31, 6))
def test_the_edge_of_a_window_hides_nothing(shift):
    data = b"\x01" * (CHUNK + shift) + PROTOCOL_4 + bytes(40)
    assert [each.start for each in carve(BytesSource(data), Budget(len(data)))] == [CHUNK + shift]


def test_values_alone_are_no_program():
    data = b"\x01\x02" + HARMLESS + b"\x01"
    assert list(carve(BytesSource(data), Budget(len(data)))) == []


def test_several_are_found_and_none_inside_another():
    data = b"\x01" + PROTOCOL_4 + b"\x02\x03" + PROTOCOL_0 + b"\x04"
    found = [each.start for each in carve(BytesSource(data), Budget(len(data)))]
    assert found == [1, 1 + len(PROTOCOL_4) + 2]


def test_the_clock_is_watched(monkeypatch):
    budget = Budget(0)
    monkeypatch.setattr("time.process_time", lambda: 1e9)
    with pytest.raises(LimitExceeded):
        list(carve(BytesSource(PROTOCOL_4), budget))
