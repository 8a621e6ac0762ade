"""VulnerabilityBook: the weaknesses a workspace keeps track of.

Written by the vulnerability workflow, read by console, case and exports. Each has an id of the year
it was opened in; nothing is ever deleted, a state says what became of it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from casemate.errors import UsageError
from casemate.records.codec import decode, encode
from casemate.records.vulnerability import Vulnerability

if TYPE_CHECKING:
    from collections.abc import Callable

    from casemate.store.workspace import Workspace


class VulnerabilityBook:
    """The weaknesses of one workspace, shared by every process that opens it."""

    def __init__(self, workspace: Workspace) -> None:
        """Use an open workspace; it stays the caller's to close."""
        self._workspace = workspace

    def open(
        self,
        year: int,
        make: Callable[[str, list[Vulnerability]], Vulnerability],
    ) -> Vulnerability:
        """Keep a weakness: a new one under the year's next id, or one already known with more.

        Args:
            year: Of its opening.
            make: From the next id and all that are known to what is to be kept: one with that id,
                or a known one changed. Called under the write lock, so that two people who report
                the same at once get one.
        """
        with self._workspace.writing() as database:
            rows = database.execute("SELECT body FROM vulnerabilities ORDER BY id").fetchall()
            known = [one for (body,) in rows if isinstance(one := decode(body), Vulnerability)]
            ids = [one.id for one in known if one.id.startswith(f"cmv-{year}-")]
            last = max((int(one.rpartition("-")[2]) for one in ids), default=0)
            kept = make(f"cmv-{year}-{last + 1:04d}", known)
            database.execute(
                "INSERT INTO vulnerabilities (id, state, version, body) VALUES (?, ?, 0, ?)"
                " ON CONFLICT (id) DO UPDATE SET state = excluded.state,"
                " version = version + 1, body = excluded.body",
                (kept.id, kept.state, encode(kept)),
            )
        return kept

    def change(self, ident: str, change: Callable[[Vulnerability], Vulnerability]) -> Vulnerability:
        """Change one, from as it is now; `change` is called under the write lock.

        Raises:
            UsageError: There is none with this id.
        """
        with self._workspace.writing() as database:
            row = database.execute(
                "SELECT body FROM vulnerabilities WHERE id = ?", (ident,)
            ).fetchone()
            found = decode(row[0]) if row else None
            if not isinstance(found, Vulnerability):
                raise UsageError(f"there is no vulnerability '{ident}'", hint="casemate vuln list")
            kept = change(found)
            database.execute(
                "UPDATE vulnerabilities SET state = ?, version = version + 1, body = ?"
                " WHERE id = ?",
                (kept.state, encode(kept), ident),
            )
        return kept

    def get(self, which: str) -> Vulnerability:
        """Return one by id or by its number, alone or after its year; `latest` is the newest.

        Raises:
            UsageError: There is none, or more than one.
        """
        known = self.all()
        if which == "latest" and known:
            return known[-1]
        found = [one for one in known if one.id == which]
        if not found and re.fullmatch(r"(?:cmv-)?(?:\d{4}-)?\d{1,9}", which):
            wanted = [int(part) for part in which.removeprefix("cmv-").split("-")]
            found = [one for one in known if _numbers(one.id)[-len(wanted) :] == wanted]
        if len(found) == 1:
            return found[0]
        problem = f"{len(found)} vulnerabilities are" if found else "no vulnerability is"
        near = ", ".join(one.id for one in (found or known)[-3:])
        hint = f"there are: {near}" if near else "casemate vuln add --from FINDING makes one"
        raise UsageError(f"{problem} called '{which}'", hint=hint)

    def all(self) -> list[Vulnerability]:
        """Return every one, oldest first."""
        with self._workspace.reading() as database:
            rows = database.execute("SELECT body FROM vulnerabilities ORDER BY id").fetchall()
        return [one for (body,) in rows if isinstance(one := decode(body), Vulnerability)]


def _numbers(ident: str) -> list[int]:
    return [int(part) for part in ident.split("-")[1:]]
