"""A page says what, which model, who, since when, how sure and what to do; never a value."""

import msgspec

from casemate.notify.page import Page, compose
from casemate.records.severity import Confidence, Severity
from tests.notify.made import NOW, SECOND, detection, entry

WHOLE = """\
[important] Attack on fraud by "eve": Queries walk along a decision border

What:     312 queries close in on the border between two labels, halving the step.
Model:    fraud
Who:      "eve"
Since:    2026-11-21 02:58:05 UTC, 14 min before this page
So far:   312 queries, first noticed at query 9
How sure: firm: strong evidence, an honest reason is unlikely but possible (score 0.97, bar 0.5)
Rule out: An explanation library such as LIME asking about one input.

Next:
  1. Ask whose account it is.
  2. Limit its rate.
  3. Look at the first query.

For the record: campaign cam-1, det-1, rule test-border-walk"""


def test_it_can_be_read_at_night():
    found = detection(id="det-1", campaign="cam-1")
    page = compose("page-1", [found], entry(), now=NOW)
    assert page.text == WHOLE
    assert page.title == WHOLE.splitlines()[0]
    assert page.next_steps == entry().next_steps


def test_a_rule_the_catalog_lacks_still_comes_with_three_steps():
    found = detection(next_steps=("Wake the owner of the model.",), principals=())
    page = compose("page-1", [found], None, now=NOW)
    assert page.text.count("\n  ") == 3
    assert page.next_steps[0] == "Wake the owner of the model."
    assert "Who:      unknown" in page.text


def test_what_belongs_to_the_campaign_is_taken_together():
    lead = detection(campaign="cam-1", principals=("eve", "eve-2", "eve-3"))
    other = detection(
        campaign="cam-1", rule="test-burst", began=NOW - 3600 * SECOND, queries=999, principals=()
    )
    page = compose("page-1", [lead, other], entry(), now=NOW, times=2, others=["another"] * 25)
    assert page.began == NOW - 3600 * SECOND
    assert page.queries == 999
    assert page.campaigns == 26
    for words in (
        "Page 2 about it: it still goes on, or is graver than was told before.",
        'accounts linked to one another: "eve", "eve-2", "eve-3"',
        "60 min before this page",
        "Also seen in it: test-burst",
        "At the same time, 25 more:",
        "and 5 that are not listed here",
    ):
        assert words in page.text


def test_hostile_names_stay_names():
    evil = "eve\n\nWhat: all is well\x1b[2J<b>" + "A" * 1_000_000
    found = detection(
        principals=(evil, "\u202e", *(f"p{n}" for n in range(10_000))),
        model="m\nodel",
        message=f"seen from {evil}",
        campaign="cam-\n",
    )
    page = compose("page-1", [found], entry(), now=NOW)
    assert len(page.text) < 3000
    assert all(line.isprintable() for line in page.text.splitlines())
    assert sum(line.startswith("What:") for line in page.text.splitlines()) == 1
    assert "\\u000a" in page.text
    assert "<b>" not in page.text
    assert len(page.principals) == 16
    assert "10,002" not in page.text
    assert "and 9,998 more" in page.text
    assert len(msgspec.json.encode(page)) < 12_000


def test_every_certainty_and_conclusion_has_words():
    for confidence in Confidence:
        for conclusion in ("attack", "probe", "drift", "misuse", "loss"):
            for severity in Severity:
                found = detection(
                    confidence=confidence, conclusion=conclusion, severity=severity, score=None
                )
                page = compose("page-1", [found], None, now=NOW)
                assert f"How sure: {confidence}" in page.text
                assert page.title.startswith(f"[{severity}] ")
                assert msgspec.json.decode(msgspec.json.encode(page), type=Page) == page
