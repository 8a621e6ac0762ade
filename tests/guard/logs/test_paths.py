import pytest

from casemate.errors import FormatError, UsageError
from casemate.guard.logs.paths import FIELDS, follow, read_mapping, read_place, text

RECORD = rb"""{"user": {"id": 7, "first name": "Ann", "n/a": null, "roles": ["a", "b"]},
 "inner": "{\"who\": \"carol\", \"deep\": \"[1, [2]]\"}", "ok": true, "": "empty"}"""


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("$.user.id", "7"),
        ("$['user']['first name']", "Ann"),
        ('$.user["first name"]', "Ann"),
        ("$.user.roles[0]", "a"),
        ("$.user.roles[-1]", "b"),
        ("$.inner.who", "carol"),
        ("$.inner.deep[0]", "1"),
        ("$.ok", "true"),
        ("$['']", "empty"),
        ("$.user.roles[2]", None),
        ("$['user']['n/a']", None),
        ("$.user.id.more", None),
        ("$.missing", None),
        ("$.user[0]", None),
        ("$.user.roles.a", None),
        ("literal", "literal"),
    ],
)
def test_a_path_leads_to_a_value_or_nowhere(path, found):
    assert text(follow(RECORD, read_place(path))) == found


def test_a_list_or_an_object_is_no_word():
    for path in ("$.user", "$.user.roles", "$"):
        with pytest.raises(FormatError):
            text(follow(RECORD, read_place(path)))


@pytest.mark.parametrize(
    "path", ["$.a[*]", "$..a", "$.a[?(@.x)]", "$.", "$a", "$.a[1", "$" + ".a" * 40]
)
def test_what_is_no_single_place_is_refused(path):
    with pytest.raises(UsageError, match="not a path"):
        read_place(path)


def test_a_mapping_names_known_fields_once():
    found = read_mapping(["principal=$.user.id", "model=fraud", "time = $.t"])
    assert set(found) == {"principal", "model", "time"}
    assert text(follow(RECORD, found["model"])) == "fraud"
    for wrong, word in (
        (["principal"], "FIELD=PATH"),
        (["principal="], "FIELD=PATH"),
        (["principle=$.user"], "no field"),
        (["id=$.a", "id=$.b"], "twice"),
    ):
        with pytest.raises(UsageError, match=word):
            read_mapping(wrong)
    assert set(FIELDS) >= {"principal", "input", "request", "time"}


def test_a_hostile_record_leads_nowhere_and_never_fails():
    for raw in (b"", b"{", b'"\\ud800"', b'"\xff"', b"[" * 100_000, b'{"a":' * 5000, b"nul"):
        assert follow(raw, read_place("$.a[0].b")) is None
