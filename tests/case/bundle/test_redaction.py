"""Redaction of each form: the field's values go wherever they stand, the rest stays as it was."""

import json

import pytest

from casemate.case.bundle.forms import UnreadableError, form_of
from casemate.case.bundle.piece import Piece
from casemate.case.bundle.redaction import Redactor, read_fields
from casemate.errors import UsageError


def piece(name, data, kind="artifact"):
    return Piece(name=name, kind=kind, producer="artifact", data=data)


def redacted(tmp_path, data, fields, name="items/a.json", kind="artifact", others=()):
    redactor = Redactor(*read_fields(fields))
    one = piece(name, data, kind)
    for every in (one, *others):
        redactor.learn(every)
    changed = redactor.redact(one, tmp_path / "out")
    return changed, (tmp_path / "out").read_bytes(), redactor


@pytest.mark.parametrize(
    ("name", "data", "form"),
    [
        ("a.json", b'{"a": 1}', "json"),
        ("a", b" [1, 2]", "json"),
        ("a.jsonl", b'{"a": 1}\n{"a": 2}\n', "jsonl"),
        ("a.json", b'{\n"a": 1}\n', "json"),
        ("a.csv", b"a,b\n1,2\n", "csv"),
        ("a.md", "\u00fc".encode(), "text"),
        ("a.csv", b"\xff\xfea\0", "opaque"),
        ("a.bin", b"\x80\x02}", "opaque"),
        ("a.txt", b"a\0b", "opaque"),
        ("a.txt", b"", "text"),
        ("a.txt", b"x" * 65535 + "\u00fc".encode(), "text"),
        ("a.parquet", b"PAR1...", "parquet"),
    ],
)
def test_the_form_is_told_by_content_first(name, data, form):
    assert form_of(piece(name, data)) == form


def test_json_values_lists_and_what_is_within(tmp_path):
    body = {"user": {"first": "Carol", "ids": [7, "c-77777"]}, "users": ["Dave Poe"], "n": 7,
            "text": "carol: C-77777", "Dave Poe": True}  # fmt: skip
    changed, out, _ = redacted(tmp_path, json.dumps(body).encode(), ["user"])
    shown = json.loads(out)
    assert changed
    assert shown["n"] == 7
    assert shown["user"]["ids"][0].startswith("user-")
    for gone in (b"Carol", b"carol", b"77777", b"Dave"):
        assert gone not in out
    assert shown["text"] == f"{shown['user']['first']}: {shown['user']['ids'][1]}"


def test_what_holds_nothing_of_it_is_left_as_it_is(tmp_path):
    changed, _, _ = redacted(tmp_path, b'{"a":1,  "b": "x"}', ["user"])
    assert not changed


def test_csv_keeps_its_form_and_its_other_columns(tmp_path):
    data = b'id;name;note\n1;"Poe; Dave";"saw ""Poe; Dave"""\n2;;x\n'
    changed, out, redactor = redacted(tmp_path, data, ["name"], "items/a.csv")
    (name,) = redactor.pseudonyms
    assert changed
    assert out.decode() == f'id;name;note\n1;{name};"saw ""{name}"""\n2;;x\n'


def test_a_csv_whose_lines_do_not_fit_is_not_shown(tmp_path):
    redactor = Redactor(*read_fields(["name"]))
    one = piece("items/a.csv", b"id,name\n1\n")
    redactor.learn(one)
    assert redactor.form(one) == "opaque"


def test_values_learned_in_one_piece_go_from_all_of_them(tmp_path):
    other = piece("items/b.csv", b"name\nDave Poe\n")
    changed, out, _ = redacted(
        tmp_path, b"see dave%20poe, DAVE POE &amp; co", ["name"], "papers/a.md", others=[other]
    )
    assert changed
    assert b"poe" not in out.lower()


