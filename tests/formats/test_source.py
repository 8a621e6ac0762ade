"""Sources: any range of any kind of bytes, never more than there is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from casemate.formats.source import CHUNK, BytesSource, FileSource, Spool

DATA = bytes(range(256)) * 100


@pytest.fixture(params=["bytes", "file", "spool", "view"])
def source(request, tmp_path):
    if request.param == "bytes":
        made = BytesSource(DATA)
    elif request.param == "file":
        path = tmp_path / "f"
        path.write_bytes(DATA)
        made = FileSource.open(path)
    elif request.param == "spool":
        made = Spool("s")
        for at in range(0, len(DATA), 777):
            made.write(DATA[at : at + 777])
    else:
        made = BytesSource(b"xx" + DATA + b"yy").sub(1, len(DATA) + 2, "a").sub(1, len(DATA), "b")
    with made:
        yield made


@pytest.mark.parametrize(
    ("offset", "n"), [(0, 10), (255, 2), (0, len(DATA)), (len(DATA) - 3, 10), (9000, 9000)]
)
def test_reads_what_is_there(source, offset, n):
    assert source.size == len(DATA)
    assert source.read(offset, n) == DATA[offset : offset + n]


@pytest.mark.parametrize(("offset", "n"), [(len(DATA), 1), (-1, 5), (5, 0), (5, -5), (1 << 80, 1)])
def test_reads_nothing_outside(source, offset, n):
    assert source.read(offset, n) == b""


def test_chunks_join_to_the_whole(source):
    assert b"".join(source.chunks(step=1000)) == DATA
    assert b"".join(source.chunks(5, 77)) == DATA[5:77]


def test_find_sees_across_chunks():
    data = bytes(CHUNK - 3) + b"needle" + bytes(CHUNK) + b"needle" + bytes(9)
    source = BytesSource(data)
    first, last = data.find(b"needle"), data.rfind(b"needle")
    assert source.find(b"needle") == first
    assert source.rfind(b"needle") == last
    assert source.find(b"needle", first + 1) == last
    assert source.find(b"needle", 0, first + 5) == -1
    assert source.rfind(b"needle", first + 1, last + 5) == -1
    assert source.find(b"absent") == source.rfind(b"absent") == -1


@given(st.binary(max_size=60), st.integers(-5, 70), st.integers(-5, 70), st.integers(-5, 70))
def test_a_view_is_a_slice(data, offset, size, n):
    view = BytesSource(data).sub(offset, size, "v")
    low = min(max(offset, 0), len(data))
    want = data[low : low + max(size, 0)]
    assert view.size == len(want)
    assert view.read(0, n) == want[: max(n, 0)]


def test_a_file_that_shrinks_gives_short_reads(tmp_path):
    path = tmp_path / "f"
    path.write_bytes(DATA)
    with FileSource.open(path) as source:
        path.write_bytes(DATA[:100])
        assert source.size == len(DATA)
        assert source.read(90, 20) == DATA[90:100]
        assert source.read(5000, 20) == b""
