"""Names from outside cannot break a line, reorder a screen, start a tag, a link or a mention."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from casemate.notify.wording import ago, moment, name, names, printable, short

HOSTILE = {
    "two\nlines\r\n\x1b[31mred": '"two\\u000alines\\u000d\\u000a\\u001b[31mred"',
    "\u202etxt.exe": '"\\u202etxt.exe"',
    "a\u200bb\ufeff\u2028c": '"a\\u200bb\\ufeff\\u2028c"',
    "<script>alert(1)</script>": '"\\u003cscript>alert(1)\\u003c/script>"',
    "<!channel> @everyone": '"\\u003c!channel> \\u0040everyone"',
    "[pay](https://evil.example)": '"[pay\\u005d(https\\u003a//evil.example)"',
    "`rm` **bold** &lt;": '"\\u0060rm\\u0060 \\u002a\\u002abold\\u002a\\u002a \\u0026lt;"',
    "\ud800lone": '"\\ud800lone"',
    "\x00\x7f\x85": '"\\u0000\\u007f\\u0085"',
    "\U000e0041tag": '"\\U000e0041tag"',
}


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_are_shown_by_their_codes(text):
    assert name(text) == HOSTILE[text]


@pytest.mark.parametrize(
    "text",
    ["alice", "ana@example.org", "svc_batch-7", "Łukasz", "李雷", "a < 3 & b", "x [1] 25 > 3"],
)
def test_ordinary_names_stay(text):
    assert name(text) == f'"{text}"'


def test_a_tower_of_accents_is_taken_down():
    shown = printable("z" + "\u0301" * 40)
    assert shown.startswith("z\u0301\u0301\\u0301")


def test_a_megabyte_is_cut_with_its_length_and_digest_and_fast():
    start = time.process_time()
    shown = name("A\n" * 524_288)
    assert time.process_time() - start < 0.1
    assert len(shown) < 140
    assert "1,048,576 characters, sha256 " in shown
    assert name("B" * 1_048_576) != shown


def test_lists_of_names_say_how_many_more():
    assert names(("a", "b")) == '"a", "b"'
    assert names(tuple("abcdefg")) == '"a", "b", "c", "d" and 3 more'
    assert names(()) == "unknown"
    assert names(("",)) == "somebody who gave no name"


def test_times_are_for_people():
    assert moment(1_795_230_725_999_999) == "2026-11-21 03:12:05 UTC"
    assert moment(10**30) == "a time that cannot be"
    assert ago(-5) == "0 s before this page"
    assert ago(840_000_000) == "14 min before this page"
    assert ago(3 * 86_400_000_000) == "3 days before this page"


@given(st.text(), st.integers(2, 80))
def test_whatever_comes_it_is_one_printable_line_within_the_limit(text, limit):
    line = short(text, limit)
    assert len(line) <= limit
    assert len(line.splitlines()) <= 1
    line.encode("utf-8")
    assert "://" not in line
    assert printable(text).isprintable()
