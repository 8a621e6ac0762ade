"""The digest a file, a folder or a set of arrays is known by in every record."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from casemate.targets.open import Vet

_CHUNK = 1 << 20


def of_path(path: Path) -> str:
    """Return the `sha256:` digest of a file, or of the names and bytes of a folder's files."""
    if path.is_file():
        with path.open("rb") as file:
            return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    total = hashlib.sha256()
    for inside in sorted(p for p in path.rglob("*") if p.is_file()):
        name = inside.relative_to(path).as_posix()
        if "__pycache__" not in name:
            total.update(f"{name}\0{of_path(inside)}\n".encode("utf-8", "surrogateescape"))
    return f"sha256:{total.hexdigest()}"


def of_files(paths: Sequence[Path]) -> str:
    """Return the digest of one file, or of the digests of several in the order given."""
    if len(paths) == 1:
        return of_path(paths[0])
    joined = "\n".join(f"{path.name}\0{of_path(path)}" for path in paths)
    return f"sha256:{hashlib.sha256(joined.encode('utf-8', 'surrogateescape')).hexdigest()}"


def of_arrays(arrays: Iterable[npt.NDArray[np.generic]], *, start: str = "") -> str:
    """Return the `sha256:` digest of arrays in order: dtype, shape and bytes of each.

    Args:
        arrays: Anything but object arrays.
        start: What else belongs to the identity, such as the digest of the code.
    """
    total = hashlib.sha256(start.encode())
    for array in arrays:
        total.update(f"{array.dtype.str}{array.shape}\0".encode())
        flat = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        for position in range(0, len(flat), _CHUNK):
            total.update(flat[position : position + _CHUNK].data)
    return f"sha256:{total.hexdigest()}"


def of_object(made: object, *, start: str = "") -> str | None:
    """Return a digest of a live object by its pickle, or None where it cannot be pickled."""
    import pickle

    try:
        data = pickle.dumps(made, protocol=4)
    except (pickle.PicklingError, TypeError, AttributeError, RecursionError):
        return None
    return f"sha256:{hashlib.sha256(start.encode() + data).hexdigest()}"


class Witness:
    """A vet that remembers the digest of the snapshot it handed out, for the record."""

    def __init__(self, vet: Vet) -> None:
        self._vet = vet
        self.identity = ""

    def __call__(self, path: Path) -> Path:
        """Vet `path` and return the snapshot."""
        snapshot = self._vet(path)
        self.identity = of_path(snapshot)
        return snapshot
