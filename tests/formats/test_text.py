"""Text is text to the last byte."""

import pytest

from casemate.formats.source import CHUNK, BytesSource
from casemate.formats.text import is_text, is_zeros


@pytest.mark.parametrize(
    "data",
    [
        b"plain\n",
        b"\xef\xbb\xbfwith a mark",
        "naïve café".encode(),
        "naïve café and so on".encode("latin-1"),
        "\ufeffwide é".encode("utf-16-le"),
        "\ufeffwide é".encode("utf-16-be"),
        b"tab\tform\fescape\x1b[0m",
        b"a" * (CHUNK - 1) + "é".encode() * 3,
        b"a" * (CHUNK + 5) + b"\n",
    ],
)
def test_text(data):
    assert is_text(BytesSource(data))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"nul\0",
        b"a" * (2 * CHUNK) + b"\0",
        bytes(range(128, 256)) * 4,
        "\ufeffwide\0".encode("utf-16-le"),
        b"\xff\xfe\x00",
        b"bell\x07",
    ],
)
def test_not_text(data):
    assert not is_text(BytesSource(data))


def test_zeros():
    assert is_zeros(BytesSource(bytes(CHUNK + 7)))
    assert not is_zeros(BytesSource(bytes(CHUNK) + b"\x01"))
    assert not is_zeros(BytesSource(b""))
