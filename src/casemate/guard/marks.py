"""The mark of casemate's own red team on its traffic: signed, as marked detections never page."""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from casemate.guard.keys import Keys

HEADER = "x-casemate-run"
_LONGEST = 64


class Marks:
    """Signs and reads the header, `<run id>.<32 hex digits>`."""

    def __init__(self, keys: Keys) -> None:
        self._key = keys.derive("red-team")

    def sign(self, run: str) -> str:
        """Return the header's value for a run."""
        return f"{run}.{self._code(run)}"

    def read(self, value: str) -> str | None:
        """Return the run of a header, None when its signature is not ours."""
        run, _, code = value.rpartition(".")
        if not run or len(run) > _LONGEST or not run.isascii() or not code.isascii():
            return None
        return run if hmac.compare_digest(code, self._code(run)) else None

    def _code(self, run: str) -> str:
        return hmac.new(self._key, run.encode(), hashlib.sha256).hexdigest()[:32]
