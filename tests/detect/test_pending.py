from msgspec.structs import replace

from casemate.detect import pending
from casemate.detect.pending import Pending
from tests.detect.test_verdicts import bare
from tests.detect.traffic import START


def asked(n):
    return [replace(one, request=str(one.sequence)) for one in bare(n)]


def test_it_holds_what_a_guard_wrote_without_its_answer():
    held = Pending()
    (one,) = asked(1)
    assert held.hold(one)
    assert not held.hold(replace(one, status=200))
    assert not held.hold(replace(one, request=""))
    assert not held.hold(replace(one, source="log.jsonl:1"))
    assert held.take(replace(one, kind="answered", sequence=99)) == one
    assert held.take(one) is None


def test_it_waits_for_a_bounded_time_in_a_bounded_number(monkeypatch):
    monkeypatch.setattr(pending, "MOST", 5)
    held = Pending()
    events = asked(8)
    for one in events:
        held.hold(one)
    assert held.full
    assert held.due(START) == events[:3]
    assert not held.full
    assert held.due(START + pending.PATIENCE + 4) == events[3:5]
    assert held.rest() == events[5:]
    assert held.rest() == []
