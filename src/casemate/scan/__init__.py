"""Artifacts in, findings out, with a verdict per file; nothing scanned is ever executed."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from casemate.scan.artifact import Report, scan, scan_file

__all__ = ["Report", "scan", "scan_file"]


def __getattr__(name: str) -> object:
    """Load what is asked for, so that importing the package alone costs nothing."""
    if name in __all__:
        from casemate.scan import artifact

        return getattr(artifact, name)
    raise AttributeError(f"module 'casemate.scan' has no attribute '{name}'")
