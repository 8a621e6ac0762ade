"""What a kind of broker must be able to do to carry events and orders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable


class Carrier(Protocol):
    """One broker, used from one event loop."""

    async def put(self, topic: str, key: str, ident: str, data: bytes) -> None:
        """Store a message; when this returns the broker has it.

        Args:
            topic: `events` or `orders`.
            key: Messages with one key stay in order.
            ident: The same message again has the same one.
            data: The message.

        Raises:
            ConnectionError: It may not have been stored; the same again may help.
            StoreError: The broker will never take it.
        """

    def read(
        self, topic: str, since: int | None, trouble: Callable[[str], None]
    ) -> AsyncIterator[bytes]:
        """Yield messages for ever, and go on where it was when the broker comes back.

        Args:
            topic: As above.
            since: Microseconds since the epoch; None for all that is kept.
            trouble: Told in words why nothing comes, and with nothing when it does again.
        """

    async def close(self) -> None:
        """Let go; nothing is flushed."""


PAUSES = (0.1, 0.2, 0.5, 1.0, 2.0)
"""Seconds between tries while a broker is away; the last one for ever."""


def pause(tries: int) -> float:
    """Return how long to wait after so many tries."""
    return PAUSES[min(tries, len(PAUSES) - 1)]
