"""Where private keys lie: one folder outside every workspace, of its owner alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

VARIABLE = "CASEMATE_KEYS"


def key_folder(environment: Mapping[str, str]) -> Path:
    """Return the folder that CASEMATE_KEYS names, else one in the user's own state folder.

    It holds `guard.key` (the site key), `log.pem` (signs the record) and `approver.key` (signs
    scopes). In earnest they belong to different people; each can be put elsewhere by itself.
    """
    named = environment.get(VARIABLE)
    if named:
        return Path(named)
    state = environment.get("XDG_STATE_HOME")
    return (Path(state) if state else Path.home() / ".local" / "state") / "casemate"
