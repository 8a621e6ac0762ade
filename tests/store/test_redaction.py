"""What must never be kept is gone from every form a body can have, or nothing of it is kept."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from casemate.store.redaction import MARK, redact

SECRET = 987654321
COLUMNS = ("age", "income", "city")


def shown(value, fields=("income",), columns=()):
    found = redact(json.dumps(value).encode(), "application/json", fields, columns)
    return None if found is None else json.loads(found)


BODIES = {
    "records": {"dataframe_records": [{"age": 4, "income": SECRET, "city": "Ulm"}]},
    "split": {"dataframe_split": {"columns": ["age", "Income"], "data": [[4, SECRET], [5, 1]]}},
    "columnar": {"inputs": {"age": [4, 5], "income": [SECRET, 1]}},
    "tensor": {"inputs": [{"name": "income", "shape": [2], "data": [SECRET, 1]}]},
    "rows": {"instances": [{"age": 4, "income": {"net": SECRET}}]},
    "deep": {"a": [{"b": [{"INCOME": SECRET}]}]},
}  # fmt: skip


@pytest.mark.parametrize("name", BODIES)
def test_a_named_field_is_gone_and_the_rest_stays(name):
    found = shown(BODIES[name])
    assert str(SECRET) not in json.dumps(found)
    assert MARK in json.dumps(found)
    if name != "tensor" and name != "deep":
        assert "4" in json.dumps(found)


POSITIONAL = {
    "tf": {"instances": [[4, SECRET, "Ulm"], [5, SECRET, "Bonn"]]},
    "one": {"inputs": [4, SECRET, "Ulm"]},
    "oip": {"inputs": [{"name": "x", "shape": [2, 3], "data": [4, SECRET, 7, 5, SECRET, 8]}]},
    "oip-nested": {"inputs": [{"name": "x", "shape": [1, 3], "data": [[4, SECRET, 7]]}]},
    "bare": [[4, SECRET, "Ulm"]],
    "matrix": {"anything": [[4, SECRET, 1]]},
}


@pytest.mark.parametrize("name", POSITIONAL)
def test_columns_by_position_need_their_names(name):
    found = shown(POSITIONAL[name], columns=COLUMNS)
    assert str(SECRET) not in json.dumps(found)
    assert "4" in json.dumps(found)
    assert shown(POSITIONAL[name]) is None
    assert shown(POSITIONAL[name], columns=COLUMNS[:2]) is None


def test_a_path_reaches_one_member_and_not_its_namesakes():
    body = {"parameters": {"user": "eve"}, "user": "kept", "x": {"parameters": {"user": "eve"}}}
    found = shown(body, fields=("parameters.user",))
    assert found["user"] == "kept"
    assert "eve" not in json.dumps(found)


def test_chat_can_be_kept_without_its_words():
    body = {"model": "m", "messages": [{"role": "user", "content": "my secret"}]}
    assert shown(body, fields=("content",))["messages"] == [{"role": "user", "content": MARK}]


def test_tables_in_csv():
    def csv(text, columns=()):
        found = redact(text.encode(), "text/csv; charset=utf-8", ("income",), columns)
        return None if found is None else found.decode()

    assert csv("age,Income\n4,7\n5,8\n") == f"age,Income\n4,{MARK}\n5,{MARK}\n"
    assert csv("4,7,Ulm\n", COLUMNS) == f"4,{MARK},Ulm\n"
    assert csv("age,income,city\n4,7,Ulm\n", COLUMNS) == f"age,income,city\n4,{MARK},Ulm\n"
    assert csv("red,income,blue\n", COLUMNS) == f"red,{MARK},blue\n"
    assert csv("4,7\n") is None
    assert csv("red,blue\n") is None
    assert csv('age,income\n"4,7\n') is None
    assert csv("age,income\n4,7,9\n") is None


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"\x08\x96", "application/x-protobuf"),
        (b"{broken", "application/json"),
        (b"\xff\xfe", "text/csv"),
        (b"[" * 100_000, "application/json"),
        (b'{"a":' * 5000 + b"1" + b"}" * 5000, "application/json"),
        (b"{}", "application/octet-stream"),
        (b"\x1f\x8b\x08", "application/json"),
    ],
)
def test_what_cannot_be_read_is_not_kept(body, kind):
    assert redact(body, kind, ("income",)) is None


def test_with_nothing_to_redact_a_body_stays_byte_for_byte():
    assert redact(b"\x00 anything", "x/y", ()) == b"\x00 anything"


names = st.sampled_from(
    ["age", "income", "INCOME", "data", "columns", "name", "shape", "instances"]
)
values = st.recursive(
    st.none() | st.integers(0, 9) | st.text(alphabet="xyz", max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=80, deadline=None)
@given(values, values)
def test_wherever_a_named_member_stands_its_value_is_gone(around, secret):
    body = {"deep": [around, {"income": [secret, SECRET]}]}
    found = redact(json.dumps(body).encode(), "application/json", ("income",), COLUMNS)
    assert found is None or str(SECRET).encode() not in found
