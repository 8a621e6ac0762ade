import json

import pytest
import yaml

from casemate.errors import FormatError, LimitExceeded
from casemate.formats.yaml import DEPTH, documents, plain, read

TEXT = """# a comment
name: fraud   # behind
on: yes
list:
- a: 1
  b: [x, "y: z", -2.5e3]
- |
  two
  lines
empty:
quoted: "12"
deep: {k: {l: null}}
"""


def test_values_are_what_the_core_schema_says():
    assert plain(read(TEXT)) == {
        "name": "fraud",
        "on": "yes",
        "list": [{"a": 1, "b": ["x", "y: z", -2500.0]}, "two\nlines\n"],
        "empty": None,
        "quoted": "12",
        "deep": {"k": {"l": None}},
    }


def test_each_value_is_found_where_it_stands():
    found = read(TEXT)
    name = found.value["name"]
    assert TEXT[name.start : name.end] == "fraud"
    inner = found.value["list"].value[0].value["b"]
    assert TEXT[inner.start : inner.end] == '[x, "y: z", -2.5e3]'
    assert inner.flow
    assert not found.flow
    assert found.value["list"].value[0].column == 2


def test_json_reads_as_json_does():
    value = {"a": [1, 2.5, None, True, "é\u2028\n"], "b": {"c": {}}, "d": []}
    for indent in (None, 2):
        assert plain(read(json.dumps(value, indent=indent))) == value


def test_several_documents():
    assert [plain(one) for one in documents("a: 1\n---\n- b\n---\n")] == [{"a": 1}, ["b"], None]
    assert read("").value is None


def test_nothing_is_made_from_a_tag():
    assert plain(read("!!python/object/apply:os.system [exit 1]")) == ["exit 1"]
    assert plain(read("a: !!int nine")) == {"a": "nine"}


@pytest.mark.parametrize("text", ["a: [", "a: b: c", "\t- x", "{a", "a: \x00", "- a\nb: c"])
def test_what_is_no_yaml_is_told_in_a_line(text):
    with pytest.raises(FormatError) as caught:
        read(text)
    assert "\n" not in str(caught.value)


def test_bombs_are_refused():
    lines = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 60)]
    with pytest.raises(LimitExceeded, match="alias"):
        read("\n".join(lines))
    for text in ("[" * 100_000, "{a: " * 100_000, "- " * 10_000):
        with pytest.raises(FormatError):
            read(text)
    assert read("[" * DEPTH + "]" * DEPTH).value
    with pytest.raises(LimitExceeded):
        read("x" * ((8 << 20) + 1))


def test_plain_files_read_as_pyyaml_reads_them():
    values = [{"stages": {"train": {"cmd": "python t.py", "deps": ["a.csv"], "params": [3, 4.5]}}}]
    for value in values:
        assert plain(read(yaml.safe_dump(value))) == value
