"""An event, its row, its bytes and its place in a table are the same thing."""

import math
import typing

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from casemate.errors import StoreError
from casemate.records.event import Decision, Event, EventKind, Measures
from casemate.store.telemetry import columns
from casemate.store.telemetry.columns import (
    COLUMNS,
    event,
    following,
    pack,
    pack_row,
    row,
    rows,
    schema,
    table,
    unpack,
)
from casemate.store.telemetry.journals import WriterJournal, with_gaps
from casemate.store.telemetry.segment import SegmentWriter, file_digest, read_payloads, read_rows
from tests.store.telemetry.samples import events

text = st.text(max_size=12)
some = st.integers(-(2**63), 2**63 - 1)
unsigned = st.integers(0, 2**64 - 1)
real = st.floats(width=64)
maybe = st.none() | text
measures = st.builds(
    Measures,
    marks=st.lists(unsigned, max_size=4).map(tuple),
    near=st.none() | real,
    near_to=maybe,
    near_same=st.none() | st.booleans(),
    cluster=st.none() | unsigned,
    delta=st.sampled_from([None, 0.0, -0.0, math.nan, math.inf, 5e-324]),
    asked=st.none() | some,
    label_name=maybe,
    signs=st.lists(text, max_size=3).map(tuple),
)
made = st.builds(
    Event,
    writer=text,
    sequence=some,
    at=some,
    kind=st.sampled_from(typing.get_args(EventKind)),
    principal=text,
    decision=st.sampled_from(typing.get_args(Decision)),
    session=maybe,
    measures=measures,
    components=st.lists(text, max_size=2).map(tuple),
    enforced=st.booleans(),
    trained=st.none() | some,
    note=maybe,
)


@settings(max_examples=60, deadline=None)
@given(st.lists(made, min_size=1, max_size=6))
def test_every_form_says_the_same(sent):
    packed = [pack(one) for one in sent]
    back = [unpack(one) for one in packed]
    assert [pack_row(one) for one in back] == packed
    tabled = list(rows(table(back)))
    assert [pack_row(one) for one in tabled] == packed  # bit for bit, signs of zeros and all
    assert [pack(event(one)) for one in tabled] == packed


@settings(max_examples=10, deadline=None)
@given(st.lists(made, min_size=1, max_size=20))
def test_a_segment_keeps_the_bytes_that_were_hashed(tmp_path_factory, sent):
    path = tmp_path_factory.mktemp("segment") / "x.parquet"
    writer = SegmentWriter(path)
    writer.add([row(one) for one in sent])
    size, digest, _ = writer.close()
    assert (size, digest) == file_digest(path)
    assert read_payloads(path) == (COLUMNS, [pack(one) for one in sent])


def test_rows_of_an_older_form_are_read_with_defaults(tmp_path):
    import pyarrow.parquet as pq

    older = [name for name in COLUMNS if name not in ("bits", "source", "decision")]
    sent = events(5)
    values = [[v for n, v in zip(COLUMNS, row(one), strict=True) if n in older] for one in sent]
    wanted = [
        msgspec.structs.replace(one, measures=msgspec.structs.replace(one.measures, bits=None))
        for one in sent
    ]
    payloads = [msgspec.msgpack.encode(one) for one in values]
    assert [event(unpack(one, older)) for one in payloads] == wanted
    path = tmp_path / "older.parquet"
    pq.write_table(table([row(one) for one in sent]).select(older), path)
    assert [event(one) for one in read_rows(path)] == wanted
    assert read_payloads(path) == (tuple(older), payloads)


@pytest.mark.parametrize(
    "payload",
    [b"", b"\xc0", b"\x90", b"\xdc\xff\xff", b"\xa1\xff", msgspec.msgpack.encode([1] * 53)],
)
def test_what_is_no_row_is_refused(payload):
    with pytest.raises(StoreError, match="not a row"):
        unpack(payload)
    with pytest.raises(StoreError, match="not a row"):
        unpack(payload, ("writer", "unheard-of"))


def test_numpy_scalars_are_numbers():
    import numpy as np

    sent = events(1)[0]
    measured = msgspec.structs.replace(sent.measures, near=np.float32(0.5), label=np.int64(3))
    back = event(unpack(pack(msgspec.structs.replace(sent, measures=measured))))
    assert (back.measures.near, back.measures.label) == (0.5, 3)


def test_a_gap_stands_for_as_many_rows_as_it_says(tmp_path):
    gap = Event(writer="w", sequence=7, at=0, kind="gap", lost=5, rows=5)
    assert following(row(gap)) == 12
    assert following(row(msgspec.structs.replace(gap, rows=1))) == 8
    journal = WriterJournal(tmp_path, "w")
    sent = [row(one) for one in (*events(3), gap, *events(2, first=12), *events(1, first=20))]
    found = [event(one) for one in with_gaps(journal, sent, 0)]
    assert [(e.sequence, e.kind, e.rows) for e in found] == [
        (0, "inference", 1), (1, "inference", 1), (2, "inference", 1), (3, "gap", 4),
        (7, "gap", 5), (12, "inference", 1), (13, "inference", 1), (14, "gap", 6),
        (20, "inference", 1),
    ]  # fmt: skip


def test_the_form_changes_with_the_columns():
    assert columns.form() == columns.form(tuple(schema().names))
    assert columns.form() != columns.form(COLUMNS[:-1])
    assert len(columns.form()) == 16
