"""Files to events through the real guard: what is on record is what the log says, no more."""

import json
from pathlib import Path

import pytest

from casemate.guard.keys import Keys
from casemate.guard.logs import stream as module
from casemate.guard.logs.replay import NO_BODY, UNKNOWN, UNREAD, Replay, judged
from casemate.guard.logs.stream import End, File, stream
from casemate.guard.logs.tally import Tally
from casemate.guard.policy import GuardTable, PrincipalTable
from tests.guard.logs import samples as s

WRITER = "w-00000000000000cc"


def replayed(path, kind, who=None, fields=None, judge=None):
    tally = Tally()
    table = GuardTable(principal=who or PrincipalTable(header="X-User"), mode="enforce")
    replay = Replay(table, Keys(bytes(range(32))), WRITER, tally, root=Path(), secrets={})
    events, end = [], None
    for batch in stream([File(path, path.name, modified=7)], kind, fields or {}):
        if isinstance(batch, End):
            end = batch
            continue
        for pair in batch.pairs:
            made = replay.feed(pair)
            events += judged(judge, made, tally) if judge else made.events
    return events, end, {count.reason: count for count in (*end.counts, *tally.counts)}, replay


def write(tmp_path, *lines):
    path = tmp_path / "f.jsonl"
    path.write_bytes(b"\n".join(lines) + b"\n")
    return path


def test_a_pair_is_one_event_with_its_place(tmp_path):
    path = write(
        tmp_path,
        s.kserve_structured(),
        s.kserve_structured(s.RESPONSE, s.GIVEN, at="2026-11-02T06:15:30.137Z"),
    )
    (event,), end, counts, _ = replayed(path, "kserve")
    assert (event.writer, event.sequence, event.at, event.took) == (WRITER, 0, s.AT_US, 12_000)
    assert (event.kind, event.principal, event.model, event.version) == (
        "inference", "alice", "iris", "default",
    )  # fmt: skip
    assert (event.status, event.protocol, event.source) == (200, "tfserving", "f.jsonl:1")
    assert event.input_digest != event.output_digest
    assert event.enforced is False
    assert counts == {}
    assert (end.records, end.reached) == (2, [(2, path.stat().st_size)])


def test_the_judge_sees_questions_then_answers(tmp_path):
    from casemate.detect.inline.judge import InlineJudge

    lines = []
    for n in range(3):
        body = {"instances": [[5.1, 3.5, 1.4, 0.2 + n / 1000]]}
        lines += [
            s.kserve_structured(body=body, ident=f"q{n}"),
            s.kserve_structured(s.RESPONSE, s.GIVEN, ident=f"q{n}"),
        ]
    lines.append(s.kserve_structured(ident="alone"))
    events, _, counts, _ = replayed(write(tmp_path, *lines), "kserve", judge=InlineJudge(b"k" * 32))
    assert [event.measures.label for event in events] == [0, 0, 0, None]
    assert events[0].measures.confidence == 0.9
    assert all(event.measures.asked == n + 1 for n, event in enumerate(events))
    assert [event.measures.near_to is not None for event in events] == [False, True, True, True]
    assert events[3].kind == "inference"
    assert events[3].status == 0
    assert set(counts) == {"a request without its answer in the log"}


def test_a_judge_that_fails_costs_its_measures_and_is_counted(tmp_path):
    class Broken:
        def look(self, exchange, ids):
            raise ZeroDivisionError

    (event,), _, counts, _ = replayed(write(tmp_path, s.sagemaker()), "sagemaker", judge=Broken())
    assert event.kind == "inference"
    assert counts["the judge failed: ZeroDivisionError"].lost


