"""Simulated users who go on asking a live endpoint while it is attacked.

They send inputs of the data, unchanged, each under a name of its own; what happens to them is the
price of a mitigation.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from casemate.errors import CasemateError
from casemate.workflows.opening import open_both

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from casemate.workflows.allowance import Allowance
    from casemate.workflows.config import Loaded

_PAUSE = 0.05
"""Seconds a user waits between two questions."""


class Neighbours:
    """A few users of one endpoint; counts what they sent and how they fared."""

    def __init__(
        self,
        loaded: Loaded,
        uri: str | None,
        users: int,
        principal: str | None,
        mark: Mapping[str, str],
        allowance: Allowance,
    ) -> None:
        """Nothing is sent before `asking`.

        Args:
            loaded: The configuration.
            uri: The endpoint; None sends nothing.
            users: How many.
            principal: Header that names them.
            mark: Headers that mark the exercise.
            allowance: Asked before every request; when it is spent the users stop.
        """
        self.sent = 0
        self.harmed = 0
        """Refused, failed, or answered another label than `truth` has."""
        self.truth: dict[int, int] = {}
        """Label by row, as the endpoint first answered it."""
        self.names: frozenset[str] = frozenset(
            f"user-{number}" for number in range(users if uri else 0)
        )
        self._loaded, self._uri = loaded, uri
        self._principal, self._mark, self._allowance = principal, mark, allowance
        self._lock = threading.Lock()

    @contextmanager
    def asking(self, data: str | None, label: str | None) -> Iterator[None]:
        """Keep the users asking until the block ends."""
        stop = threading.Event()
        threads = [
            threading.Thread(target=self._ask, args=(name, stop, data, label), daemon=True)
            for name in sorted(self.names)
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            stop.set()
            for thread in threads:
                thread.join()

    def _ask(self, name: str, stop: threading.Event, data: str | None, label: str | None) -> None:
        import numpy as np

        headers = {**self._mark, **({self._principal: name} if self._principal else {})}
        rng = np.random.default_rng(sum(name.encode()))
        try:
            with open_both(
                self._loaded,
                target=self._uri,
                data=data,
                label=label,
                device="cpu",
                headers=headers,
                permit=self._allowance.permit,
            ) as opened:
                model: object = opened.model
                while not stop.wait(_PAUSE) and self._allowance.left:
                    row = int(rng.integers(len(opened.data.x)))
                    self._count(row, model, opened.data.x[row : row + 1])
        except CasemateError:
            if self._allowance.left:
                with self._lock:
                    self.sent += 1
                    self.harmed += 1

    def _count(self, row: int, model: object, x: object) -> None:
        try:
            given: int | None = int(model.labels(x)[0])  # type: ignore[attr-defined]
        except CasemateError:
            given = None
        if given is None and not self._allowance.left:
            return
        with self._lock:
            self.sent += 1
            if given is None or self.truth.setdefault(row, given) != given:
                self.harmed += 1
