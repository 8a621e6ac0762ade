"""What belongs to a case's bundle: all that the case names, and the reason where it is gone."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from casemate.records.detection import Detection
from casemate.records.finding import Finding
from casemate.records.make import make, new_id
from casemate.records.order import Order
from casemate.records.run import Run
from casemate.store.orders import OrderBook
from casemate.store.telemetry.journal import Journal
from casemate.workflows import pieces
from tests.gate.made import finding
from tests.store.telemetry.samples import events
from tests.workflows.bundled import case

NOW = datetime(2026, 11, 2, 4, 0, tzinfo=UTC)


@pytest.fixture
def made(tmp_path, monkeypatch):
    order = make(
        Order, id=new_id("ord"), at=NOW, expires=NOW + timedelta(hours=4), action="block",
        scope={"principal": "user-3"}, author="ada", reason="it steals",
    )  # fmt: skip
    seen = make(
        Detection, id=new_id("det"), rule="query-burst", conclusion="attack", severity="important",
        confidence="firm", message="seen", model="mnist", principals=["user-3"], began=1, ended=2,
        made=3, queries=4, events=["w-0123456789abcde0:7", "w-ffffffffffffffff:1"],
    )  # fmt: skip
    weakness = finding()
    sources = [seen.id, weakness.fingerprint, "det-gone"]
    found = case(tmp_path, monkeypatch, sources=sources, orders=[order.id])
    run = make(Run, id=new_id("run"), verb="detect", started=NOW, state="complete")
    found.workspace.begin(run)
    found.workspace.add(run.id, seen, weakness)
    OrderBook(found.workspace).add(order)
    yield found, seen, weakness, order
    found.workspace.close()


def test_records_events_and_proofs_of_all_that_is_named(made):
    found, seen, weakness, order = made
    notes = []
    given = {one.name: one for one in
             pieces.pieces_of(found.loaded, found.workspace, found.case, notes)}  # fmt: skip
    assert notes == []
    assert isinstance(weakness, Finding)
    for name in (
        f"case/detections/{seen.id}.json", f"case/findings/{weakness.fingerprint}.json",
        f"case/orders/{order.id}.json", "events/w-0123456789abcde0-7.json",
        "events/w-0123456789abcde0-3.proof.json", "log/checkpoints",
    ):  # fmt: skip
        assert not given[name].is_absent, name
    assert given["events/w-0123456789abcde0-7.proof.json"].beside == (
        "events/w-0123456789abcde0-7.json"
    )
    assert "not on record any more" in given["events/w-ffffffffffffffff-1.json"].why
    assert "det-gone" in given["case/sources/det-gone.json"].why
    assert len(given) == len(set(given))


def test_events_that_are_in_no_log_are_packed_without_a_proof(tmp_path, monkeypatch):
    found = case(tmp_path, monkeypatch)
    journal = Journal(found.place.folder, "w-00000000000000aa", window=0)
    journal.append(events(5, writer="w-00000000000000aa"))
    journal.flush()
    triage = msgspec.structs.replace(found.case.triage, events=("w-00000000000000aa:2",))
    changed = msgspec.structs.replace(found.case, triage=triage)
    monkeypatch.setattr("casemate.store.cases.CaseBook.get", lambda self, which: changed)
    given = {one.name: one for one in
             pieces.pieces_of(found.loaded, found.workspace, found.case, [])}  # fmt: skip
    journal.close()
    found.workspace.close()
    assert not given["events/w-00000000000000aa-2.json"].is_absent
    assert "is sealed in" in given["events/w-00000000000000aa-2.proof.json"].why
