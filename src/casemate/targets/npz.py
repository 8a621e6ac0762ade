"""Inputs and labels from a `.npz` file; Python objects in one are never unpickled."""

from __future__ import annotations

import struct
import zipfile
import zlib
from typing import TYPE_CHECKING

import numpy as np

from casemate.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from casemate.targets.data import Raw


_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
)
"""What zipfile and numpy raise on damaged files, found by flipping bytes."""


def read_npz(path: Path) -> Raw:
    """Return the arrays x and y.

    Raises:
        UsageError: Damaged, Python objects, or no arrays of these names.
    """
    from casemate.targets.data import Raw

    try:
        # An open file, because numpy leaves its own open when the archive is damaged.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            missing = [name for name in ("x", "y") if name not in archive.files]
            if missing:
                raise UsageError(
                    f"{path.name} has no array '{missing[0]}'; it has {', '.join(archive.files)}",
                    hint="write it with numpy.savez(file, x=inputs, y=labels)",
                )
            x, y = archive["x"], archive["y"]
            if not (isinstance(x, np.ndarray) and isinstance(y, np.ndarray)):
                raise _damaged(path)
            return Raw(x, y)
    except ValueError as error:
        if "allow_pickle" in str(error):
            raise UsageError(
                f"{path.name} holds Python objects, which reading would run",
                hint="save plain numbers: x as float32 or uint8, y as int64",
            ) from error
        raise _damaged(path) from error
    except _DAMAGE as error:
        raise _damaged(path) from error


def _damaged(path: Path) -> UsageError:
    return UsageError(
        f"{path.name} is truncated or not an .npz file", hint="write it again with numpy.savez"
    )
