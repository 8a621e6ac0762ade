"""CaseBook: the cases of a workspace and their custody logs, kept so that no line is ever changed.

Written by the case workflows, read by console and bundle. Each action names the digest of the one
before it; a change to a case that somebody else has changed since is refused and put on record.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from casemate.errors import Conflict, NotFound, StoreError, UsageError
from casemate.records.codec import decode, encode
from casemate.records.incident import Action, Incident

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

    from casemate.store.workspace import Workspace


class Log(NamedTuple):
    """The custody log of a case, and whether it is whole."""

    actions: tuple[Action, ...]
    faults: tuple[str, ...]
    """One sentence for each line that is missing, changed or not of this chain."""


class CaseBook:
    """The cases of one workspace, shared by every process that opens it."""

    def __init__(self, workspace: Workspace) -> None:
        """Use an open workspace; it stays the caller's to close."""
        self._workspace = workspace

    def open(self, year: int, make: Callable[[str], tuple[Incident, Action]]) -> Incident:
        """Keep a new case under the year's next id.

        Args:
            year: Of its opening.
            make: From the id to the case and its first action; called under the write lock.
        """
        with self._workspace.writing() as database:
            rows = database.execute(
                "SELECT id FROM cases WHERE id LIKE ?", (f"case-{year}-%",)
            ).fetchall()
            last = max((int(str(one).rpartition("-")[2]) for (one,) in rows), default=0)
            incident, action = make(f"case-{year}-{last + 1:04d}")
            database.execute(
                "INSERT INTO cases (id, state, version, body) VALUES (?, ?, ?, ?)",
                (incident.id, incident.state, incident.version, encode(incident)),
            )
            _append(database, action)
        return incident

    def get(self, which: str) -> Incident:
        """Return a case by id, by its number, or by the end of its id.

        Raises:
            UsageError: There is none.
        """
        cases = self.all()
        if which == "latest" and cases:
            return cases[-1]
        for one in cases:
            if one.id == which:
                return one
        found = []
        if re.fullmatch(r"(?:case-)?(?:\d{4}-)?\d+", which):
            wanted = [int(part) for part in which.removeprefix("case-").split("-")]
            found = [one for one in cases if _numbers(one.id)[-len(wanted) :] == wanted]
        if len(found) == 1:
            return found[0]
        known = ", ".join(one.id for one in (found or cases)[-3:])
        problem = f"{len(found)} cases are called" if found else "there is no case"
        hint = (
            f"there are: {known}"
            if known
            else "casemate case open --from latest, or --since 24h, makes one"
        )
        kind = UsageError if found else NotFound
        raise kind(f"{problem} '{which}'", hint=hint)

    def all(self) -> list[Incident]:
        """Return every case, oldest first."""
        with self._workspace.reading() as database:
            rows = database.execute("SELECT body FROM cases ORDER BY id").fetchall()
        return [one for (body,) in rows if isinstance(one := decode(body), Incident)]

    def log(self, case: str) -> Log:
        """Return the custody log of a case, checked line by line and for a missing end."""
        with self._workspace.reading() as database:
            told = database.execute(
                "SELECT lines, head FROM cases WHERE id = ?", (case,)
            ).fetchone()
            rows = database.execute(
                "SELECT number, digest, body FROM actions WHERE case_id = ? ORDER BY number",
                (case,),
            ).fetchall()
        actions: list[Action] = []
        faults: list[str] = []
        previous: str | None = None
        for place, (number, digest, body) in enumerate(rows):
            data = body if isinstance(body, bytes) else str(body).encode()
            try:
                one = decode(data)
            except StoreError:
                one = None
            if not isinstance(one, Action) or one.case != case:
                faults.append(f"line {number} is no action of this case")
                previous = str(digest)
                continue
            if number != place or one.number != number:
                faults.append(f"line {place} is missing or out of place")
            if _digest(data) != digest:
                faults.append(f"line {number} was changed")
            elif one.previous != previous:
                faults.append(f"line {number} does not follow the line before it")
            previous = str(digest)
            actions.append(one)
        if told is not None and (len(rows), previous or "") != (told[0], told[1]):
            missing = told[0] - len(rows)
            faults.append(
                f"the last {missing} lines are missing" if missing > 0
                else "it does not end as the case says it does"
            )  # fmt: skip
        return Log(tuple(actions), tuple(faults))

    def lines(self, case: str) -> list[bytes]:
        """Return the custody log of a case as it is kept, unchecked."""
        with self._workspace.reading() as database:
            rows = database.execute(
                "SELECT body FROM actions WHERE case_id = ? ORDER BY number", (case,)
            ).fetchall()
        return [_raw(body) for (body,) in rows]

    def change(
        self,
        case: str,
        action: Action,
        change: Callable[[Incident], Incident] = lambda one: one,
        *,
        version: int | None = None,
        also: Callable[[sqlite3.Connection], None] = lambda _: None,
    ) -> Incident:
        """Put an action on a case's log and change the case with it, both or neither.

        Args:
            case: Its id.
            action: `case`, `number` and `previous` are set here.
            change: From the case as it is now to as it shall be; called under the write lock.
            version: Of the case the author looked at; None when it does not matter.
            also: What else is written in the same transaction, such as orders.

        Raises:
            NotFound: There is no such case.
            Conflict: It has been changed since `version`; the attempt is then on its log.
            StoreError: The workspace cannot be written.
        """
        with self._workspace.writing() as database:
            row = database.execute("SELECT body FROM cases WHERE id = ?", (case,)).fetchone()
            found = decode(row[0]) if row else None
            if not isinstance(found, Incident):
                raise NotFound(f"there is no case '{case}'", hint="casemate case list")
            late = version is not None and version != found.version
            if late:
                action = msgspec.structs.replace(action, outcome="conflict")
                incident = found
            else:
                incident = msgspec.structs.replace(change(found), version=found.version + 1)
                database.execute(
                    "UPDATE cases SET state = ?, version = ?, body = ? WHERE id = ?",
                    (incident.state, incident.version, encode(incident), case),
                )
                also(database)
            kept = _append(database, msgspec.structs.replace(action, case=case))
        if late:
            other = next(
                (
                    one
                    for one in reversed(self.log(case).actions)
                    if one.number < kept.number and one.outcome != "conflict"
                ),
                None,
            )
            by = f" by {other.author} ({other.text})" if other is not None else ""
            raise Conflict(
                f"{case} was changed in the meantime{by}",
                hint=f"casemate case show {case}, then decide again",
            )
        return incident


def line(action: Action) -> bytes:
    """Return an action as it is kept, hashed, and written to a bundle's custody log."""
    return encode(action)


def _append(database: sqlite3.Connection, action: Action) -> Action:
    row = database.execute(
        "SELECT number, digest FROM actions WHERE case_id = ? ORDER BY number DESC LIMIT 1",
        (action.case,),
    ).fetchone()
    number, previous = (row[0] + 1, row[1]) if row else (0, None)
    kept = msgspec.structs.replace(action, number=number, previous=previous)
    body = line(kept)
    database.execute(
        "INSERT INTO actions (case_id, number, digest, body) VALUES (?, ?, ?, ?)",
        (kept.case, number, _digest(body), body),
    )
    database.execute(
        "UPDATE cases SET lines = lines + 1, head = ? WHERE id = ?", (_digest(body), kept.case)
    )
    return kept


def _raw(body: bytes | str) -> bytes:
    """Return a kept body; SQLite makes text of one that was edited by hand."""
    return body.encode("utf-8", "surrogateescape") if isinstance(body, str) else bytes(body)


def _digest(body: bytes) -> str:
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


def _numbers(ident: str) -> list[int]:
    return [int(part) for part in ident.split("-")[1:]]
