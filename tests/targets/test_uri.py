from __future__ import annotations

import json
import zipfile
from typing import TYPE_CHECKING

import pytest

from casemate.errors import UsageError
from casemate.targets.uri import Uri, parse, parse_code, relative

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("uri", "parts"),
    [
        ("torch:path/to/file.py:factory", ("torch", "path/to/file.py", "factory")),
        ("torch:pkg.mod:factory", ("torch", "pkg.mod", "factory")),
        ("torch:weights.pt", ("torch", "weights.pt", None)),
        ("onnx:m.onnx", ("onnx", "m.onnx", None)),
        (r"onnx:C:\models\m.onnx", ("onnx", r"C:\models\m.onnx", None)),
        (r"torch:C:\models\m.py:make", ("torch", r"C:\models\m.py", "make")),
        ("torch:C:model", ("torch", "C:model", None)),
        ("sklearn:odd:name.joblib", ("sklearn", "odd:name.joblib", None)),
        (
            "https+mlflow://host:8080/v2/models/m",
            ("https+mlflow", "//host:8080/v2/models/m", None),
        ),
        ("grpc+oip://host:9000/m", ("grpc+oip", "//host:9000/m", None)),
    ],
)
def test_scheme_before_the_first_colon_factory_after_the_last(
    uri: str, parts: tuple[str, str, str | None]
) -> None:
    found = parse(uri)
    assert found == Uri(*parts)
    assert str(found) == uri


def test_a_file_that_is_there_is_taken_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "weights:v2").write_bytes(b"x")
    assert parse("sklearn:weights:v2", tmp_path) == Uri("sklearn", "weights:v2", None)


@pytest.mark.parametrize(
    ("name", "content", "scheme"),
    [
        ("m.onnx", b"x", "onnx"),
        ("m.PT2", b"x", "torch-export"),
        ("m.keras", b"x", "keras"),
        ("m.h5", b"x", "keras"),
        ("m.joblib", b"x", "sklearn"),
        ("m.pkl", b"x", "sklearn"),
        ("m.ubj", b"x", "xgboost"),
        ("m.json", b'{"learner": {}}', "xgboost"),
        ("m.txt", b"tree\nversion=v4\nnum_class=1\n", "lightgbm"),
        ("m.pt", b"\x80\x02}q\x00.", "torch"),
        ("m", b"\x89HDF\r\n\x1a\n", "keras"),
    ],
)
def test_a_bare_path_is_recognised(tmp_path: Path, name: str, content: bytes, scheme: str) -> None:
    (tmp_path / name).write_bytes(content)
    assert parse(name, tmp_path) == Uri(scheme, name, None)


@pytest.mark.parametrize(
    ("members", "scheme"),
    [
        (["m/data.pkl", "m/version"], "torch"),
        (["m/data.pkl", "m/constants.pkl", "m/code/__torch__.py"], "torchscript"),
        (["m/archive_format", "m/models/model.json"], "torch-export"),
        (["config.json", "metadata.json", "model.weights.h5"], "keras"),
    ],
)
def test_a_zip_is_recognised_by_its_members(
    tmp_path: Path, members: list[str], scheme: str
) -> None:
    with zipfile.ZipFile(tmp_path / "m.pt", "w") as archive:
        for name in members:
            archive.writestr(name, "x")
    assert parse("m.pt", tmp_path).scheme == scheme


@pytest.mark.parametrize(
    ("text", "scheme"),
    [
        ("import torch.nn as nn", "torch"),
        ("  from sklearn.svm import SVC", "sklearn"),
        ("import os\nfrom keras import layers", "keras"),
        ("raise SystemExit('never run')", "python"),
    ],
)
def test_code_is_recognised_by_what_it_imports(tmp_path: Path, text: str, scheme: str) -> None:
    (tmp_path / "m.py").write_text(text, encoding="utf-8")
    assert parse("m.py:make", tmp_path) == Uri(scheme, "m.py", "make")
    with pytest.raises(UsageError) as caught:
        parse("m.py", tmp_path)
    assert caught.value.hint == f"{scheme}:m.py:FUNCTION"


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("toch:m.pt", "did you mean 'torch:'"),
        ("tensorflow:m", "no kind of target is called 'tensorflow:'"),
        ("nowhere.onnx", "does not exist"),
        ("torch:", "names no file"),
        (r"C:\nowhere\m.onnx", "does not exist"),
    ],
)
def test_what_cannot_be_is_refused(uri: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(uri)
    assert words in f"{caught.value} {caught.value.hint}"


def test_a_file_that_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text(json.dumps({}), encoding="utf-8")
    with pytest.raises(UsageError, match="not recognised") as caught:
        parse("notes.txt", tmp_path)
    assert "SCHEME:notes.txt" in caught.value.hint


def test_paths_are_written_relative_to_the_configuration(tmp_path: Path) -> None:
    assert relative(str(tmp_path / "a" / "m.pt"), tmp_path) == "a/m.pt"
    assert relative("a/m.pt", tmp_path) == "a/m.pt"
    assert relative("/elsewhere/m.pt", tmp_path) == "/elsewhere/m.pt"
    path = str(tmp_path / "m.pt")
    (tmp_path / "m.pt").write_bytes(b"x")
    record = parse(f"torch:{path}", tmp_path).record(tmp_path, None)
    assert record.uri == "torch:m.pt"


def test_code_that_returns_data() -> None:
    assert parse_code("d.py:load") == Uri("python", "d.py", "load")
    assert parse_code("pkg.mod:load") == Uri("python", "pkg.mod", "load")
    assert parse_code("d.npz") is None
    assert parse_code(r"C:\d.npz") is None
    with pytest.raises(UsageError, match="name the function"):
        parse_code("d.py")


def test_an_empty_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").touch()
    with pytest.raises(UsageError, match="is empty"):
        parse("m.onnx", tmp_path).path(tmp_path)
