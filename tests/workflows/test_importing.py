"""Imports as jobs: everything once, whatever is repeated, grown, cut off or killed."""

import gzip
import json
import multiprocessing
import os

import pytest

from casemate.errors import StoreError, UsageError
from casemate.guard.logs.paths import read_mapping
from casemate.store.telemetry.opening import open_query
from casemate.store.telemetry.sink import Filter
from casemate.store.workspace import Workspace
from casemate.workflows import importing, read_ahead
from casemate.workflows.config import Config, Loaded
from tests.guard.logs import samples as s


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("CASEMATE_KEYS", str(tmp_path / "keys"))
    monkeypatch.setenv("CASEMATE_GUARD_KEY", "0123456789abcdef" * 4)
    monkeypatch.chdir(tmp_path)
    with Workspace.open(tmp_path / "store", create=True) as workspace:
        yield workspace


def load(workspace, *paths, kind="mlflow", **more):
    loaded = Loaded(config=Config(), root=workspace.folder.parent)
    return importing.import_logs(list(paths), kind, loaded, workspace, **more)


def events(workspace, *kinds):
    return list(open_query(workspace.folder / "telemetry").scan(Filter(kinds=kinds)))


def sources(workspace, found):
    """Where the events of one import stand, in order."""
    telemetry = open_query(workspace.folder / "telemetry")
    kept = telemetry.scan(Filter(writer=found.writer, kinds=("inference",)))
    return [event.source for event in kept]


def rows(first, last, **more):
    return b"".join(
        s.line(s.gateway_row(databricks_request_id=f"d{n}", **more)) + b"\n"
        for n in range(first, last)
    )


def test_events_are_on_record_sealed_and_say_where_they_stand(tmp_path, place):
    path = tmp_path / "f.jsonl"
    path.write_bytes(rows(0, 100))
    found = load(place, path)
    assert (found.events, found.records, found.unknown, found.exit_code) == (100, 100, 0, 0)
    assert found.models == ("iris-3",)
    kept = events(place)
    assert [event.source for event in kept] == [f"{path}:{n}" for n in range(1, 101)]
    assert {event.writer for event in kept} == {found.writer}
    assert kept[5].measures.near == 1.0  # the same row again
    assert list((place.folder / "telemetry" / "segments").iterdir())


def test_the_same_file_again_adds_nothing_and_a_grown_one_its_new_lines(tmp_path, place):
    path = tmp_path / "f.jsonl"
    path.write_bytes(rows(0, 20))
    load(place, path)
    again = load(place, path)
    assert (again.known, again.events, again.writer, again.exit_code) == (1, 0, "", 0)
    with path.open("ab") as out:
        out.write(rows(20, 25))
    grown = load(place, path)
    assert (grown.known, grown.events, grown.records) == (1, 5, 5)
    assert sources(place, grown) == [f"{path}:{n}" for n in range(21, 26)]
    renamed = tmp_path / "renamed.jsonl.gz"
    renamed.write_bytes(gzip.compress(path.read_bytes()))
    assert load(place, renamed).events == 0
    other = tmp_path / "other.jsonl"
    other.write_bytes(rows(0, 1) + rows(50, 52))
    assert load(place, other).events == 3
    assert len(events(place)) == 28


def test_a_line_that_was_still_being_written_is_read_once_it_is_whole(tmp_path, place):
    path = tmp_path / "f.jsonl"
    whole = rows(0, 3)
    path.write_bytes(whole[:-40])
    first = load(place, path)
    assert (first.events, first.exit_code) == (2, 3)
    (gap,) = events(place, "gap")
    assert gap.note == f"the last line stops in the middle: {path}:3"
    assert gap.until >= gap.at
    path.write_bytes(whole)
    second = load(place, path)
    assert (second.events, second.known) == (1, 1)
    assert sources(place, second) == [f"{path}:3"]
    path.write_bytes(whole + rows(3, 4))
    assert sources(place, load(place, path)) == [f"{path}:4"]


def test_a_last_line_that_only_lacked_its_newline_is_not_read_again(tmp_path, place):
    path = tmp_path / "f.jsonl"
    path.write_bytes(rows(0, 3).rstrip(b"\n"))
    assert load(place, path).events == 3
    assert load(place, path).events == 0
    path.write_bytes(rows(0, 4))
    assert sources(place, load(place, path)) == [f"{path}:4"]


def test_tables_are_known_as_a_whole_and_grown_ones_by_their_rows(tmp_path, place):
    path = tmp_path / "t.csv"
    row = s.gateway_row(logging_error_codes="[]", client_request_id="")
    head = ",".join(row)

    def cells(n):
        said = {**row, "databricks_request_id": f"d{n}"}
        return ",".join('"' + str(one).replace('"', '""') + '"' for one in said.values())

    path.write_text("\n".join([head, *(cells(n) for n in range(3))]) + "\n")
    assert load(place, path).events == 3
    assert load(place, path).events == 0
    path.write_text("\n".join([head, *(cells(n) for n in range(5))]) + "\n")
    assert load(place, path).events == 2
    assert len({event.source for event in events(place)}) == 5


