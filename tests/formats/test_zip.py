"""Zip archives as zipfile writes them are read without complaint; tricks are read both ways."""

import io
import random
import zipfile

import pytest

from casemate.formats.budget import Budget
from casemate.formats.seen import Coverage, Part, Span, Trouble
from casemate.formats.source import BytesSource
from casemate.formats.zip import read
from casemate.formats.zip_directory import endings, is_zip, names
from tests.corpus.zips import Member, zipped

METHODS = [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
NOISE = random.Random(3).randbytes(70_000)


def walk(data):
    """Return members with their bytes, and troubles, as the reader says them."""
    source = BytesSource(data, "zip")
    reading, reply = read(source, Budget(len(data))), None
    members, troubles, spans = [], [], []
    while True:
        try:
            seen = reading.send(reply)
        except StopIteration:
            return members, troubles, spans
        reply = None
        if isinstance(seen, Part):
            body = seen.source.read(0, seen.source.size)
            members.append((seen.name, body))
            spans.append(Span(seen.start, seen.end, "scanned"))
            reply = Coverage(len(body), 0, 0)
        elif isinstance(seen, Trouble):
            troubles.append(seen.rule)
        elif isinstance(seen, Span):
            spans.append(seen)


def by_zipfile(method, contents, *, stream=False, zip64=False):
    out = io.BytesIO()
    sink = out
    if stream:
        sink = io.BufferedWriter(_Pipe(out))
    with zipfile.ZipFile(sink, "w", method) as archive:
        for name, data in contents:
            with archive.open(name, "w", force_zip64=zip64) as member:
                member.write(data)
    if stream:
        sink.flush()
    return out.getvalue()


class _Pipe(io.RawIOBase):
    """A file that cannot seek, so that zipfile writes data descriptors."""

    def __init__(self, inner):
        self.inner = inner

    def writable(self):
        return True

    def write(self, data):
        return self.inner.write(data)


CONTENTS = [("a.txt", b"hello"), ("d/b.bin", NOISE), ("empty", b""), ("ü.txt", b"x" * 5000)]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "how", [{}, {"stream": True}, {"zip64": True}, {"stream": True, "zip64": True}]
)
def test_ordinary_archives(method, how):
    data = by_zipfile(method, CONTENTS, **how)
    members, troubles, spans = walk(data)
    assert troubles == []
    assert [pair for pair in members if pair[1]] == [pair for pair in CONTENTS if pair[1]]
    covered = set()
    for span in spans:
        covered |= set(range(span.start, min(span.end, len(data))))
    assert covered == set(range(len(data)))
    assert names(BytesSource(data)) == tuple(name for name, _ in CONTENTS)


def test_empty_archive():
    assert walk(zipped()) == ([], [], [Span(0, 22, "scanned")])


def test_offsets_that_count_what_stands_before():
    data = zipped(Member("a", b"inside"), before=b"#!x\n")
    assert walk(data)[:2] == ([("a", b"inside"), ("bytes before members", b"#!x\n")], [])


def test_a_lying_local_header_gets_both_readings():
    data = zipped(Member("a", b"plain", local={"size": 3, "compressed": 3}))
    members, troubles, _ = walk(data)
    assert ("a", b"plain") in members
    assert ("a", b"pla") in members
    assert troubles == ["zip-readers-disagree", "zip-wrong-checksum"]


def test_encryption_flag_on_plain_data_hides_nothing():
    members, troubles, _ = walk(zipped(Member("a", b"plain", central={"flags": 1})))
    assert members == [("a", b"plain")]
    assert troubles == ["zip-readers-disagree"]


def test_an_archive_without_a_directory_is_read_by_its_local_headers():
    data = zipped(Member("a", b"one"), Member("b", b"two", deflate=True))
    members, troubles, _ = walk(data[: data.find(b"PK\x01\x02")])
    assert members == [("a", b"one"), ("b", b"two")]
    assert "format-malformed" in troubles


def test_members_behind_a_first_directory_are_seen():
    first, second = zipped(Member("a", b"one")), zipped(Member("b", b"two"))
    members, troubles, _ = walk(first + second)
    assert ("b", b"two") in members
    assert any(b"one" in body for _, body in members)
    assert troubles


def test_end_records_in_a_comment_are_found():
    data = zipped(Member("a", b"x"), comment=zipped())
    assert len(endings(BytesSource(data))) == 2


@pytest.mark.parametrize(
    "data", [b"", b"PK", b"PK\x05\x06", b"text PK\x05\x06 more" * 9, bytes(400)]
)
def test_other_bytes_are_no_archive(data):
    assert not is_zip(BytesSource(data))
