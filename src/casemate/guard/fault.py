"""The one place where the guard goes on after any error at all: it fails open, and says so.

A fault of a judge, of a store or of the guard itself must not take the model away from its users;
whoever attempts something here puts the fault on record.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NamedTuple, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
P = ParamSpec("P")
_log = logging.getLogger(__name__)


class Fault(NamedTuple):
    """That something failed; the words quote nothing of what a caller sent."""

    kind: str
    """Name of the exception."""


def attempt(run: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | Fault:
    """Return what a function returns, or the fault when it raises."""
    try:
        return run(*args, **kwargs)
    except Exception as error:  # noqa: BLE001 - the reason stands at the top of this file
        # Not louder: a fault of every request would fill the disk, and each is on record anyway.
        _log.debug("%s failed, and was passed by", getattr(run, "__qualname__", run), exc_info=True)
        return Fault(type(error).__name__)
