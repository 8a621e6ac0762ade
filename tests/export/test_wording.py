"""Figures and text read the same in every format."""

import math

import pytest

from casemate.export import wording
from casemate.records.location import Location
from casemate.records.make import make
from tests.export.bundles import scan_part, share


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (0, "0"), (1234567, "1,234,567"), (0.031372549, "0.03137"), (12345.6, "12,346"),
     (1e-9, "1e-09"), (2.0, "2"), (math.nan, "missing"), (math.inf, "inf")],
)  # fmt: skip
def test_numbers(value, text):
    assert wording.number(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "not measured"),
        (1.0, "100 %"),
        (0.9996, "> 99.9 %"),
        (1e-5, "< 0.1 %"),
        (0.0, "0 %"),
        (0.125, "12.5 %"),
    ],
)
def test_percent(value, text):
    assert wording.percent(value) == text


def test_interval_and_seconds_and_count():
    assert wording.interval(share("accuracy", 50, 100)) == "40.4–59.6 %"
    assert wording.interval(share("accuracy", 50, 100).__class__(name="a", value=None)) == ""
    assert [wording.seconds(one) for one in (0.012, 3.25, 600, 9000)] == [
        "12 ms",
        "3.2 s",
        "10 min",
        "2.5 h",
    ]
    assert [wording.count(one, "file") for one in (0, 1, 1200)] == [
        "0 files",
        "1 file",
        "1,200 files",
    ]


def test_what_a_format_cannot_carry_is_escaped_and_never_dropped():
    assert wording.clean("a\x00b\x1b[0m\u202ec\ud800\t\r\nd") == (
        "a\\u0000b\\u001b[0m\\u202ec\\ud800\t\nd"
    )


def test_a_place_is_path_member_and_offset_or_line():
    finding = scan_part()[1][0]
    assert wording.place(finding) == "models/ranker.pkl > archive/data.pkl, byte 1,042"
    lined = make(Location, path="a.py", line=3)
    assert wording.place(finding.__class__.__call__(**_with(finding, lined))) == "a.py, line 3"


def _with(finding, location):
    fields = {name: getattr(finding, name) for name in finding.__struct_fields__}
    return {**fields, "location": location}


@pytest.mark.parametrize(
    ("ref", "url"),
    [
        ("arxiv:1706.06083", "https://arxiv.org/abs/1706.06083"),
        ("atlas:AML.T0043", "https://atlas.mitre.org/techniques/AML.T0043"),
        ("atlas:AML.M0003", "https://atlas.mitre.org/mitigations/AML.M0003"),
        ("cwe:502", "https://cwe.mitre.org/data/definitions/502.html"),
        ("ghsa:GHSA-aaaa-bbbb-cccc", "https://github.com/advisories/GHSA-aaaa-bbbb-cccc"),
        ("cve:CVE-2024-1", "https://nvd.nist.gov/vuln/detail/CVE-2024-1"),
        ("url:https://example.org/a", "https://example.org/a"),
    ],
)
def test_references_have_addresses(ref, url):
    assert wording.reference(ref).url == url


@pytest.mark.parametrize("ref", ["url:javascript:alert(1)", "data:text/html,x", "odd"])
def test_only_web_addresses_become_links(ref):
    assert wording.reference(ref) is None