def test_who_asked_is_named_only_where_the_log_says(tmp_path):
    pair = (s.kserve_structured(user=None), s.kserve_structured(s.RESPONSE, s.GIVEN, user=None))
    (event,), _, _, replay = replayed(write(tmp_path, *pair), "kserve")
    assert (event.principal, replay.unknown) == (UNKNOWN, 1)
    row = s.line(s.gateway_row(requester="Jörg Ü"))
    assert replayed(write(tmp_path, row), "mlflow")[0][0].principal == "Jörg Ü"
    body = json.dumps({"dataframe_split": {"data": [s.FIELDS]}, "user": "in-body"})
    row = s.line(s.gateway_row(requester=None, request=body))
    (event,), _, _, _ = replayed(write(tmp_path, row), "mlflow", PrincipalTable(field="user"))
    assert event.principal == "in-body"
    forged = s.envoy_tap()
    forged["http_buffered_trace"]["request"]["headers"] += [
        {"key": "x-casemate-logged-principal", "value": "admin"}
    ]
    (event,), _, _, _ = replayed(write(tmp_path, s.line(forged)), "envoy", PrincipalTable())
    assert event.principal == UNKNOWN


def test_an_access_log_gives_events_without_measures(tmp_path):
    (event,), _, counts, _ = replayed(write(tmp_path, s.line(s.envoy_access())), "envoy")
    assert (event.kind, event.principal, event.model) == ("inference", "ip:203.0.113.7", "iris")
    assert (event.status, event.took, event.bytes_in) == (200, 12_000, 44)
    assert event.measures.near is None
    assert set(counts) == {NO_BODY}


def test_what_cannot_be_read_is_on_record_as_such(tmp_path):
    bad = s.gateway_row(request='{"dataframe_split": {"data": [[1], [2, 3]]}}')
    odd = s.gateway_row(databricks_request_id="d2", response="<html>")
    events, _, counts, replay = replayed(write(tmp_path, s.line(bad), s.line(odd)), "mlflow")
    assert [event.kind for event in events] == ["bypassed", "inference"]
    assert replay.unread == 1
    lost = [reason for reason, count in counts.items() if count.lost]
    assert len(lost) == 1
    assert lost[0].startswith(UNREAD)
    assert any("answer that cannot be read" in reason for reason in counts)


def test_models_keep_their_names_whatever_is_in_them(tmp_path):
    for name in ("fraud", "team/fraud", "fraud:v2", "a b", "ü", "../x"):
        pair = (
            s.kserve_structured(inferenceservicename=name),
            s.kserve_structured(s.RESPONSE, s.GIVEN, inferenceservicename=name),
        )
        (event,), _, counts, _ = replayed(write(tmp_path, *pair), "kserve")
        assert (event.model, event.kind, counts) == (name, "inference", {})


def test_red_lines_of_another_schema_in_the_middle_are_counted_with_their_places(tmp_path):
    lines = [s.line(s.gateway_row(databricks_request_id=f"d{n}")) for n in range(6)]
    lines[2:4] = [b'{"now": "another schema"}', b'{"now": "another schema", "n": 2}']
    events, _, counts, _ = replayed(write(tmp_path, *lines), "mlflow")
    assert [event.source for event in events] == [f"f.jsonl:{n}" for n in (1, 2, 5, 6)]
    ((reason, count),) = counts.items()
    assert (count.times, count.first, count.last, count.lost) == (2, "f.jsonl:3", "f.jsonl:4", True)
    assert "neither request nor response" in reason


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_batches_hold_everything_once(tmp_path, monkeypatch, size):
    monkeypatch.setattr(module, "BATCH", size)
    lines = [s.line(s.gateway_row(databricks_request_id=f"d{n}")) for n in range(50)]
    events, end, _, _ = replayed(write(tmp_path, *lines), "mlflow")
    assert [event.sequence for event in events] == list(range(50))
    assert end.records == 50


def test_a_last_line_without_a_newline_counts_when_it_is_whole(tmp_path):
    path = tmp_path / "f.jsonl"
    rows = [s.line(s.gateway_row(databricks_request_id=f"d{n}")) for n in range(3)]
    path.write_bytes(b"\n".join(rows))
    events, end, counts, _ = replayed(path, "mlflow")
    assert (len(events), counts) == (3, {})
    assert end.reached == [(2, path.stat().st_size)]
    path.write_bytes(b"\n".join(rows)[:-9])
    events, end, counts, _ = replayed(path, "mlflow")
    assert len(events) == 2
    assert set(counts) == {"the last line stops in the middle"}
    assert end.reached == [(2, 2 + len(rows[0]) + len(rows[1]))]