def test_after_an_interruption_the_rest_is_added_and_nothing_doubles(tmp_path, place, monkeypatch):
    path = tmp_path / "f.jsonl"
    path.write_bytes(rows(0, 600))
    keep = importing._Keeping.__call__
    calls = []

    def stopping(self, made):
        keep(self, made)
        calls.append(len(made))
        if len(calls) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(importing._Keeping, "__call__", stopping)
    with pytest.raises(KeyboardInterrupt):
        load(place, path)
    monkeypatch.setattr(importing._Keeping, "__call__", keep)
    before = len(events(place))
    assert 0 < before < 600
    found = load(place, path)
    assert found.events == 600 - before
    sources = [event.source for event in events(place)]
    assert len(sources) == len(set(sources)) == 600
    assert load(place, path).events == 0


def test_what_is_gone_from_the_telemetry_is_not_known(tmp_path, place):
    import shutil

    path = tmp_path / "f.jsonl"
    path.write_bytes(rows(0, 5))
    load(place, path)
    shutil.rmtree(place.folder / "telemetry")
    assert load(place, path).events == 5


@pytest.mark.parametrize("cut", ["gzip", "schema", "sample", "unread", "empty", "alien"])
def test_what_is_missing_gives_exit_code_3_and_stands_on_record(tmp_path, place, cut):
    path = tmp_path / "f.jsonl"
    body = {
        "gzip": gzip.compress(os.urandom(10) * 0 + rows(0, 500))[:-20],
        "schema": rows(0, 5) + b'{"else": 1}\n' * 3 + rows(5, 9),
        "sample": rows(0, 10, sampling_fraction=0.1),
        "unread": rows(0, 5) + rows(5, 6, request="{}"),
        "empty": b"",
        "alien": b"what is this\n" * 4,
    }[cut]
    path.write_bytes(body)
    found = load(place, path)
    assert found.exit_code == 3
    missing = sum(e.lost for e in events(place, "gap", "bypassed"))
    assert missing == {"gzip": missing, "schema": 3, "sample": 90, "unread": 1}.get(cut, 0)
    assert (missing > 0) == (cut not in ("empty", "alien"))
    assert load(place, path).exit_code == 3  # and it stays so


def test_who_asked_can_be_mapped_or_stays_unknown(tmp_path, place):
    path = tmp_path / "f.jsonl"
    path.write_bytes(
        b"".join(s.line({"request": s.ASKED, "time": s.AT, "u": f"u{n}"}) + b"\n" for n in range(3))
    )
    found = load(place, path, kind="jsonl", fields=read_mapping(["principal=$.u", "model=m"]))
    assert (found.principals, found.unknown, found.models) == (3, 0, ("m",))
    other = tmp_path / "g.jsonl"
    other.write_bytes(path.read_bytes()[1:].replace(b'"request"', b'{"n":1,"request"', 1))
    found = load(place, other, kind="jsonl")
    assert (found.principals, found.unknown) == (1, 3)


def test_a_file_without_times_has_its_own(tmp_path, place):
    path = tmp_path / "a.jsonl"
    path.write_bytes(s.kserve_stored() + b"\n" + s.kserve_stored(s.RESPONSE, s.GIVEN) + b"\n")
    os.utime(path, (1_793_600_000, 1_793_600_000))
    found = load(place, path, kind="kserve")
    assert (found.began, found.exit_code) == (1_793_600_000_000_000, 0)
    assert [count.reason for count in found.counts] == [
        "a line without a time; the line before it, or the file, stands in"
    ]


def test_wrong_words_are_usage_errors(tmp_path, place):
    path = tmp_path / "f.jsonl"
    path.write_bytes(rows(0, 1))
    with pytest.raises(UsageError, match="no entry 'kserv'") as error:
        load(place, path, kind="kserv")
    assert "kserve" in error.value.hint
    with pytest.raises(UsageError, match="does not exist"):
        load(place, tmp_path / "none")


def test_another_process_reads_and_the_events_are_the_same(tmp_path, place, monkeypatch):
    path = tmp_path / "f.jsonl"
    path.write_bytes(rows(0, 300) + b"broken\n" + rows(300, 400))
    monkeypatch.setattr(read_ahead, "LARGE", 1)
    seen = []
    found = load(place, path, progress=lambda *said: seen.append(said))
    assert (found.events, found.exit_code) == (400, 3)
    assert seen[-1][1] == seen[-1][2] == path.stat().st_size // 1000
    twice = {json.dumps([e.at, e.source, e.input_digest]) for e in events(place, "inference")}
    assert len(twice) == 400


def test_a_reading_process_that_dies_ends_the_import_with_an_error(monkeypatch):
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=os._exit, args=(9,))
    process.start()
    found = context.Queue()
    with pytest.raises(StoreError, match="ended early"):
        read_ahead._next(found, process)
    process.join()


def test_errors_of_the_reading_process_arrive(tmp_path, place, monkeypatch):
    path = tmp_path / "f.jsonl"
    path.write_bytes(rows(0, 1))
    monkeypatch.setattr(read_ahead, "LARGE", 1)
    with pytest.raises(UsageError, match="no entry"):
        load(place, path, kind="nothing-like-it")
