"""NumPy headers are read as NumPy reads them, without evaluating anything."""

import io

import numpy as np
import pytest

from casemate.errors import FormatError
from casemate.formats.literal import parse_literal
from casemate.formats.numpy import item_size, read_header
from casemate.formats.source import BytesSource

DTYPES = [
    "<f8", ">i2", "|b1", "?", "<U7", "S3", "V5", "<c16", "<M8[ns]", "<m8[25s]", "f2",
    [("x", "<f4"), ("y", "S3", (2, 2))], [("a", [("b", "<i8")], 3), ("c", "?")],
    [("", "<i4"), ("v", "V4")],
]  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_size_and_place_agree_with_numpy(dtype, version):
    array = np.zeros((2, 3), dtype=dtype)
    out = io.BytesIO()
    np.lib.format.write_array(out, array, version=version)
    size, start = read_header(BytesSource(out.getvalue()))
    assert size == array.nbytes
    assert start + size == len(out.getvalue())


@pytest.mark.parametrize(
    "dtype", ["O", [("x", "<f4"), ("y", "O")], [("a", [("b", "|O")])]], ids=str
)
def test_objects_are_pickles(dtype):
    out = io.BytesIO()
    np.save(out, np.zeros(2, dtype=dtype), allow_pickle=True)
    assert read_header(BytesSource(out.getvalue()))[0] is None


def test_unknown_types_are_taken_for_pickles():
    assert item_size("<q8") is None
    assert item_size("object") is None


@pytest.mark.parametrize("descr", [5, ["x"], [("a",)], ("<f4", -1), None])
def test_no_type_at_all(descr):
    with pytest.raises(FormatError):
        item_size(descr)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (
            "{'a': (1, 2), 'b': [True, None], \"c\": -5, }",
            {"a": (1, 2), "b": [True, None], "c": -5},
        ),
        ("(1,)", (1,)),
        ("(1)", 1),
        ("()", ()),
        ("{}", {}),
        ("'it\\'s'", "it's"),
        ("(3L, 4L)", (3, 4)),
    ],
)
def test_literals(text, value):
    assert parse_literal(text) == value


@pytest.mark.parametrize(
    "text",
    ["", "f()", "1 2", "{1: 2}", "(1 2)", "[", "'open", "a", "1.5", "()()", "[" * 100, "{'a' 1}"],
)
def test_everything_else_is_refused(text):
    with pytest.raises(FormatError):
        parse_literal(text)
