"""The verifier in one file: nothing but the standard library, also of an old Python."""

import ast
import sys

from casemate.case.verifier.one_file import PARTS, assemble
from tests.arch.house import SRC

TREE = ast.parse(assemble(), feature_version=(3, 8))


def test_it_imports_nothing_that_an_old_standard_library_has_not():
    imported = {
        (one.module if isinstance(one, ast.ImportFrom) else one.names[0].name)
        for one in ast.walk(TREE)
        if isinstance(one, ast.Import | ast.ImportFrom)
    }
    assert imported <= set(sys.stdlib_module_names)
    assert not imported & {"zoneinfo", "tomllib", "graphlib", "compression"}  # newer than 3.8


def test_it_uses_nothing_that_came_after_3_8():
    text = assemble().decode()
    for newer in ("removeprefix", "removesuffix", "strict=", "file_digest", "datetime.UTC"):
        assert newer not in text


def test_no_name_has_two_meanings_once_the_parts_are_joined():
    names = [
        name
        for one in TREE.body
        for name in (
            [one.name]
            if isinstance(one, ast.FunctionDef | ast.ClassDef)
            else [
                t.id
                for t in ast.walk(one)
                if isinstance(t, ast.Name) and isinstance(t.ctx, ast.Store)
            ]
            if isinstance(one, ast.Assign)
            else []
        )
    ]
    assert len(names) == len(set(names))


def test_every_part_is_in_it():
    parts = {one.stem for one in (SRC / "case/verifier").glob("*.py")}
    assert set(PARTS) == parts - {"__init__", "one_file"}