def test_our_records_keep_what_tells_them_apart(tmp_path):
    body = {"schema": "order/1", "id": "ord-1", "at": "2026", "name": "x", "author": "Dave Poe",
            "facts": {"name": "Eve Ruiz"}, "kind": "opened"}  # fmt: skip
    _, out, _ = redacted(tmp_path, json.dumps(body).encode(), ["author", "name"], kind="record")
    shown = json.loads(out)
    assert {key: shown[key] for key in ("schema", "id", "at", "kind")} == {
        "schema": "order/1", "id": "ord-1", "at": "2026", "kind": "opened",
    }  # fmt: skip
    assert shown["author"].startswith("author-")


def test_a_plain_text_can_be_named(tmp_path):
    changed, out, _ = redacted(tmp_path, b"ask Eve Ruiz", ["=Eve Ruiz"], "papers/a.md")
    assert changed
    assert b"Eve" not in out


def test_a_field_can_be_meant_in_some_items_alone(tmp_path):
    fields = ["items/people*:id"]
    _, out, _ = redacted(tmp_path, b'{"id": "e-123456"}', fields, "items/people.json")
    assert b"123456" not in out
    changed, _, _ = redacted(tmp_path, b'{"id": "e-123456"}', fields, "items/cases.json")
    assert not changed


def test_a_custody_log_shows_no_digest_after_the_first_change(tmp_path):
    lines = [
        {"number": 0, "previous": None, "text": "opened"},
        {"number": 1, "previous": "sha256:aa", "text": "Eve Ruiz"},
        {"number": 2, "previous": "sha256:bb", "text": "closed"},
    ]
    data = b"".join(json.dumps(one).encode() + b"\n" for one in lines)
    _, out, _ = redacted(tmp_path, data, ["=Eve Ruiz"], "case/custody.jsonl", "custody")
    shown = [json.loads(one) for one in out.splitlines()]
    assert [one["previous"] for one in shown] == [None, "sha256:aa", "withheld"]
    assert out.splitlines()[0] == data.splitlines()[0]


def test_digests_of_what_is_withheld_are_hidden(tmp_path):
    redactor = Redactor([], ["nobody"])
    redactor.hide("sha256:" + "ab" * 32)
    assert redactor.text(f"see sha256:{'ab' * 32} and {'cd' * 32}") == (
        f"see sha256:withheld and {'cd' * 32}"
    )


@pytest.mark.parametrize("field", ["previous", "Digest", "number", "schema", "id"])
def test_what_proves_the_rest_cannot_be_redacted(field):
    with pytest.raises(UsageError, match="part of what proves") as error:
        read_fields([field])
    assert f"items/*:{field.lower()}" in error.value.hint


def test_a_field_without_a_name_is_refused():
    with pytest.raises(UsageError, match="names no field"):
        read_fields(["items/a.csv:"])


@pytest.mark.parametrize(
    "data", [b'{"a": ' * 5000, b'{"a": tru', b"[1, 2}\n", b'{"a": "\\ud800"}' + b"\xff"]
)
def test_hostile_json_is_opaque_and_no_crash(data, tmp_path):
    redactor = Redactor(*read_fields(["a"]))
    one = piece("items/a.json", data)
    redactor.learn(one)
    assert redactor.form(one) == "opaque"


def test_deep_json_is_opaque(tmp_path):
    redactor = Redactor(*read_fields(["a"]))
    one = piece("items/a.json", b"[" * 400 + b"]" * 400)
    with pytest.raises(UnreadableError):
        redactor.redact(one, tmp_path / "out")
    assert redactor.form(one) == "opaque"


def test_parquet_with_bytes_in_it_is_opaque(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"a": ["x"], "raw": [b"\x01"]}), tmp_path / "a.parquet")
    redactor = Redactor(*read_fields(["a"]))
    one = piece("items/a.parquet", (tmp_path / "a.parquet").read_bytes())
    redactor.learn(one)
    assert redactor.form(one) == "opaque"
    broken = piece("items/b.parquet", b"PAR1 and no more")
    redactor.learn(broken)
    assert redactor.form(broken) == "opaque"
