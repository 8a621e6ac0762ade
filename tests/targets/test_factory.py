from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest

from casemate.errors import TargetError, UsageError
from casemate.targets import factory
from casemate.targets.uri import Uri

if TYPE_CHECKING:
    from pathlib import Path


def take(folder: Path, body: str, name: str = "thing") -> Any:
    (folder / "code.py").write_text(body, encoding="utf-8")
    return factory.take(Uri("python", "code.py", name), folder)


def test_the_thing_and_the_digest_of_its_code(tmp_path: Path) -> None:
    thing, first = take(tmp_path, "thing = 3")
    assert thing == 3
    assert take(tmp_path, "thing = 4  # longer")[1] != first


def test_a_file_is_imported_anew_after_a_change(tmp_path: Path) -> None:
    assert take(tmp_path, "thing = 3")[0] == 3
    assert take(tmp_path, "thing = 'another'")[0] == "another"


def test_dataclasses_find_their_module(tmp_path: Path) -> None:
    body = (
        "from __future__ import annotations\nfrom dataclasses import dataclass\n"
        "@dataclass\nclass Thing:\n    a: int = 1\nthing = Thing()"
    )
    assert take(tmp_path, body)[0].a == 1


def test_a_module_called_like_one_of_the_standard_library(tmp_path: Path) -> None:
    import code

    assert take(tmp_path, "thing = 3")[0] == 3
    assert sys.modules["code"] is code


@pytest.mark.parametrize(
    ("made", "empty"),
    [
        (lambda: 1, True),
        (lambda x=1, *, y=2, **kw: 1, True),
        (lambda x: 1, False),
        (lambda *, y: 1, False),
        (Uri, False),
        (type("Plain", (), {}), True),
        (3, False),
    ],
)
def test_what_a_factory_is(made: Any, empty: bool) -> None:
    assert factory.takes_nothing(made) is empty


def test_what_is_raised_becomes_one_line() -> None:
    def bad() -> None:
        raise RuntimeError("one\ntwo")

    with pytest.raises(TargetError, match=r"bad\(\) raised RuntimeError: one$"):
        factory.call(bad, "bad()")


def test_ctrl_c_is_not_swallowed() -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        factory.call(stop, "stop()")


def test_no_function_named(tmp_path: Path) -> None:
    (tmp_path / "code.py").touch()
    with pytest.raises(UsageError, match="name the function"):
        factory.take(Uri("torch", "code.py", None), tmp_path)
