"""GuardBook: which guards stand before the models of a workspace, and which orders each obeys.

Every guard of the machine says so now and then; whoever gives an order can see that it is obeyed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

if TYPE_CHECKING:
    from casemate.store.workspace import Workspace

ALIVE = 15_000_000
"""Microseconds after which a guard that said nothing is no longer taken for alive."""
_FORGOTTEN = 7 * 86_400_000_000


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """What a guard says of itself."""

    writer: str
    mode: Literal["observe", "enforce"]
    upstream: str
    """Where its requests go, or the kind of shell it is: `envoy`, `asgi`, `wsgi`."""
    seen: int
    """When it said so, in microseconds since the epoch."""
    obeys: tuple[str, ...] = ()
    """Ids of the orders it carries out, if it enforces."""
    refuses: dict[str, str] = {}
    """Orders it does not carry out, and why."""


class GuardBook:
    """What the guards of one workspace said last."""

    def __init__(self, workspace: Workspace) -> None:
        """Use an open workspace; it stays the caller's to close."""
        self._workspace = workspace

    def tell(self, standing: Standing) -> None:
        """Keep what a guard says of itself."""
        with self._workspace.writing() as database:
            database.execute(
                "REPLACE INTO guards (writer, seen, body) VALUES (?, ?, ?)",
                (standing.writer, standing.seen, msgspec.json.encode(standing)),
            )
            database.execute("DELETE FROM guards WHERE seen < ?", (standing.seen - _FORGOTTEN,))

    def gone(self, writer: str) -> None:
        """Forget a guard that has ended."""
        with self._workspace.writing() as database:
            database.execute("DELETE FROM guards WHERE writer = ?", (writer,))

    def all(self) -> list[Standing]:
        """Return what each guard said last, the latest first."""
        with self._workspace.reading() as database:
            rows = database.execute("SELECT body FROM guards ORDER BY seen DESC").fetchall()
        return [msgspec.json.decode(body, type=Standing) for (body,) in rows]

    def alive(self, now: int) -> list[Standing]:
        """Return the guards that said something lately.

        Args:
            now: Microseconds since the epoch.
        """
        return [one for one in self.all() if one.seen > now - ALIVE]
