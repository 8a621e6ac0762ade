"""What a scope still allows: one account of rate, spending and time for all an exercise sends.

Attacks, simulated users and second looks all ask here before every request, whichever connection
they use. What is spent is kept ahead of time, so that a crash never gives any of it back.
"""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from casemate.errors import TargetError, UsageError
from casemate.workflows.scope import in_time

if TYPE_CHECKING:
    from collections.abc import Callable

    from casemate.store.workspace import Workspace
    from casemate.workflows.scope import Signed

_AHEAD = 100
"""Inputs put on account before they are sent."""


class Allowance:
    """The account of one signed scope; shared by threads."""

    def __init__(
        self,
        signed: Signed,
        workspace: Workspace,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Read what earlier exercises have spent.

        Args:
            signed: The scope.
            workspace: Where the account is kept.
            clock: The present time.
        """
        self._scope = signed.scope
        self._workspace, self._clock = workspace, clock
        self._key = f"redteam:{signed.digest}"
        self._lock = threading.Lock()
        kept = workspace.cached(self._key)
        self.spent = int(kept) if kept else 0
        """Inputs sent under this scope, by this exercise and those before it."""
        self._account = self.spent
        self._next = 0.0

    @property
    def left(self) -> int:
        """Inputs that may still be sent."""
        return max(0, self._scope.spend - self.spent)

    def permit(self, inputs: int) -> float:
        """Put inputs on account and return the seconds to wait before they are sent.

        Raises:
            TargetError: The scope does not hold now, or is spent.
        """
        with self._lock:
            try:
                in_time(self._scope, self._clock())
            except UsageError as error:
                raise TargetError(str(error)) from error
            if self.spent + inputs > self._scope.spend:
                raise TargetError(
                    f"the scope '{self._scope.name}' is spent: "
                    f"{self.spent} of {self._scope.spend} inputs"
                )
            self.spent += inputs
            if self.spent > self._account:
                self._account = min(self.spent + _AHEAD, self._scope.spend)
                self._workspace.cache(self._key, str(self._account).encode())
            now = time.monotonic()
            turn = max(now, self._next)
            self._next = turn + inputs / self._scope.rate
        return turn - now

    def close(self) -> None:
        """Keep what was really spent."""
        with self._lock:
            self._account = self.spent
            self._workspace.cache(self._key, str(self.spent).encode())
