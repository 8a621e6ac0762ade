"""Folders, tables and documents: every record with its line, whatever it is packed in."""

import csv
import datetime as dt
import gzip
import io
import json

import pyarrow as pa
import pytest
from pyarrow import parquet

from casemate.errors import UsageError
from casemate.guard.logs import files
from casemate.guard.logs.tally import Tally
from tests.guard.logs import samples as s


def read(path, **more):
    tally = Tally()
    rows = [
        (row.number, json.loads(row.body)) for row in files.records(path, path.name, tally, **more)
    ]
    return rows, {count.reason: count.first for count in tally.counts}


def test_folders_are_walked_in_the_order_of_numbers(tmp_path):
    for name in ("b/10.jsonl", "b/9.jsonl", "a/x.jsonl", "_SUCCESS", ".hidden", "b/.part.crc"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("{}")
    found = [path.relative_to(tmp_path).as_posix() for path in files.find([tmp_path])]
    assert found == ["a/x.jsonl", "b/9.jsonl", "b/10.jsonl"]
    with pytest.raises(UsageError, match="does not exist"):
        files.find([tmp_path / "none"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="no file"):
        files.find([tmp_path / "empty"])


def test_a_parquet_table_is_rows_of_json(tmp_path):
    path = tmp_path / "t.parquet"
    at = dt.datetime(2026, 11, 2, 6, 15, 30, 125000, dt.UTC)
    table = pa.table(
        {
            "request_time": pa.array([at, None]),
            "bytes": pa.array([b"\x00\xff", None]),
            "metadata": pa.array(
                [[("X-User", ["alice"])], None], pa.map_(pa.string(), pa.list_(pa.string()))
            ),
            "share": pa.array([float("nan"), 0.5]),
        }
    )
    parquet.write_table(table, path)
    rows, counts = read(path)
    assert counts == {}
    assert rows[0] == (
        1,
        {"request_time": "2026-11-02T06:15:30.125000Z", "bytes": "AP8=",
         "metadata": {"X-User": ["alice"]}, "share": None},
    )  # fmt: skip
    assert rows[1][1]["share"] == 0.5
    path.write_bytes(path.read_bytes()[:-20])
    assert read(path) == ([], {"the Parquet file is damaged or cut off": "t.parquet"})


def test_csv_rows_keep_their_lines_and_bad_ones_are_counted(tmp_path):
    path = tmp_path / "t.csv.gz"
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerows([["id", "request"], ["1", '{"a":\n1}'], ["2"], [], ["3", ""]])
    path.write_bytes(gzip.compress(out.getvalue().encode() + b'4,"cut off'))
    rows, counts = read(path)
    assert rows == [(2, {"id": "1", "request": '{"a":\n1}'}), (6, {"id": "3"})]
    assert counts == {
        "a CSV row with another number of cells than the header": "t.csv.gz:4",
        "a CSV row that cannot be read": "t.csv.gz:7",
    }


def test_a_file_of_one_pretty_object_and_one_of_an_array(tmp_path):
    tap = tmp_path / "tap_1.json"
    tap.write_text(json.dumps(s.envoy_tap(), indent=1))
    assert read(tap) == ([(1, s.envoy_tap())], {})
    stored = tmp_path / "a-request.json"
    both = [json.loads(s.kserve_stored()), json.loads(s.kserve_stored(s.RESPONSE, s.GIVEN))]
    stored.write_text(json.dumps(both))
    assert [record for _, record in read(stored)[0]] == both


def test_reading_goes_on_where_it_stopped(tmp_path):
    path = tmp_path / "f.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"a":1}\n{"b":2}\n{"c":3}\n'))
    taken = []
    assert read(path, number=1, end=8, read=taken.append)[0] == [(2, {"b": 2}), (3, {"c": 3})]
    assert sum(taken) == path.stat().st_size


def test_files_that_are_empty_broken_or_unreadable_are_counted(tmp_path):
    empty = tmp_path / "empty.jsonl"
    empty.write_bytes(b"")
    assert read(empty) == ([], {})
    broken = tmp_path / "broken.gz"
    broken.write_bytes(b"\x1f\x8bnot a gzip file at all, only its first two bytes")
    assert read(broken)[1] == {"the gzip file is damaged": "broken.gz:1"}
    assert "a file that cannot be read" in str(read(tmp_path)[1])
