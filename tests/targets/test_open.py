from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from casemate.catalog.entries import TargetKind
from casemate.catalog.loader import entries, load
from casemate.errors import MissingExtra, UsageError
from casemate.targets.open import open_target
from casemate.targets.settings import Settings
from casemate.targets.uri import parse, schemes

if TYPE_CHECKING:
    from pathlib import Path

KINDS = entries("targets", TargetKind)


@pytest.mark.parametrize("ident", KINDS)
def test_every_kind_resolves_and_its_example_parses(ident: str) -> None:
    kind = KINDS[ident]
    assert callable(load(kind))
    assert kind.gives
    parts = parse(kind.example)
    assert parts.scheme in kind.schemes
    assert schemes()[parts.scheme] is kind


def test_no_scheme_has_two_kinds() -> None:
    every = [scheme for kind in KINDS.values() for scheme in kind.schemes]
    assert len(every) == len(set(every))


@pytest.mark.parametrize(
    ("uri", "module", "framework", "extra"),
    [
        ("torch:net.py:make", "casemate.targets.torch", "torch", "torch"),
        ("keras:net.keras", "casemate.targets.keras", "torch", "keras"),
        ("onnx:net.onnx", "casemate.targets.onnx", "onnxruntime", "onnx"),
        ("sklearn:m.joblib", "casemate.targets.sklearn", "joblib", "sklearn"),
    ],
)
def test_a_framework_that_is_missing_names_what_to_install(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    uri: str,
    module: str,
    framework: str,
    extra: str,
) -> None:
    for name in ("net.py", "net.keras", "net.onnx", "m.joblib"):
        (tmp_path / name).write_bytes(b"x")
    monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setitem(sys.modules, framework, None)  # type: ignore[arg-type]
    with pytest.raises(MissingExtra) as caught:
        open_target(uri, vet=lambda path: path, settings=Settings(root=tmp_path))
    assert caught.value.hint == f"pip install 'casemate[{extra}]'"


def test_a_booster_that_is_missing_names_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "m.ubj").write_bytes(b"x")
    monkeypatch.setitem(sys.modules, "xgboost", None)  # type: ignore[arg-type]
    with pytest.raises(UsageError) as caught:
        open_target("m.ubj", settings=Settings(root=tmp_path))
    assert caught.value.hint == "pip install xgboost"


def test_a_factory_that_wants_a_framework_that_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)  # type: ignore[arg-type]
    (tmp_path / "net.py").write_text("import sklearn.svm\ndef make(): pass\n", encoding="utf-8")
    with pytest.raises(MissingExtra) as caught:
        open_target("python:net.py:make", settings=Settings(root=tmp_path))
    assert caught.value.hint == "pip install 'casemate[sklearn]'"


def test_a_bare_path_says_what_it_became(tmp_path: Path) -> None:
    (tmp_path / "serve.py").write_text("def predict(x): return x\n", encoding="utf-8")
    settings = Settings(root=tmp_path, shape=(3,))
    for uri in ("serve.py:predict", f"{tmp_path}/serve.py:predict"):
        assert open_target(uri, settings=settings).target.uri == "python:serve.py:predict"
