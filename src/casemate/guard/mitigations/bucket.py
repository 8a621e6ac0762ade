"""Token buckets per key, in bounded memory."""

from __future__ import annotations

from typing import NamedTuple

_MOST = 1 << 16


class _Level(NamedTuple):
    tokens: float
    at: int


class Buckets:
    """Many buckets; the ones longest untouched are forgotten, which is as if they were full."""

    def __init__(self, most: int = _MOST) -> None:
        self._levels: dict[tuple[str, str], _Level] = {}
        self._most = most

    def level(self, key: tuple[str, str], now: int, *, size: float, per_second: float) -> float:
        """Return the tokens in a bucket at a moment, in microseconds since the epoch."""
        known = self._levels.get(key)
        if known is None:
            return size
        passed = max(0, now - known.at) / 1e6
        return min(size, known.tokens + passed * per_second)

    def take(
        self, key: tuple[str, str], now: int, tokens: float, *, size: float, per_second: float
    ) -> None:
        """Take tokens out, below zero if need be: a debt is paid before anything else is served."""
        left = self.level(key, now, size=size, per_second=per_second) - tokens
        known = self._levels.pop(key, None)
        if known is None and len(self._levels) >= self._most:
            self._levels.pop(next(iter(self._levels)))
        # A clock that jumps back must not fill the bucket twice.
        at = now if known is None else max(now, known.at)
        self._levels[key] = _Level(left, at)
