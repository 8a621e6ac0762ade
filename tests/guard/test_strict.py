import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from casemate.errors import FormatError
from casemate.guard.strict import refuse_doubles

DOUBLE = [
    b'{"inputs": 1, "inputs": 2}',
    b'{"a": {"x": 1, "x": 2}}',
    b'[{"a": 1}, {"a": 1, "b": [{"c": 1, "c" : 2}]}]',
    b'{"a": 1, "\\u0061": 2}',
    b'{"\\u0061": 1, "a": 2}',
    b'{"a\\"": 1, "a\\"": 2}',
    b'{"a": 1, "b": [1, 2, 3], "a"\n\t : 2}',
    b'{"a": ' + b"[1]," * 0 + b"[" + b"0," * 5000 + b'0], "a": 1}',
    b'{"k": 1' + b"".join(b', "k%d": {"x": %d}' % (i, i) for i in range(200)) + b', "k7": 2}',
]
SINGLE = [
    b'{"a": "a", "b": "a"}',
    b'[{"a": 1}, {"a": 2}]',
    b'{"a": {"a": {"a": 1}}}',
    b'{"a": "x: y", "b": "{", "c": "}", "d": "\\"a\\":"}',
    b'{"a": "}", "b": {"a": 1}}',
    b"[1, 2, 3]",
    b"",
    b"not json",
    b'"',
    b'{"a": 1, "a',
]


@pytest.mark.parametrize("body", DOUBLE, ids=range(len(DOUBLE)))
def test_a_member_named_twice_is_refused(body):
    with pytest.raises(FormatError, match="twice"):
        refuse_doubles(body)


@pytest.mark.parametrize("body", SINGLE, ids=range(len(SINGLE)))
def test_everything_else_is_left_to_the_decoder(body):
    refuse_doubles(body)


def test_deep_nesting_is_an_error_and_no_crash():
    refuse_doubles(b"[" * 100_000)
    with pytest.raises(FormatError):
        refuse_doubles(b'{"a":' * 100_000 + b'"\\n"')


names = st.sampled_from(["a", "b", "a:", "{", "}", '"', "\\", "é", ""])
values = st.recursive(
    st.one_of(st.integers(0, 9), st.none(), names),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.lists(st.tuples(names, inner), max_size=4).map(tuple)
    ),
    max_leaves=12,
)


def written(value):
    if isinstance(value, tuple):
        return "{" + ", ".join(f"{json.dumps(k)}: {written(v)}" for k, v in value) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(written, value)) + "]"
    return json.dumps(value)


def doubled(value):
    if isinstance(value, tuple):
        keys = [key for key, _ in value]
        return len(set(keys)) != len(keys) or any(doubled(one) for _, one in value)
    return isinstance(value, list) and any(map(doubled, value))


@given(values)
def test_the_quick_way_and_a_real_parser_agree(value):
    body = written(value).encode()
    if doubled(value):
        with pytest.raises(FormatError):
            refuse_doubles(body)
    else:
        refuse_doubles(body)
