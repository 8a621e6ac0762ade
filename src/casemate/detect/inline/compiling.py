"""How the kernels here are compiled: by numba, kept on disk; as they stand where numba is missing.

Below every kernel of this folder.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

njit: Any
try:
    from numba import njit
except ImportError:  # the kernels then run as plain Python, or through casemate.detect.inline.plain
    njit = None

F = TypeVar("F", bound="Callable[..., Any]")

COMPILED = njit is not None


def kernel(function: F, *, reorder: bool = False) -> F:
    """Compile a function without the interpreter; cached on disk where some folder can be written.

    numba keeps the machine code beside the source, or in the user's cache folder when the package
    is installed read-only (NUMBA_CACHE_DIR names another); with neither, each process compiles.

    Args:
        function: Loops over arrays and numbers.
        reorder: Whether sums of floats may be added in any order, which several lanes can.
    """
    if njit is None:
        return function
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "boundscheck": False}
    if reorder:
        options["fastmath"] = {"reassoc", "nsz", "contract"}
    try:
        compiled: F = njit(cache=True, **options)(function)
    except RuntimeError:  # no folder for the cache can be written
        compiled = njit(**options)(function)
    return compiled
