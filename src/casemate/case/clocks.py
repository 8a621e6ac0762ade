"""Clocks of the law: which deadlines an incident has started, when each ends, what is unanswered.

A clock of which nobody has said whether it runs is shown with the hour at which it would end: not
knowing does not stop it. casemate is no lawyer; it counts and asks.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from casemate.catalog.entries import Deadline
    from casemate.records.incident import Incident

State = Literal["running", "met", "missed", "not-started", "unknown"]
_SOMETIME = datetime.min.replace(tzinfo=UTC)
_ORDER: tuple[State, ...] = ("missed", "running", "unknown", "met", "not-started")


class Clock(NamedTuple):
    """One deadline as it stands for one incident."""

    id: str
    title: str
    law: str
    to: str
    """Who must be told."""
    due: datetime | None
    """None where the law names no number of hours, and where it does not apply."""
    state: State
    """`unknown`: whether it runs has not been said; `needs` names the facts."""
    needs: tuple[str, ...]
    """Names of facts that decide about it and that nobody has given yet."""
    because: str
    paper: str | None

    @property
    def stops(self) -> str:
        """The name of the fact that stops it: `told_gdpr_authority`."""
        return told(self.id)


def told(deadline: str) -> str:
    """Return the name of the fact that says when, or whether, somebody was told."""
    return f"told_{deadline.replace('-', '_')}"


def clocks(incident: Incident, deadlines: Mapping[str, Deadline], now: datetime) -> list[Clock]:
    """Return the clocks of an incident, the most pressing first.

    Args:
        incident: The case; `aware` is where they begin, `facts` decides which of them run.
        deadlines: From the catalog, by id.
        now: The present time, aware.
    """
    found = [_clock(incident, one, now) for one in deadlines.values()]
    last = datetime.max.replace(tzinfo=UTC)
    return sorted(found, key=lambda one: (_ORDER.index(one.state), one.due or last, one.id))


def unanswered(found: Iterable[Clock]) -> tuple[str, ...]:
    """Return the facts that clocks wait for, each once."""
    return tuple(dict.fromkeys(name for one in found for name in one.needs))


def _clock(incident: Incident, one: Deadline, now: datetime) -> Clock:
    due = None if one.hours is None else incident.aware + timedelta(hours=one.hours)
    wrong = [
        name
        for name, value in one.applies_when.items()
        if name in incident.facts and not _same(incident.facts[name], value)
    ]
    needs = tuple(name for name in one.applies_when if name not in incident.facts)
    state: State
    if wrong:
        said = " and ".join(f"{name} is {_word(incident.facts[name])}" for name in wrong)
        state, due, needs, because = "not-started", None, (), f"does not apply: {said}"
    elif (at := _told(incident, one.id, now)) is not None:
        late = due is not None and at != _SOMETIME and at > due
        state, needs = "missed" if late else "met", ()
        because = (
            "told, nobody said when" if at == _SOMETIME else f"told at {at:%Y-%m-%d %H:%M} UTC"
        )
        because += ", after the deadline" if late else ""
    elif needs:
        state = "unknown"
        because = f"runs if {' and '.join(_wanted(n, one.applies_when[n]) for n in needs)}"
        if due is not None and now > due:
            because += "; the hour has passed"
    elif due is not None and now > due:
        state, because = "missed", f"nobody has said that {one.to} was told"
    else:
        state, because = "running", f"{one.to} must be told"
    return Clock(one.id, one.title, one.law, one.to, due, state, needs, because, one.paper)


def _told(incident: Incident, deadline: str, now: datetime) -> datetime | None:
    said = incident.facts.get(told(deadline))
    if said is None or _same(said, False):
        return None
    try:
        at = datetime.fromisoformat(str(said))
    except ValueError:
        return _SOMETIME
    at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    return at if at <= now else None  # what is planned is not done


def _same(given: str | int | float | bool, wanted: bool | str) -> bool:
    if isinstance(wanted, bool):
        words = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}
        return words.get(str(given).lower().strip()) is wanted
    return str(given).lower().strip() == wanted.lower()


def _wanted(name: str, value: bool | str) -> str:
    return f"{name} is {_word(value)}"


def _word(value: object) -> str:
    return (
        {True: "yes", False: "no"}.get(value, str(value)) if isinstance(value, bool) else str(value)
    )
