"""Bodies: gathered in any cut of the stream, refused over the limit and when malformed."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from casemate.guard.proxy.bodies import Chunked, Counted, body_of
from casemate.guard.proxy.heads import Refused, read_head
from tests.guard.proxy.smuggling import BODIES

HEAD = b"POST / HTTP/1.1\r\nHost: h\r\n"


def feed(body, data, cuts):
    points = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
    rest = None
    for start, end in pairwise(points):
        assert rest is None
        rest = body.feed(data[start:end])
    return rest


@given(st.binary(min_size=1, max_size=300), st.binary(max_size=20), st.lists(st.integers(0, 300)))
def test_a_counted_body_in_any_pieces(data, behind, cuts):
    body = Counted(len(data))
    rest = feed(body, data, cuts)
    if rest is None:
        rest = body.feed(b"")
    assert (body.whole(), rest) == (data, b"")
    together = Counted(len(data))
    assert together.feed(data + behind) == behind
    assert together.whole() == data


@given(st.lists(st.binary(min_size=1, max_size=50)), st.lists(st.integers(0, 900)))
def test_a_chunked_body_in_any_pieces(chunks, cuts):
    raw = b"".join(b"%x;a=b\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
    body = Chunked(limit=100_000)
    assert feed(body, raw, cuts) == b""
    assert body.whole() == b"".join(chunks)
    assert not body.ahead


@pytest.mark.parametrize(("raw", "status", "counted"), BODIES.values(), ids=BODIES)
@pytest.mark.parametrize("step", [1, 10**9])
def test_malformed_bodies_are_refused(raw, status, counted, step):
    head, _, data = raw.partition(b"\r\n\r\n")

    def read():
        body = body_of(read_head(head + b"\r\n\r\n"), 64 << 20)
        for start in range(0, len(data), step):
            body.feed(data[start : start + step])

    with pytest.raises(Refused) as refused:
        read()
    assert (refused.value.status, refused.value.counted) == (status, counted)


def test_the_limit_holds_for_both_kinds():
    with pytest.raises(Refused, match="too large"):
        body_of(read_head(HEAD + b"Content-Length: 11\r\n\r\n"), 10)
    assert isinstance(body_of(read_head(HEAD + b"Content-Length: 10\r\n\r\n"), 10), Counted)
    body = body_of(read_head(HEAD + b"Transfer-Encoding: chunked\r\n\r\n"), 10)
    assert body.feed(b"a\r\n0123456789\r\n") is None
    with pytest.raises(Refused, match="too large"):
        body.feed(b"1\r\nx\r\n0\r\n\r\n")
    assert body_of(read_head(HEAD + b"Content-Length: 0\r\n\r\n"), 10) is None


def test_tiny_chunks_do_not_cost_more_memory_than_their_bytes():
    import tracemalloc

    raw = b"2\r\nab\r\n" * 200_000
    tracemalloc.start()
    body = Chunked(limit=1 << 20)
    body.feed(raw)
    peak = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert peak < 2_000_000
