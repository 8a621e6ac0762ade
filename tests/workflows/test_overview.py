"""What the first page says first: never that all is well when nobody looked."""

import time
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from casemate.records.incident import Incident
from casemate.records.make import make, new_id
from casemate.records.order import Order, Scope
from casemate.records.severity import Severity
from casemate.store.cases import CaseBook
from casemate.store.guards import GuardBook, Standing
from casemate.store.orders import OrderBook
from casemate.store.workspace import Workspace
from casemate.workflows import custody, overview
from casemate.workflows.config import Config, Loaded
from casemate.workflows.job import Job
from casemate.workflows.traffic import Traffic
from tests.notify.made import detection

WRITER = "w-0123456789abcdef"


@pytest.fixture
def workspace(tmp_path):
    with Workspace.open(tmp_path / ".casemate") as found:
        yield found


def guard(workspace, mode="enforce", ago=0.0, **fields):
    seen = int((time.time() - ago) * 1e6)
    standing = Standing(writer=WRITER, mode=mode, upstream="http://x", seen=seen, **fields)
    GuardBook(workspace).tell(standing)


def order(workspace, **fields):
    now = datetime.now(UTC)
    made = make(
        Order, id=new_id("ord"), at=now, expires=now + timedelta(hours=1), action="block",
        scope=Scope(**fields), author="ann", reason="r",
    )  # fmt: skip
    OrderBook(workspace).add(made)
    return made


def case(workspace, **fields):
    now = datetime.now(UTC)

    def begin(ident):
        given = {"title": "t", "severity": Severity.LOW, "opened": now, "opened_by": "ann"}
        incident = make(Incident, id=ident, aware=now, **{**given, **fields})
        return incident, custody.action("ann", "opened", "opened", case=ident)

    return CaseBook(workspace).open(now.year, begin)


def detected(workspace, tmp_path, *found):
    with Job("detect", Loaded(config=Config(), root=tmp_path), workspace) as job:
        job.add(*found)


def test_nothing_on_record_is_not_all_well(workspace, tmp_path):
    for traffic in (None, Traffic(tmp_path / "none")):
        now = overview.now(workspace, traffic)
        assert now.tone == "unsure"
        assert "No guard stands" in now.reasons[0]


def test_a_silent_guard_is_not_all_well(workspace):
    guard(workspace, ago=3600)
    assert overview.now(workspace, None).tone == "unsure"
    holding = overview.holding(workspace, None)
    assert (holding.words, holding.tone) == ("No guard is alive", "stop")


def test_all_is_well_when_somebody_looks_and_sees_nothing(workspace, tmp_path):
    from casemate.store.telemetry.journal import Journal
    from tests.store.telemetry.places import place
    from tests.workflows.test_traffic import event

    guard(workspace)
    made = place(tmp_path)
    journal = Journal(made.folder, WRITER, window=0)
    fresh = msgspec.structs.replace(event(0, "ann", 0), writer=WRITER, at=overview.micros())
    journal.append([fresh])
    journal.close()
    traffic = Traffic(made.folder)
    assert overview.now(workspace, traffic).tone == "pass"
    assert overview.holding(workspace, traffic).words == "The guard holds"


def test_the_worst_case_comes_first_and_then_what_is_loose(workspace, tmp_path):
    mild = case(workspace, owner="ann")
    grave = case(workspace, severity=Severity.CRITICAL)
    seen = detection(made=overview.micros())
    detected(workspace, tmp_path, seen)
    now = overview.now(workspace, None)
    assert [one.id for one in now.cases] == [grave.id, mild.id]
    assert (now.tone, now.first_case) == ("stop", grave.id)
    assert now.first == "Take it: nobody has it yet."
    assert now.first_alarm is None
    assert any("1 detection without a case" in one for one in now.reasons)


def test_a_detection_without_a_case_asks_for_one(workspace, tmp_path):
    seen = detection(made=overview.micros())
    detected(workspace, tmp_path, seen)
    now = overview.now(workspace, None)
    assert (now.tone, now.first_alarm, now.first_case) == ("stop", seen.id, None)


def test_a_campaign_is_shown_once_with_its_case(workspace, tmp_path):
    at = overview.micros()
    first = detection(made=at - 10, severity=Severity.CRITICAL)
    again = msgspec.structs.replace(first, id=new_id("det"), made=at, severity=Severity.LOW)
    exercise = detection(made=at, marked="run-1")
    detected(workspace, tmp_path, first, again, exercise)
    made = case(workspace, sources=(first.id,))
    (alarm,) = overview.alarms(workspace, overview.incidents(workspace))
    assert (alarm.id, alarm.times, alarm.case) == (again.id, 2, made.id)
    assert alarm.severity == Severity.CRITICAL


def test_who_obeys_an_order_and_why_not(workspace):
    given = order(workspace, principal="eve")
    assert "no living guard" in overview.held(workspace, ())[0].ignored[0]
    guard(workspace)
    assert "not taken it up" in overview.held(workspace, ())[0].ignored[0]
    guard(workspace, refuses={given.id: "needs an approver"})
    assert "refuses it: needs an approver" in overview.held(workspace, ())[0].ignored[0]
    guard(workspace, mode="observe", obeys=(given.id,))
    assert "only observes" in overview.held(workspace, ())[0].ignored[0]
    guard(workspace, obeys=(given.id,))
    (held,) = overview.held(workspace, ())
    assert (held.obeyed, held.ignored, held.whom) == (1, (), "principal eve")


def test_whom_an_order_reaches_in_words():
    assert overview.whom(Scope()) == "everybody"
    assert overview.whom(Scope(model="m", principal="p")) == "principal p, model m"


def test_a_principal_is_known_by_what_names_them(workspace, tmp_path):
    seen = detection(made=overview.micros(), principals=("eve",))
    detected(workspace, tmp_path, seen)
    given = order(workspace, principal="eve")
    eve = overview.who(workspace, "eve")
    assert (eve.tone, len(eve.alarms), eve.orders[0].id) == ("unsure", 1, given.id)
    ann = overview.who(workspace, "ann")
    assert (ann.tone, ann.alarms, ann.orders, ann.cases) == ("pass", (), (), ())


def test_the_mark_changes_with_everything_that_shows(workspace, tmp_path):
    marks = [overview.mark(workspace, None)]

    def changed():
        marks.append(overview.mark(workspace, None))
        return marks[-1] != marks[-2]

    assert not changed()
    made = case(workspace)
    assert changed()
    CaseBook(workspace).change(made.id, custody.action("ann", "noted", "x"))
    assert changed()
    order(workspace)
    assert changed()
    detected(workspace, tmp_path, detection())
    assert changed()
    guard(workspace, obeys=("ord-1",))
    assert changed()
