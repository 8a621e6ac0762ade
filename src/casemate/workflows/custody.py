"""Lines for a case's custody log: who, when, with which tool."""

from __future__ import annotations

import getpass
import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import casemate
from casemate.errors import UsageError
from casemate.records.incident import Action, ActionKind, Outcome
from casemate.records.make import make

if TYPE_CHECKING:
    from collections.abc import Mapping

VARIABLE = "CASEMATE_USER"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MOST = 120


def action(
    by: str,
    kind: ActionKind,
    text: str,
    *,
    outcome: Outcome = "done",
    records: tuple[str, ...] = (),
    details: Mapping[str, str | int | float | bool | None] | None = None,
    case: str = "",
) -> Action:
    """Return a line of a custody log; its case, number and predecessor are the book's to set.

    Args:
        by: Who acts.
        kind: What is done.
        text: In words, for a person.
        outcome: How it went.
        records: Ids or digests of what it is about.
        details: Figures and names.
        case: Id of the case, where it is not kept by `CaseBook.change`.

    Raises:
        UsageError: Nobody acts, or a figure is not finite.
    """
    return make(
        Action,
        case=case,
        number=0,
        at=datetime.now(UTC),
        author=named(by),
        kind=kind,
        text=text,
        outcome=outcome,
        records=records,
        details=dict(details or {}),
        tool=f"casemate {casemate.__version__}",
    )


def author() -> str:
    """Return who is at the keyboard: CASEMATE_USER, else the name of the account."""
    given = os.environ.get(VARIABLE, "").strip()
    if given:
        return named(given)
    try:
        return named(getpass.getuser())
    except (OSError, KeyError, UsageError):
        return "unknown"


def named(by: str) -> str:
    """Return a person's name as it goes on record.

    Raises:
        UsageError: It is empty, or too long for a name.
    """
    name = " ".join(by.split())
    if not name or len(name) > _MOST:
        raise UsageError("an action needs the name of who does it", hint=f"{VARIABLE}=ada, or --by")
    return name


def micros(moment: datetime) -> int:
    """Return an aware time in microseconds since the epoch."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def moment(at: int) -> datetime:
    """Return microseconds since the epoch as an aware time."""
    return _EPOCH + timedelta(microseconds=at)
