"""Which names lead out of a folder."""

import pytest

from casemate.formats.paths import escapes


@pytest.mark.parametrize(
    "name",
    [
        "/a",
        "../a",
        "a/../../b",
        "..",
        "\\a",
        "..\\a",
        "C:a",
        "c:/a",
        "a\0b",
        "./../a",
        "a/b/../../../c",
        "//h/s",
    ],
)
def test_out(name):
    assert escapes(name)


@pytest.mark.parametrize(
    "name",
    ["a", "a/b", "./a", "a/../b", "a/..", "..a", "a..", "...", "", "a/./b", "weights.bin"],
)
def test_in(name):
    assert not escapes(name)


def test_links_count_from_their_folder():
    assert not escapes("../a", within="d")
    assert escapes("../../a", within="d")
    assert not escapes("../../a", within="d/./e")
