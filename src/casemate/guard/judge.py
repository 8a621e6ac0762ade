"""What the guard asks of whoever looks at the traffic for it.

Judges live in `detect` and come in as an argument, so that the guard runs without any.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from casemate.records.event import Measures
    from casemate.records.exchange import Exchange


class Judge(Protocol):
    """Looks at every input twice: before the answer is known and after.

    Called from one thread, in order, on the path of the request: bounded memory, bounded time, no
    I/O. Whatever it raises is caught by the guard, which counts it and serves (fails open).
    """

    def look(self, exchange: Exchange, ids: Sequence[str]) -> list[Measures]:
        """Measure the inputs of a request that has not been answered.

        Args:
            exchange: The request; `scores` and `labels` are None.
            ids: Id of each row's event to be, `<writer>:<sequence>`.

        Returns:
            One Measures per row, `signs` set where the input itself gives cause.
        """

    def weigh(self, exchange: Exchange, measured: Sequence[Measures]) -> list[Measures]:
        """Complete the measures once the answer is known: label, margin, flips, information.

        Args:
            exchange: The same request with `scores` or `labels`, as the model gave them.
            measured: What `look` returned for it.
        """
