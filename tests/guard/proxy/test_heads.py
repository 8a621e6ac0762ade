"""Requests that two parsers might read differently are refused, each for its own reason."""

# ruff: noqa: E501

import httptools
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from casemate.guard.proxy.heads import Refused, early, read_head
from casemate.guard.proxy.hygiene import TOUCHED, request_head
from tests.guard.proxy.smuggling import CORPUS, PLAIN


@pytest.mark.parametrize(("raw", "status", "counted"), CORPUS.values(), ids=CORPUS)
def test_each_trick_is_refused_for_its_reason(raw, status, counted):
    end = raw.find(b"\r\n\r\n") + 4
    if end == 3:
        found = early(raw)
    else:
        with pytest.raises(Refused) as refused:
            read_head(raw[:end])
        found = refused.value
    assert (found.status, found.counted) == (status, counted)


def test_an_ordinary_head_is_read_as_written():
    head = read_head(
        b"POST /v2/models/%C3%A9/infer?a=1?b HTTP/1.1\r\nHost: [::1]:8080\r\nX-User:  A\xe9 b\t \r\n"
        b"Accept: a\r\nAccept: b\r\nX_Own: 1\r\nContent-Length: 12\r\nEmpty:\r\n\r\n"
    )
    assert (head.method, head.path, head.query) == ("POST", "/v2/models/%C3%A9/infer", "a=1?b")
    assert head.headers[1] == ("x-user", "Aé b")
    assert head.fields[1] == (b"X-User", b"A\xe9 b")
    assert [value for name, value in head.headers if name == "accept"] == ["a", "b"]
    assert (head.length, head.keep, head.old, head.expects) == (12, True, False, False)
    assert head.headers[-1] == ("empty", "")


@pytest.mark.parametrize(
    ("version", "connection", "keep"),
    [
        (b"1.1", b"", True),
        (b"1.1", b"Connection: close\r\n", False),
        (b"1.1", b"Connection: Keep-Alive, Close\r\n", False),
        (b"1.1", b"Connection: keep-alive\r\nConnection: close\r\n", False),
        (
            b"1.1",
            b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: A\r\n",
            True,
        ),
        (b"1.0", b"", False),
        (b"1.0", b"Connection: keep-alive\r\n", False),
    ],
)
def test_whether_the_connection_stays(version, connection, keep):
    assert (
        read_head(b"GET / HTTP/" + version + b"\r\nHost: h\r\n" + connection + b"\r\n").keep is keep
    )


def sent(raw, body=b""):
    head = read_head(raw)
    return request_head(
        head, len(body), peer="192.0.2.1", scheme="https", host=b"up:80", prefix=b"/base"
    )


def test_fields_between_neighbours_do_not_cross():
    out = sent(
        b"POST /x HTTP/1.1\r\nHost: h\r\nTE: trailers\r\nKeep-Alive: 5\r\nUpgrade: h2c\r\n"
        b"Proxy-Authorization: b\r\nProxy-Connection: c\r\nTrailer: d\r\nExpect: 100-continue\r\n"
        b"Transfer-Encoding: chunked\r\nConnection: close\r\nX-Kept: 1\r\nx-kept: 2\r\n"
        b"X-Forwarded-For: 10.0.0.1\r\nX-Forwarded-For: 10.0.0.2\r\nX-Forwarded-Proto: http\r\n\r\n",
        b"12345",
    )
    assert out == (
        b"POST /base/x HTTP/1.1\r\nHost: h\r\nX-Kept: 1\r\nx-kept: 2\r\nX-Forwarded-Proto: http\r\n"
        b"Content-Length: 5\r\nX-Forwarded-For: 10.0.0.1, 10.0.0.2, 192.0.2.1\r\n\r\n"
    )


class Events:
    def __init__(self):
        self.fields = []
        self.complete = False

    def on_header(self, name, value):
        self.fields.append((name, value))

    def on_headers_complete(self):
        self.complete = True


FRAGMENTS = st.sampled_from(
    [
        b"GET / HTTP/1.1", b"POST /a HTTP/1.0", b"\r\n", b"\n", b"\r", b"\0", b" ", b"\t", b":", b"Host: h",
        b"Content-Length: 5", b"Content-Length: +5", b"content-length:5", b"Transfer-Encoding: chunked",
        b"Transfer-Encoding : chunked", b"Transfer-Encoding: xchunked", b"X: y", b"X_Y: z", b"\x0b",
        b"Connection: X", b"Connection: close", b"\xff", b"Content-Length: 5, 5", b"\r\n\r\n",
    ]
)  # fmt: skip


@settings(max_examples=500, deadline=None)
@given(st.lists(FRAGMENTS, max_size=14), st.booleans())
def test_what_we_accept_llhttp_reads_alike(parts, ends):
    """A second, independent strict parser finds the same fields in all that passes, and in what
    is sent on."""
    raw = b"".join(parts)
    if ends:
        raw = b"GET / HTTP/1.1\r\nHost: h\r\n" + raw + b"\r\n\r\n"
    end = raw.find(b"\r\n\r\n") + 4
    if end == 3:
        return
    try:
        head = read_head(raw[:end])
    except Refused:
        return
    for text, fields in ((raw[:end], head.fields), (sent(raw[:end]), None)):
        events = Events()
        parser = httptools.HttpRequestParser(events)
        parser.feed_data(text)
        assert events.complete
        if fields is not None:
            assert [(n, v.rstrip(b" \t")) for n, v in events.fields] == list(fields)
            same = [name for name, _ in head.headers if name not in TOUCHED]
        else:
            assert [
                n.decode().lower() for n, _ in events.fields if n.decode().lower() not in TOUCHED
            ] == same


def test_a_good_head_passes():
    assert read_head(PLAIN).method == "POST"
