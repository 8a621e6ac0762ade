"""Compiled Python is recognised by its header and the code object behind it."""

import importlib.util
import py_compile
from pathlib import Path

import pytest

from casemate.formats.bytecode import is_bytecode
from casemate.formats.source import BytesSource


def test_what_this_interpreter_compiles_is_recognised(tmp_path):
    source = tmp_path / "m.py"
    source.write_text("x = 1\n")
    compiled = py_compile.compile(str(source), cfile=str(tmp_path / "m.pyc"))
    assert is_bytecode(BytesSource(Path(compiled).read_bytes()))


@pytest.mark.parametrize(
    "data", [b"", importlib.util.MAGIC_NUMBER, b"x" * 40, b"ab\r\n" + b"\0" * 30]
)
def test_anything_else_is_not(data):
    assert not is_bytecode(BytesSource(data))
