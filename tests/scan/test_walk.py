"""The walk knows no format: a reader and an entry are enough to add one."""

import pytest

from casemate.catalog.entries import Format
from casemate.errors import FormatError
from casemate.formats import recognise as recognition
from casemate.formats.budget import DEPTH, Budget
from casemate.formats.recognise import Known, _magic
from casemate.formats.seen import Part, Span
from casemate.formats.source import BytesSource
from casemate.records.target import Target
from casemate.scan.walk import Walk
from tests.corpus.inert import PROTOCOL_4

MAGIC = b"CASE"


def read_case(source, budget):
    """Read the made-up format: a magic, a length, a part, and data to the end."""
    length = source.read(4, 1)[0]
    yield Span(0, 5, "scanned")
    if length == 255:
        raise FormatError("there is no such length", offset=4)
    covered = yield Part("inner", source.sub(5, length, "inner"), 5, 5 + length)
    assert covered is not None
    yield Span(5 + length, source.size, "data")


@pytest.fixture
def new_format(monkeypatch):
    entry = Format(
        id="case",
        kind="formats",
        title="Made up",
        why="",
        misses="",
        executes="no",
        magic=(MAGIC.hex(),),
        entry="tests.scan.test_walk:read_case",
    )
    everything = (Known(entry, (_magic("case", MAGIC.hex()),)), *recognition.known())
    monkeypatch.setattr(recognition, "known", lambda: everything)


def walked(data):
    walk = Walk(Target(kind="artifact", uri="f"), Budget(len(data)), {})
    return walk, walk.read(BytesSource(data))


def test_a_new_format_is_recognised_read_and_walked_into(new_format):
    walk, coverage = walked(MAGIC + bytes([len(PROTOCOL_4)]) + PROTOCOL_4 + b"\xfe" * 7)
    assert walk.formats == ["case"]
    assert coverage == (5 + len(PROTOCOL_4), 7, 0)
    assert {(f.rule, f.location.member) for f in walk.findings.values()} == {
        ("pickle-runs-shell", "inner")
    }


def test_a_reader_that_gives_up_leaves_the_rest_refused(new_format):
    walk, coverage = walked(MAGIC + b"\xff" + bytes(10))
    assert coverage == (5, 0, 10)
    assert {f.rule for f in walk.findings.values()} == {"format-malformed"}
    assert walk.reasons


def test_parts_within_parts_end_at_a_depth(new_format):
    data = b""
    for _ in range(DEPTH + 3):
        data = MAGIC + bytes([len(data)]) + data
    walk, coverage = walked(data)
    assert "archive-too-deep" in {f.rule for f in walk.findings.values()}
    assert coverage.refused > 0
