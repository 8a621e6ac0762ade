"""What a case can say about itself, in words and figures that a paper may quote."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from casemate.case.papers.parts import Blank, Field, Section, Table, Value
from casemate.export import callers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from casemate.case.clocks import Clock
    from casemate.case.evidence import Item
    from casemate.case.papers.parts import Paper
    from casemate.case.playbook import Plan
    from casemate.records.incident import Action, Incident
    from casemate.records.order import Order
    from casemate.records.vulnerability import Vulnerability

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TURNS = ("opened", "contained", "undone", "closed", "reopened")
"""Actions that no paper leaves out."""


class Told(NamedTuple):
    """A case and what surrounds it."""

    incident: Incident
    actions: tuple[Action, ...]
    clocks: tuple[Clock, ...]
    items: tuple[Item, ...]
    orders: tuple[tuple[Order, str], ...]
    """Each with its state: `in force`, `expired`, `undone`."""
    plan: Plan | None
    vulnerabilities: tuple[Vulnerability, ...]
    titles: Mapping[str, str]
    """Of the catalog ids it names."""
    asks: Mapping[str, str]
    """Questions behind the facts that clocks need, by fact."""
    next_steps: tuple[str, ...]
    now: datetime
    by: str
    callers: tuple[str, ...] = ()
    """Who took part, besides the suspects of the triage."""

    def fact(self, name: str, question: str) -> Value:
        """Return what somebody said, or the blank that asks for it."""
        value = self.incident.facts.get(name)
        if value is None:
            return Blank(name, question)
        return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)

    def field(self, name: str, fact: str, question: str) -> Field:
        """Return a field that a fact fills."""
        return Field(name, self.fact(fact, question))

    @property
    def threat(self) -> str:
        """The type it is handled as, in words."""
        ident = self.incident.threat
        return "not named yet" if ident is None else self.titles.get(ident, ident)

    @property
    def model(self) -> str:
        """Names of the models it is about."""
        triage = self.incident.triage
        return ", ".join(triage.models) if triage is not None and triage.models else "not known"

    def hidden(self, text: str) -> str:
        """Return text with a number in the place of each suspect's name."""
        names = [*callers.of_incident(self.incident), *self.callers]
        names += [one.scope.principal for one, _ in self.orders if one.scope.principal]
        return callers.hidden(text, names)

    def unnamed(self, paper: Paper) -> Paper:
        """Return a paper with a number in the place of each caller's name, whoever wrote it."""

        def said(value: Value) -> Value:
            return value if isinstance(value, Blank) else self.hidden(value)

        def part(one: Section) -> Section:
            table = one.table and Table(
                one.table.head, tuple(tuple(map(self.hidden, row)) for row in one.table.rows)
            )
            return one._replace(
                text=tuple(map(said, one.text)),
                fields=tuple(Field(it.name, said(it.value)) for it in one.fields),
                table=table,
                items=tuple(map(self.hidden, one.items)),
            )

        return paper._replace(
            title=self.hidden(paper.title), sections=tuple(map(part, paper.sections))
        )

    def last(self, kind: str) -> Action | None:
        """Return the last action of a kind that was carried out."""
        found = [one for one in self.actions if one.kind == kind and one.outcome == "done"]
        return found[-1] if found else None


def when(moment: datetime | int | None) -> str:
    """Return a time as papers write it; microseconds since the epoch are taken too."""
    if moment is None:
        return "not known"
    if isinstance(moment, int):
        moment = _EPOCH + timedelta(microseconds=moment)
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def span(began: datetime, ended: datetime) -> str:
    """Return a length of time in words."""
    minutes = max(0, round((ended - began).total_seconds() / 60))
    days, rest = divmod(minutes, 1440)
    hours, minutes = divmod(rest, 60)
    parts = [f"{days} d"] if days else []
    parts += [f"{hours} h"] if hours else []
    return " ".join([*parts, f"{minutes} min"])


def chosen(actions: Sequence[Action], most: int | None = None) -> list[Action]:
    """Return the lines of the custody log that a paper shows, in order.

    Args:
        actions: The log.
        most: Show the last so many; opening, containments and closing are shown all the same.
    """
    shown = [one for one in actions if one.kind != "stepped" or one.outcome != "done"]
    if most is None or len(shown) <= most:
        return shown
    first = len(shown) - most
    return [one for place, one in enumerate(shown) if place >= first or one.kind in _TURNS]


def left_out(told: Told, shown: Sequence[Action]) -> tuple[str, ...]:
    """Return the sentence that says how many lines of the log a paper does not show."""
    more = len(told.actions) - len(shown)
    if not more:
        return ()
    lines = "1 more line stands" if more == 1 else f"{more} more lines stand"
    command = f"casemate case show {told.incident.id} --log"
    return (f"{lines} on the custody log, steps of the playbook among them: {command}",)


def timeline(shown: Sequence[Action], *, names: bool = True) -> Table:
    """Return lines of the custody log as a table; without names, who did it is left out."""
    if names:
        rows = tuple((when(one.at), one.author, one.kind, _line(one)) for one in shown)
        return Table(("when", "who", "what", "in words"), rows)
    return Table(
        ("when", "what", "outcome"), tuple((when(one.at), one.kind, one.outcome) for one in shown)
    )


def containments(told: Told, *, names: bool = True) -> Table:
    """Return the orders of a case as a table."""
    rows = tuple(
        (
            order.action,
            _whom(order) if names else ("one caller" if order.scope.principal else "all callers"),
            when(order.at),
            when(order.expires),
            state,
        )
        for order, state in told.orders
    )
    return Table(("action", "whom", "given", "until", "state"), rows)


def deadlines(told: Told) -> Table:
    """Return the clocks of a case that run, may run, or ran."""
    rows = tuple(
        (one.law, when(one.due) if one.due else "without undue delay", one.state, one.because)
        for one in told.clocks
        if one.state != "not-started"
    )
    return Table(("law", "at the latest", "state", "why"), rows)


def findings(told: Told, *, names: bool = True) -> tuple[Value, ...]:
    """Return what the triage says, a sentence each; without names, callers are numbered."""
    triage = told.incident.triage
    if triage is None:
        return (told.fact("what_happened", "What happened, as far as it is known?"),)
    first = triage.guesses[0] if triage.guesses else None
    words = [f"The record says: {triage.assessment.replace('-', ' ')}, {triage.confidence.value}."]
    if first is not None:
        name = told.titles.get(first.threat, first.threat)
        words.append(f"Most probably {name} ({first.share:.0%}): {first.because}")
    if triage.success is not None:
        words.append(f"Share that succeeded: {triage.success:.0%}. {triage.success_note or ''}")
    elif triage.success_note:
        words.append(triage.success_note)
    if triage.missing:
        words.append(f"The record lacks {triage.missing} requests.")
    words += triage.reasons[:6]
    return tuple(words if names else map(told.hidden, words))


def _whom(order: Order) -> str:
    scope = order.scope
    return scope.principal or scope.session or scope.model or scope.route or "everybody"


def _line(action: Action) -> str:
    return action.text if action.outcome == "done" else f"{action.outcome}: {action.text}"
