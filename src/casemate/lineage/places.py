"""Places and names: which files of a run are the system's, and what the others probably are."""

from __future__ import annotations

import re
import sys
from pathlib import PurePath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from casemate.records.edge import NodeKind

_SYSTEM = re.compile(
    r"/(proc|sys|dev|etc|run|bin|sbin|lib\d*|boot|usr/(bin|sbin|lib\d*|libexec|include|share)|"
    r"usr/local/(bin|lib\d*|share|cuda[^/]*)|var/(cache|lib/dpkg|lib/apt|log|run)|opt/conda/(lib|pkgs)|"
    r"System|Library|private/etc)/"
)
_PARTS = re.compile(
    r"/(site-packages|dist-packages|__pycache__|\.git|\.casemate|lib/python\d[\d.]*|\.nv|\.cache/"
    r"(matplotlib|fontconfig|torch_extensions|numba|pip))(/|$)"
)
_PACKAGE = re.compile(r"^(.*/(?:site|dist)-packages)/([^/]+?)(?:\.[^/]*)?(?:/|$)")
_SHIPPED = re.compile(r"/(site|dist)-packages/.*\bdata(sets?)?/.*\.(csv|npz|npy|parquet)(\.gz)?$")
"""Data sets that come inside a package, as scikit-learn's do."""
_NOISE = re.compile(r"(\.py[cod]|\.so(\.\d+)*|\.dylib|\.dll|\.lock|/pyvenv\.cfg)$")
_CODE = re.compile(
    r"\.(py|ipynb|sh|bash|r|jl|scala|cc|cpp|c|cu|h|pl|lua|toml|ya?ml|cfg|ini)$", re.IGNORECASE
)
_TABLE = re.compile(
    r"\.(csv|tsv|parquet|npz|npy|arrow|feather|jsonl|ndjson|orc|avro)(\.gz)?$", re.IGNORECASE
)
_DATA = re.compile(
    r"\.(txt|json|xml|png|jpe?g|gif|bmp|webp|tiff?|wav|flac|mp[34]|idx|tfrecord|lmdb|mat|db|sqlite|"
    r"xlsx|gz|bz2|xz|zst|zip|tar)$|-ubyte$",
    re.IGNORECASE,
)
_MODEL = re.compile(
    r"\.(pt|pth|pkl|pickle|joblib|onnx|safetensors|h5|hdf5|keras|bin|gguf|tflite|ubj|cbm|skops|model|"
    r"bst|mar|msgpack|weights|ckpt)$",
    re.IGNORECASE,
)
_STEP = re.compile(r"(ckpt|checkpoint|epoch|step|iter)[-_=.]?\d|\.ckpt$", re.IGNORECASE)


def is_noise(path: str) -> bool:
    """Say whether a file is of the system, the interpreter or its packages, and not of the work."""
    if _SHIPPED.search(path):
        return False
    return bool(_SYSTEM.match(path) or _PARTS.search(path) or _NOISE.search(path) or _inside(path))


def package_of(path: str) -> tuple[str, str] | None:
    """Return the folder of packages and the name of the one a file is of; None for no package."""
    match = _PACKAGE.match(path)
    return None if match is None or "-info/" in path else (match[1], match[2])


def kind_of(path: str, *, written: bool) -> NodeKind:
    """Return what a file probably is, by its name.

    Args:
        path: Its path.
        written: Whether the run made it: a file of no telling name is then just a file.
    """
    name = PurePath(path).name
    if _MODEL.search(name):
        return "checkpoint" if _STEP.search(name) else "model"
    if _CODE.search(name) and not written:
        return "code"
    if _TABLE.search(name) or (_DATA.search(name) and not written):
        return "dataset"
    return "file"


def _inside(path: str) -> bool:
    # The interpreter's own folders, unless that is where everything is.
    return any(place not in {"", "/"} and path.startswith(f"{place}/") for place in _OWN)


_OWN = (sys.prefix, sys.base_prefix)
