"""The same weakness is tracked once, and states follow each other as they may."""

from datetime import UTC, datetime

import msgspec
import pytest

from casemate.errors import UsageError
from casemate.records.make import make
from casemate.records.vulnerability import Affected, Facts, Vulnerability
from casemate.vuln.tracking import NEXT, moved, same

NOW = datetime(2026, 11, 1, tzinfo=UTC)


def weakness(ident="cmv-2026-0001", **more):
    given = {
        "id": ident,
        "title": "a copy can be made",
        "threat": "model-stealing",
        "opened": NOW,
        "changed": NOW,
        "facts": Facts(access="network"),
        "affected": (Affected(name="fraud", digests=("sha256:" + "a" * 64,)),),
    }
    return make(Vulnerability, **{**given, **more})


def test_type_access_and_a_shared_model_make_it_the_same():
    old = weakness()
    assert same(weakness("x"), [old]) is old
    moved_file = (Affected(name="elsewhere", digests=("sha256:" + "a" * 64,)),)
    assert same(weakness("x", affected=moved_file), [old]) is old
    assert same(weakness("x", threat="data-poisoning"), [old]) is None
    assert same(weakness("x", facts=Facts(access="local")), [old]) is None
    assert same(weakness("x", affected=(Affected(name="spam"),)), [old]) is None
    assert same(weakness("x"), [weakness(state="rejected")]) is None
    assert same(weakness("x"), [weakness(state="fixed")]) is not None


def test_a_change_of_state_is_noted_with_who_and_why():
    found = moved(weakness(), "confirmed", by="ada", why="reproduced", at=NOW)
    assert found.state == "confirmed"
    assert found.notes == ("2026-11-01 00:00 ada: reported -> confirmed: reproduced",)


@pytest.mark.parametrize(
    ("state", "wanted"),
    [(state, other) for state in NEXT for other in NEXT if other not in NEXT[state]],
)
def test_what_cannot_follow_is_refused(state, wanted):
    with pytest.raises(UsageError, match="cannot become"):
        moved(weakness(state=state), wanted, by="ada", why="because", at=NOW)


def test_a_reason_and_the_original_are_asked_for():
    with pytest.raises(UsageError, match="reason"):
        moved(weakness(), "confirmed", by="ada", why=" ", at=NOW)
    with pytest.raises(UsageError, match="duplicate"):
        moved(weakness(), "duplicate", by="ada", why="as the other", at=NOW)
    with pytest.raises(UsageError, match="duplicate"):
        moved(weakness(), "duplicate", by="a", why="b", at=NOW, duplicate_of="cmv-2026-0001")
    found = moved(weakness(), "duplicate", by="a", why="b", at=NOW, duplicate_of="cmv-2026-0002")
    back = moved(found, "reported", by="a", why="it is not", at=NOW)
    assert (found.duplicate_of, back.duplicate_of) == ("cmv-2026-0002", None)
    assert msgspec.structs.replace(back, state="duplicate").notes == back.notes
