import gzip
import tracemalloc
import zlib

import pytest

from casemate.errors import FormatError, LimitExceeded
from casemate.guard.bodies import plain

DATA = b'{"instances": [[1, 2]]}' * 20


def raw_deflate(data):
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("", DATA),
        ("identity", DATA),
        ("gzip", gzip.compress(DATA, mtime=0)),
        (" GZip ", gzip.compress(DATA, mtime=0)),
        ("x-gzip", gzip.compress(DATA, mtime=0)),
        ("deflate", zlib.compress(DATA)),
        ("deflate", raw_deflate(DATA)),
    ],
)
def test_unpacks(encoding, body):
    assert plain(body, encoding, 10_000) == DATA


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("br", DATA),
        ("gzip, gzip", gzip.compress(gzip.compress(DATA, mtime=0), mtime=0)),
        ("gzip", DATA),
        ("deflate", b"\xff" * 30),
        ("gzip", gzip.compress(DATA, mtime=0)[:-3]),
        ("gzip", gzip.compress(DATA, mtime=0) + gzip.compress(b"another member", mtime=0)),
        ("gzip", gzip.compress(DATA, mtime=0) + b"smuggled"),
        ("gzip", b""),
    ],
)
def test_what_may_be_read_in_two_ways_is_refused(encoding, body):
    with pytest.raises(FormatError):
        plain(body, encoding, 10_000)


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_bomb_costs_no_more_than_the_limit(encoding):
    packer = zlib.compressobj(9, wbits=31 if encoding == "gzip" else 15)
    bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(200)) + packer.flush()
    assert len(bomb) < 300_000
    tracemalloc.start()
    with pytest.raises(LimitExceeded):
        plain(bomb, encoding, 1 << 20)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 << 20


def test_a_plain_body_over_the_limit_is_refused():
    with pytest.raises(LimitExceeded):
        plain(b"x" * 101, "", 100)
