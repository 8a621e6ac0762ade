"""A message is read only when it is whole, of its topic, and sealed with our key."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from casemate.errors import FormatError
from casemate.store.streams.frame import pack, unpack

KEY = b"k" * 32


@given(st.binary(max_size=300), st.one_of(st.none(), st.binary(min_size=1, max_size=64)))
def test_what_was_packed_comes_back(body, key):
    assert unpack("orders", pack("orders", body, key), key) == body


@pytest.mark.parametrize("place", [0, 8, 12, 40, 75, 76, 80, -1])
def test_a_changed_bit_is_seen(place):
    data = bytearray(pack("orders", b'[{"schema":"order/1"}]', KEY))
    data[place] ^= 1
    with pytest.raises(FormatError):
        unpack("orders", bytes(data), KEY)


def test_another_key_topic_or_no_seal_is_refused():
    data = pack("detections", b"[]", KEY)
    for topic, key in (("orders", KEY), ("detections", b"x" * 32), ("detections", None)):
        with pytest.raises(FormatError, match="seal"):
            unpack(topic, data, key)
    with pytest.raises(FormatError, match="seal"):
        unpack("orders", pack("orders", b"[]", None), KEY)


@given(st.binary(max_size=200))
def test_strangers_bytes_are_refused(data):
    with pytest.raises(FormatError):
        unpack("orders", data, KEY)


def test_a_message_beyond_any_size_of_ours_is_refused():
    with pytest.raises(FormatError, match="not ours"):
        unpack("events", pack("events", b" " * (17 * 1024 * 1024), KEY), KEY)
