"""Threats: from a description of the system to the attacks that apply to it, and why.

Stands between init, which writes the first description, and assess, which tries what applies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from casemate.threats.applies import only_model, threats

__all__ = ["only_model", "threats"]


def __getattr__(name: str) -> object:
    """Load what is asked for, so that importing the package alone costs nothing."""
    if name in __all__:
        from casemate.threats import applies

        return getattr(applies, name)
    raise AttributeError(f"module 'casemate.threats' has no attribute '{name}'")
