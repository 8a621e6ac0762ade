"""Canonical JSON is byte for byte what RFC 8785 and every ECMAScript engine write."""

import json
import random
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from casemate.export.canonical import canonical

# RFC 8785, appendix B.
NUMBERS = {
    "0000000000000000": "0",
    "8000000000000000": "0",
    "0000000000000001": "5e-324",
    "8000000000000001": "-5e-324",
    "7fefffffffffffff": "1.7976931348623157e+308",
    "ffefffffffffffff": "-1.7976931348623157e+308",
    "4340000000000000": "9007199254740992",
    "c340000000000000": "-9007199254740992",
    "4430000000000000": "295147905179352830000",
    "44b52d02c7e14af5": "9.999999999999997e+22",
    "44b52d02c7e14af6": "1e+23",
    "44b52d02c7e14af7": "1.0000000000000001e+23",
    "444b1ae4d6e2ef4e": "999999999999999700000",
    "444b1ae4d6e2ef4f": "999999999999999900000",
    "444b1ae4d6e2ef50": "1e+21",
    "3eb0c6f7a0b5ed8c": "9.999999999999997e-7",
    "3eb0c6f7a0b5ed8d": "0.000001",
    "41b3de4355555553": "333333333.3333332",
    "41b3de4355555557": "333333333.33333343",
    "becbf647612f3696": "-0.0000033333333333333333",
    "43143ff3c1cb0959": "1424953923781206.2",
}


def double(digits):
    return struct.unpack(">d", bytes.fromhex(digits))[0]


@pytest.mark.parametrize("digits", NUMBERS)
def test_numbers_of_the_specification(digits):
    assert canonical(double(digits)).decode() == NUMBERS[digits]


def test_keys_and_strings_of_the_specification():
    value = {"\u20ac": 1, "\r": 2, "1": 3, "\U0001f600": 4, "\u0080": 5, "\u00f6": 6, "\ufb33": 7}
    assert canonical(value).decode() == (
        '{"\\r":2,"1":3,"\u0080":5,"\u00f6":6,"\u20ac":1,"\U0001f600":4,"\ufb33":7}'
    )
    text = '\u20ac$\u000f\u000aA\'B"\\\\"/'
    assert canonical(text).decode() == '"\u20ac$\\u000f\\nA\'B\\"\\\\\\\\\\"/"'
    assert canonical([True, False, None, [], {}]) == b"[true,false,null,[],{}]"


def _node():
    try:
        import playwright
    except ImportError:
        return None
    path = Path(playwright.__file__).parent / "driver" / "node"
    return path if path.is_file() else None


@pytest.mark.skipif(_node() is None, reason="no ECMAScript engine here")
def test_numbers_are_those_of_an_engine():
    draw = random.Random(8785)
    values = [struct.unpack(">d", draw.randbytes(8))[0] for _ in range(20_000)]
    values += [
        round(draw.uniform(-1, 1) * 10 ** draw.randint(-9, 23), draw.randint(0, 9))
        for _ in range(20_000)
    ]
    values = [one for one in values if one - one == 0]
    script = "console.log(JSON.stringify(JSON.parse(require('fs').readFileSync(0)).map(String)))"
    done = subprocess.run(
        [_node(), "-e", script], input=json.dumps(values), capture_output=True, text=True
    )
    theirs = json.loads(done.stdout)
    assert [canonical(one).decode() for one in values] == theirs


LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)


@settings(max_examples=60, deadline=None)
@given(
    st.recursive(
        LEAVES,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=8,
    )
)
def test_it_means_the_same_and_has_one_form(value):
    data = canonical(value)
    assert json.loads(data, parse_int=float) == json.loads(json.dumps(value), parse_int=float)
    assert canonical(json.loads(data)) == data


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 2**53 + 1, {1, 2}, "\ud800", b"x"])
def test_what_has_no_canonical_form_is_refused(value):
    with pytest.raises(ValueError):  # noqa: PT011 - each has words of its own
        canonical(value)
