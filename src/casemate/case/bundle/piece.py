"""Piece: one thing that goes into a bundle, with its bytes or the place where they lie."""

from __future__ import annotations

from pathlib import Path

import msgspec


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be packed."""

    name: str
    """Unique in the bundle, with `/`: `items/config/casemate.toml`."""
    kind: str
    producer: str
    """Whose items are counted together: `telemetry`, `artifact`."""
    data: bytes | None = None
    file: Path | None = None
    """In the place of `data`, for what may be large."""
    size: int = 0
    """Bytes, as far as they are known beforehand."""
    digest: str | None = None
    """`sha256:` and 64 hex digits that it had when it was collected."""
    why: str | None = None
    """Where there are neither data nor file: why nothing was collected. Else what is odd."""
    beside: str | None = None
    """Name of the piece it is shown and withheld with."""

    @property
    def is_absent(self) -> bool:
        """Whether there is nothing to pack."""
        return self.data is None and self.file is None
