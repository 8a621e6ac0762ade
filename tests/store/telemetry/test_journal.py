"""What is appended is there, in order, whatever happens to the disk and the process."""

import os
import time

import pytest

from casemate.errors import StoreError
from casemate.records.event import Event
from casemate.store.telemetry.journal import Journal
from casemate.store.telemetry.opening import open_query, open_sink
from casemate.store.telemetry.sink import Filter
from tests.store.telemetry.samples import WRITER, events


def test_events_come_back_as_they_went_in(tmp_path):
    sent = events(500)
    sink = open_sink(tmp_path, WRITER)
    receipt = sink.append(sent[:200])
    assert (receipt.writer, receipt.first, receipt.last) == (WRITER, 0, 199)
    sink.append(sent[200:])
    flushed = sink.flush()
    assert flushed.durable
    assert flushed.last == 499
    query = open_query(tmp_path)
    assert list(query.tail({})) == sent
    assert list(query.scan(Filter())) == sent
    sink.close()
    assert list(query.tail({})) == sent
    assert list(query.tail({WRITER: 498})) == sent[499:]


def test_tail_goes_on_from_where_it_was(tmp_path):
    sent = events(300)
    sink = Journal(tmp_path, WRITER, roll_bytes=20_000)
    query = open_query(tmp_path)
    seen = []
    for begin in range(0, 300, 37):
        sink.append(sent[begin : begin + 37])
        sink.flush()
        seen += query.tail({WRITER: seen[-1].sequence} if seen else {})
    sink.close()
    seen += query.tail({WRITER: seen[-1].sequence})
    assert seen == sent
    assert len(list((tmp_path / "journal").iterdir())) > 3


def test_a_sequence_that_does_not_go_on_is_refused(tmp_path):
    sink = Journal(tmp_path, WRITER)
    sink.append(events(3))
    for wrong in (events(1), events(1, first=4), events(1, first=3, writer="w-ffffffffffffffff")):
        with pytest.raises(StoreError, match="does not follow"):
            sink.append(wrong)
    sink.append(events(1, first=3))
    sink.close()
    with pytest.raises(StoreError, match="closed"):
        sink.append(events(1, first=4))
    with pytest.raises(StoreError, match="before"):
        Journal(tmp_path, WRITER)


def test_an_event_that_cannot_be_written_leaves_a_gap_and_the_others(tmp_path):
    sink = Journal(tmp_path, WRITER)
    good = events(3)
    bad = Event(writer=WRITER, sequence=1, at=good[1].at, bytes_in=2**70)
    sink.append([good[0], bad, good[2]])
    sink.close()
    found = list(open_query(tmp_path).tail({}))
    assert [e.kind for e in found] == ["inference", "gap", "inference"]
    assert found[1].lost == 1
    assert "could not be written" in found[1].note


def test_a_child_of_a_fork_is_told_to_open_its_own(tmp_path):
    sink = Journal(tmp_path, WRITER)
    sink.append(events(1))
    child = os.fork()
    if child == 0:
        try:
            sink.append(events(1, first=1))
        except StoreError:
            os._exit(7)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    sink.append(events(1, first=1))
    sink.close()
    assert list(open_query(tmp_path).tail({})) == events(1) + events(1, first=1)


def test_events_are_durable_within_a_tenth_of_a_second_without_flush(tmp_path):
    sink = Journal(tmp_path, WRITER)
    sink.append(events(10))
    limit = time.monotonic() + 5
    while sink._synced < 10 and time.monotonic() < limit:
        time.sleep(0.005)
    assert sink._synced == 10
    sink.close()
