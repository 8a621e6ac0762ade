"""Find a model and data in a folder, by name and leading bytes, without running anything.

The first half of `casemate init`: what it proposes is written to casemate.toml by `initialise`.
"""

from __future__ import annotations

import ast
import os
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

_SKIPPED = {"node_modules", "site-packages", "__pycache__", "build", "dist", "venv", "env", "tests"}
_DEPTH = 4
_FACTORIES = (
    "load_model", "get_model", "build_model", "make_model", "create_model",
    "load", "build", "model",
)  # fmt: skip
_VERBS = frozenset({"load", "get", "build", "make", "create"})
_OTHER_THINGS = frozenset(
    {"data", "dataset", "datasets", "loader", "loaders", "config", "args", "parser", "logger",
     "device", "transform", "transforms", "optimizer", "optimiser", "tokenizer", "labels", "env"}
)  # fmt: skip
_LOADERS = ("load_test_data", "test_data", "load_data", "get_data", "data", "dataset")
_PICTURES = {".png", ".jpg", ".jpeg", ".bmp", ".webp"}
_HELD_OUT = ("test", "valid", "val", "holdout", "eval")


class Found(NamedTuple):
    """Candidates, best first, as URIs relative to the folder looked at."""

    models: tuple[str, ...]
    data: tuple[str, ...]
    artifacts: tuple[str, ...]
    """Files a scan should look at, relative."""


def discover(root: Path) -> Found:
    """Look through `root` for models, data and artifacts."""
    models: list[tuple[int, int, str]] = []
    data: list[tuple[int, int, str]] = []
    artifacts: list[str] = []
    for path in _walk(root):
        relative = path.relative_to(root).as_posix()
        depth = relative.count("/")
        if path.is_dir():
            if _is_image_folder(path):
                data.append((_held_out(relative, 1), depth, relative))
            continue
        if path.suffix == ".py":
            factory, loader = _functions(path)
            if factory:
                models.append((0, depth, f"torch:{relative}:{factory}"))
            if loader:
                data.append((_held_out(loader, 2), depth, f"{relative}:{loader}"))
            continue
        rank_uri = _model_uri(path, relative)
        if rank_uri:
            artifacts.append(relative)
            if rank_uri[1]:
                models.append((rank_uri[0], depth, rank_uri[1]))
        elif _is_data(path):
            data.append((_held_out(relative, 0), depth, relative))
    return Found(
        tuple(uri for *_, uri in sorted(models)),
        tuple(uri for *_, uri in sorted(data)),
        tuple(sorted(artifacts)),
    )


def model_uri(path: Path, root: Path) -> str | None:
    """Return the target URI for one file, None when its kind cannot be told."""
    relative = path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
    if path.suffix == ".py":
        factory, _ = _functions(path)
        return f"torch:{relative}:{factory}" if factory else None
    rank_uri = _model_uri(path, relative)
    return rank_uri[1] if rank_uri else None


def _walk(root: Path) -> Iterator[Path]:
    for folder, subfolders, files in os.walk(root):
        here = Path(folder)
        depth = len(here.relative_to(root).parts)
        subfolders[:] = sorted(
            name
            for name in subfolders
            if depth < _DEPTH and name not in _SKIPPED and not name.startswith(".")
            and not (here / name / "pyvenv.cfg").exists()
        )  # fmt: skip
        yield from (here / name for name in subfolders)
        yield from (here / name for name in sorted(files) if not name.startswith("."))


def _model_uri(path: Path, relative: str) -> tuple[int, str] | None:
    """Return (rank, URI) for a model file; an empty URI for weights that need a factory."""
    suffix = path.suffix.lower()
    head = _head(path)
    if suffix == ".onnx":
        return 3, f"onnx:{relative}"
    if suffix == ".pt2":
        return 1, f"torch-export:{relative}"
    if suffix in {".pt", ".pth", ".ts", ".torchscript", ".bin", ".ckpt"}:
        names = _members(path)
        if any("/code/" in name for name in names):
            return 1, f"torchscript:{relative}"
        return (9, "") if names or head[:1] == b"\x80" else None
    if suffix in {".keras", ".h5", ".hdf5"}:
        return 2, f"keras:{relative}"
    if suffix in {".joblib", ".pkl", ".pickle"}:
        return 4, f"sklearn:{relative}"
    if suffix == ".ubj" or (suffix == ".json" and b'"learner"' in head):
        return 5, f"xgboost:{relative}"
    if suffix == ".txt" and head.startswith(b"tree\nversion="):
        return 5, f"lightgbm:{relative}"
    return (9, "") if suffix == ".safetensors" else None


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(4096)
    except OSError:
        return b""


def _members(path: Path) -> list[str]:
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError):
        return []


def _is_data(path: Path) -> bool:
    suffix = path.suffix.lower()
    if suffix == ".npz":
        return {"x.npy", "y.npy"} <= set(_members(path))
    return suffix in {".csv", ".parquet"}


def _is_image_folder(path: Path) -> bool:
    try:
        inside = [entry for entry in path.iterdir() if entry.is_dir()]
        return len(inside) >= 2 and all(
            any(file.suffix.lower() in _PICTURES for file in folder.iterdir()) for folder in inside
        )
    except OSError:
        return False


def _held_out(name: str, rank: int) -> int:
    return rank if any(word in name.lower() for word in _HELD_OUT) else rank + 3


def _functions(path: Path) -> tuple[str | None, str | None]:
    """Return (model factory, data loader) a source file offers, read from its syntax tree."""
    try:
        if path.stat().st_size > 1_000_000:
            return None, None
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return None, None
    callable_alone = {
        node.name: node
        for node in tree.body
        if isinstance(node, ast.FunctionDef)
        and len(node.args.args) + len(node.args.posonlyargs) == len(node.args.defaults)
        and all(default is not None for default in node.args.kw_defaults)
    }
    imported = {
        name.name.partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for name in node.names
    } | {
        (node.module or "").partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
    }
    loader = next((name for name in _LOADERS if name in callable_alone), None)
    factory = min(filter(_makes_model, callable_alone.values()), key=_likeness, default=None)
    return (factory.name if factory and "torch" in imported else None), loader


def _makes_model(function: ast.FunctionDef) -> bool:
    """Say whether a function without arguments looks as if it returned a model."""
    returns = ast.unparse(function.returns) if function.returns else ""
    words = function.name.lower().split("_")
    return (
        function.name in _FACTORIES
        or "Module" in returns
        or (words[0] in _VERBS and not set(words) & _OTHER_THINGS)
    )


def _likeness(function: ast.FunctionDef) -> tuple[int, str]:
    known = function.name in _FACTORIES
    return (_FACTORIES.index(function.name) if known else len(_FACTORIES)), function.name
