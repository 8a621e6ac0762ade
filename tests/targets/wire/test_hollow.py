import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from casemate.errors import FormatError
from casemate.targets.wire import fused, oip
from casemate.targets.wire.hollow import PLACE, hollow, taken
from casemate.targets.wire.tensor import Message

pytestmark = pytest.mark.skipif(not fused.warm(), reason="numba is not installed")
VALUES = [round(i / 7, 4) for i in range(784)]


def body(*, before="", after="", data=None):
    data = json.dumps(VALUES) if data is None else data
    head = f'"name": "x", "shape": [1, 28, 28], "datatype": "FP32", "data": {data}'
    return f'{{{before}"inputs": [{{{head}}}]{after}}}'.encode()


def read(whole):
    """Read a question by way of its hollow body; None where there is none to be had."""
    parted = hollow(whole)
    if parted is None:
        return None
    return oip.hollow_tensors(oip.request_head(parted.body), parted.array)


def test_what_is_left_is_small_and_the_numbers_are_all_there():
    parted = hollow(body())
    assert parted is not None
    assert len(parted.body) < 120
    assert parted.array.tolist() == VALUES
    assert taken(oip.request_head(parted.body)[0].data)


@pytest.mark.parametrize(
    "whole",
    [
        body(),
        body(before='"id": "a [1, 2] } b", ', after=', "parameters": {"user": "u"}'),
        body(data=json.dumps(np.reshape(VALUES, (1, 28, 28)).tolist())),
        body(data="  [\n" + ",\t".join(map(str, VALUES)) + "\r\n]  "),
        body(data=json.dumps([int(7 * one) for one in VALUES])),
    ],
    ids=["plain", "around", "nested", "spaced", "whole-numbers"],
)
def test_it_reads_what_the_whole_body_says(whole):
    made, wanted = read(whole), oip.decode_request(Message(whole, oip.JSON))
    assert made is not None
    assert made.tensors[0].name == "x"
    assert made.tensors[0].array.dtype == wanted.tensors[0].array.dtype
    assert np.array_equal(made.tensors[0].array, wanted.tensors[0].array)


def test_a_list_that_is_text_is_not_taken_for_data():
    text = '"note": "' + json.dumps(VALUES) + '", '
    assert read(body(before=text, data="[1, 2]")) is None
    assert read(body(before=text.replace(" ", "  "))) is None


def test_a_list_that_is_skipped_is_not_taken_for_data():
    assert read(body(before='"extra": ' + json.dumps(VALUES) + ", ", data="[1]")) is None


def test_a_body_that_holds_the_place_already_is_read_with_care():
    assert hollow(body(before='"extra": ' + PLACE.decode() + ", ")) is None
    assert hollow(body(before='"extra": "' + PLACE.decode() + '", ')) is None


@pytest.mark.parametrize(
    "data",
    [
        json.dumps([*VALUES, [1]]),
        json.dumps(VALUES)[:-1] + ", NaN]",
        json.dumps(VALUES)[:-1] + ",]",
        json.dumps(VALUES) + "]",
        "[" + json.dumps(VALUES),
        "[" * 9 + json.dumps(VALUES) + "]" * 9,
    ],
    ids=["ragged", "nan", "comma", "closed-twice", "left-open", "deep"],
)
def test_what_is_no_list_of_plain_numbers_stays(data):
    assert hollow(body(data=data)) is None


def test_small_bodies_stay():
    assert hollow(body(data="[1, 2]")) is None


@settings(deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 255), st.booleans())
def test_hollow_and_whole_agree_after_any_change_of_a_byte(at, byte, drop):
    whole = bytearray(body(before='"id": "4", ', after=', "outputs": [{"name": "y"}]'))
    at %= len(whole)
    if drop:
        del whole[at:]
    else:
        whole[at] = byte
    given_body = bytes(whole)
    try:
        made = read(given_body)
    except FormatError:
        with pytest.raises(FormatError):
            oip.decode_request(Message(given_body, oip.JSON))
        return
    if made is not None:
        wanted = oip.decode_request(Message(given_body, oip.JSON))
        assert [(one.name, one.datatype) for one in made.tensors] == [
            (one.name, one.datatype) for one in wanted.tensors
        ]
        assert np.array_equal(made.tensors[0].array, wanted.tensors[0].array)
