import pytest

from casemate.errors import FormatError
from casemate.guard.logs.clock import from_json, moment

AT = 1_793_600_130_125_000  # 2026-11-02T06:15:30.125Z


@pytest.mark.parametrize(
    "value",
    [
        1_793_600_130.125,
        "1793600130.125",
        1_793_600_130_125,
        "1793600130125",
        1_793_600_130_125_000,
        1_793_600_130_125_000_999,
        "2026-11-02T06:15:30.125Z",
        "2026-11-02T06:15:30.125000999Z",
        "2026-11-02 06:15:30.125",
        "2026-11-02T08:15:30.125+02:00",
        " 2026-11-02T06:15:30,125Z ",
        "1.793600130125e9",
    ],
)
def test_a_time_in_any_unit_is_the_same_moment(value):
    assert moment(value) == AT


def test_an_http_date_has_whole_seconds():
    assert moment("Mon, 02 Nov 2026 06:15:30 GMT") == AT - 125_000


@pytest.mark.parametrize(
    "value",
    ["", "soon", "2026-13-02T00:00:00Z", "0", 0, -5, 1e30, float("inf"), float("nan"), 12_345,
     "9999-12-31T23:59:59Z", "0001-01-01T00:00:00+23:59", "1" * 70, "--1", "٣٣٣٣٣٣٣٣٣٣"],
)  # fmt: skip
def test_what_is_no_time_is_refused_and_not_guessed(value):
    with pytest.raises(FormatError):
        moment(value)


def test_json_gives_numbers_and_strings_and_nothing_else():
    assert from_json(b"1793600130125") == AT
    assert from_json(b'"2026-11-02T06:15:30.125Z"') == AT
    for other in (b"[]", b"{}", b"true", b"null", b'"\xff"', b""):
        with pytest.raises(FormatError):
            from_json(other)
