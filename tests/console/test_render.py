"""Text is escaped, times are in UTC, whatever is in them."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from casemate.console.render import clock, iso, pages, question, when

PAGES = pages()


def test_text_from_outside_is_text():
    hostile = '<script>"\u202e\x00\ud800'
    written = PAGES.write("paper.html", {
        "me": None, "said": None, "path": "/", "csrf": "", "case": hostile, "name": hostile,
        "text": hostile,
    }).decode()  # fmt: skip
    assert '<script>"' not in written
    assert "\u202e" not in written
    assert "\\u202e" in written


def test_times_are_in_utc():
    at = datetime(2026, 11, 21, 4, 12, 5, tzinfo=timezone(timedelta(hours=1)))
    assert when(at) == "2026-11-21 03:12:05 UTC"
    micros = int(at.timestamp() * 1e6)
    assert (when(micros), clock(micros)) == (when(at), "03:12")
    assert iso(micros) == "2026-11-21T03:12:05+00:00"


@pytest.mark.parametrize("at", [1 << 62, -(1 << 62), 0])
def test_a_time_nobody_can_mean_is_no_error(at):
    assert when(at).endswith("UTC")
    assert datetime.fromisoformat(iso(at)).tzinfo is UTC or iso(at).endswith("+00:00")


def test_facts_are_asked_for_in_words():
    assert question("high_risk_ai_system") == "High risk AI system"
    assert question("nis2_entity") == "NIS2 entity"
