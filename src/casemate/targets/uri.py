"""Target URIs: `scheme:place:factory`, and which one a bare path stands for.

The scheme stands before the first colon, the factory after the last; colons of Windows drives and
of file names are left alone. Nothing here runs or unpickles anything, so `init` uses it too.
"""

from __future__ import annotations

import difflib
import re
import zipfile
from pathlib import Path
from typing import NamedTuple

from casemate.catalog.entries import TargetKind
from casemate.catalog.loader import entries
from casemate.errors import UsageError
from casemate.records.make import make
from casemate.records.target import Target

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+\Z")
_FACTORY = re.compile(r"[A-Za-z_]\w*\Z")
_SUFFIXES = {
    ".onnx": "onnx",
    ".pt2": "torch-export",
    ".keras": "keras",
    ".h5": "keras",
    ".hdf5": "keras",
    ".joblib": "sklearn",
    ".pkl": "sklearn",
    ".pickle": "sklearn",
    ".ubj": "xgboost",
}
_WEIGHTS = frozenset({".pt", ".pth", ".ckpt", ".bin", ".jit", ".ts"})


class Uri(NamedTuple):
    """A target URI in its parts."""

    scheme: str
    place: str
    """A path, a dotted module name, or everything after the scheme for `http...`."""
    factory: str | None

    def __str__(self) -> str:
        tail = f":{self.factory}" if self.factory else ""
        return f"{self.scheme}:{self.place}{tail}"

    def record(self, root: Path, digest: str | None) -> Target:
        """Return the record of a model opened from here, its path relative to the configuration."""
        uri = str(self._replace(place=relative(self.place, root)))
        return make(Target, kind="model", uri=uri, digest=digest)

    def path(self, root: Path) -> Path:
        """Return the file or folder meant.

        Raises:
            UsageError: There is none, or it is empty.
        """
        path = root / Path(self.place).expanduser()
        if not path.exists():
            raise UsageError(f"{self.place} does not exist", hint=f"looked in {path.parent}")
        if path.is_file() and not path.stat().st_size:
            raise UsageError(f"{self.place} is empty")
        return path


def parse(uri: str, root: Path = Path()) -> Uri:
    """Split a target URI, or recognise what kind of target a bare path is.

    Raises:
        UsageError: An unknown scheme, or a bare path that cannot be recognised.
    """
    known = schemes()
    scheme, colon, rest = uri.partition(":")
    if colon and scheme in known:
        if scheme.startswith(("http", "grpc")):
            return Uri(scheme, rest, None)
        place, factory = _split_factory(rest, root)
        if not place:
            raise UsageError(f"'{uri}' names no file", hint=f"for example {known[scheme].example}")
        return Uri(scheme, place, factory)
    place, factory = _split_factory(uri, root)
    if not (root / Path(place).expanduser()).exists():
        if colon and _SCHEME.match(scheme):
            near = difflib.get_close_matches(scheme, known, 1)
            hint = f"did you mean '{near[0]}:'?" if near else f"known: {', '.join(known)}"
            raise UsageError(f"no kind of target is called '{scheme}:'", hint=hint)
        raise UsageError(f"{place} does not exist", hint=f"looked in {root.absolute()}")
    return recognise(place, factory, root)


def relative(place: str, root: Path) -> str:
    """Return a path as records write it: with slashes, relative to `root` when inside it."""
    if Path(place).is_absolute() and Path(place).resolve().is_relative_to(root.resolve()):
        place = str(Path(place).resolve().relative_to(root.resolve()))
    return place.replace("\\", "/")


def parse_code(uri: str, root: Path = Path()) -> Uri | None:
    """Return `file.py:function` or `package.module:function` in its parts, None for other data."""
    place, factory = _split_factory(uri.removeprefix("python:"), root)
    if factory is None:
        if Path(place).suffix == ".py":
            raise UsageError(
                f"{uri}: name the function that returns (x, y)", hint=f"{uri}:FUNCTION"
            )
        return None
    return Uri("python", place, factory)


def schemes() -> dict[str, TargetKind]:
    """Return the catalog's kinds of target by scheme."""
    kinds = entries("targets", TargetKind)
    return {scheme: kind for kind in kinds.values() for scheme in kind.schemes}


def recognise(place: str, factory: str | None, root: Path) -> Uri:
    """Say which URI a bare path stands for, by its suffix and, where that says little, its content.

    Raises:
        UsageError: It looks like no model, or is code and no function is named.
    """
    path = root / Path(place).expanduser()
    suffix = path.suffix.lower()
    if suffix == ".py":
        if factory is None:
            raise UsageError(
                f"{place} is code: name the function that returns the model",
                hint=f"{_framework(path)}:{place}:FUNCTION",
            )
        return Uri(_framework(path), place, factory)
    scheme = _SUFFIXES.get(suffix) or (_look(path) if path.is_file() else None)
    if scheme is None:
        raise UsageError(
            f"{place} is not recognised as a model",
            hint=f"say what it is: SCHEME:{place} with one of {', '.join(schemes())}",
        )
    return Uri(scheme, place, factory)


def _split_factory(rest: str, root: Path) -> tuple[str, str | None]:
    if (root / Path(rest).expanduser()).exists():
        return rest, None
    place, colon, factory = rest.rpartition(":")
    if colon and _FACTORY.match(factory) and len(place) > 1:
        return place, factory
    return rest, None


def _framework(path: Path) -> str:
    """Return the scheme for a Python file by what it imports; its text is read, never run."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    for module, scheme in (
        ("keras", "keras"),
        ("torch", "torch"),
        ("sklearn", "sklearn"),
        ("xgboost", "xgboost"),
        ("lightgbm", "lightgbm"),
    ):
        if re.search(rf"^\s*(import|from)\s+{module}\b", text, re.MULTILINE):
            return scheme
    return "python"


def _look(path: Path) -> str | None:
    with path.open("rb") as file:
        head = file.read(4096)
    if zipfile.is_zipfile(path):
        return _look_in_zip(path)
    if head.startswith(b"tree\n") and b"num_class=" in head:
        return "lightgbm"
    if head.lstrip().startswith(b"{") and b'"learner"' in head:
        return "xgboost"
    if head.startswith(b"\x89HDF"):
        return "keras"
    return "torch" if path.suffix.lower() in _WEIGHTS else None


def _look_in_zip(path: Path) -> str | None:
    try:
        with zipfile.ZipFile(path) as archive:
            names = {name.partition("/")[2] or name for name in archive.namelist()}
    except (zipfile.BadZipFile, ValueError, OSError, RuntimeError):
        return None  # whoever opens it says what is wrong with it
    if any(name.startswith("code/") for name in names) and "constants.pkl" in names:
        return "torchscript"
    if any(n.startswith("models/") or n == "serialized_exported_program.json" for n in names):
        return "torch-export"
    if "data.pkl" in names:
        return "torch"
    return "keras" if {"config.json", "metadata.json"} <= names else None
