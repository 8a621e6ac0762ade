"""The coverage table says what was seen, what was not, and never takes silence for either."""

import msgspec
import pytest

from casemate.export import coverage, page
from casemate.export.report import Bundle, write
from casemate.export.sightings import HEAD, sightings
from casemate.records.trial import Seen
from tests.export.bundles import image_bundle, run_record

SEEN = Seen(
    sent=100, logged=104, detected_by=("query-graph", "boundary-search"), pages=True,
    first_query=6, first_seconds=1.5, success=0.8, success_after=0.1, answered_by=("coarsen",),
    benign=50, benign_harmed=0, benign_accused=0,
)  # fmt: skip


TRIAL = image_bundle().trials[0]


def of(**changes):
    made = msgspec.structs.replace(SEEN, **changes)
    return msgspec.structs.replace(TRIAL, seen=made)


@pytest.mark.parametrize(
    ("changes", "tone", "code"),
    [
        ({}, "pass", 0),
        ({"detected_by": ()}, "stop", 1),
        ({"detected_by": (), "success": 0.0}, "pass", 0),
        ({"logged": 99}, "stop", 1),
        ({"logged": None}, "unsure", 3),
        ({"logged": None, "detected_by": ()}, "stop", 1),
    ],
)
def test_what_did_harm_unseen_comes_first_and_decides(changes, tone, code):
    bundle = Bundle(run=run_record(verb="redteam"), trials=(of(**changes),))
    (row,) = sightings(bundle.trials)
    assert row.tone == tone
    assert coverage.exit_of(bundle).code == code


def test_an_exercise_without_a_result_is_incomplete():
    bundle = Bundle(run=run_record(verb="redteam"))
    assert coverage.exit_of(bundle).code == 3


def test_the_table_is_in_the_page_and_in_markdown():
    bundle = Bundle(run=run_record(verb="redteam"), trials=(of(), of(detected_by=())))
    rows = sightings(bundle.trials)
    assert [one.tone for one in rows] == ["stop", "pass"]
    assert len(HEAD) == len(rows[0]) - 1
    text = page.write(bundle).decode()
    assert 'id="seen"' in text
    for word in (*HEAD, "all 100", "boundary-search", "80 %", "10 %", "coarsen"):
        assert word in text
    assert "What the guard saw" in write(bundle, "md").decode()
