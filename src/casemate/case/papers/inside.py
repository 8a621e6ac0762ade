"""Papers that stay in the house: the handover to the next shift, and the postmortem."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING

from casemate.case.papers.parts import Field, Paper, Section, Table
from casemate.case.papers.telling import (
    chosen,
    containments,
    deadlines,
    findings,
    left_out,
    span,
    timeline,
    when,
)
from casemate.records.incident import Step

if TYPE_CHECKING:
    from casemate.case.papers.telling import Told

_LINES = 20
"""Lines of the log that a handover shows, besides those that no paper leaves out."""


def handover(told: Told) -> Paper:
    """Return what whoever comes next must know in five minutes."""
    case = told.incident
    held = sum(state == "in force" for _, state in told.orders)
    waiting = sum(one.state == "frozen" for one in told.items)
    done = chosen(told.actions, _LINES)
    return Paper(
        "handover",
        f"Handover: {case.title}",
        case.id,
        f"Written {when(told.now)} by {told.by}",
        "For the next shift. It names people and accounts: it stays in the house.",
        (
            Section(
                "Where it stands",
                fields=(
                    Field("State", f"{case.state}, {case.severity.value}"),
                    Field("Handled as", told.threat),
                    Field("Model", told.model),
                    Field("Owner until now", case.owner or "nobody"),
                    told.field("Goes to", "next_owner", "Who takes it over?"),
                    Field("Open for", span(case.opened, told.now)),
                    Field("Containments in force", str(held)),
                    Field("Evidence still to be copied", str(waiting)),
                ),
            ),
            Section("What is known", text=findings(told)),
            Section("Who is involved", table=_suspects(told)),
            Section("What holds now", table=containments(told)),
            Section("Clocks", table=deadlines(told)),
            Section("Steps that are open", table=_open_steps(told)),
            Section("Do this next", items=told.next_steps),
            Section(
                "What no record shows",
                text=(
                    told.fact("handover_note", "What did you see, suspect or promise?"),
                    told.fact("who_was_called", "Who has been called, and who knows?"),
                ),
            ),
            Section("What was done", text=left_out(told, done), table=timeline(done)),
        ),
    )


def postmortem(told: Told) -> Paper:
    """Return what happened, how it was answered and what is learnt; nobody is blamed by name."""
    case, triage = told.incident, told.incident.triage
    began = when(triage.began) if triage is not None else "not known"
    first = told.last("contained")
    done = chosen(told.actions)
    contained = "not contained" if first is None else _after(told, "contained")
    return Paper(
        "postmortem",
        f"Postmortem: {told.threat} of {told.model}",
        case.id,
        f"Written {when(told.now)} by {told.by}",
        "What happened and what changes. Callers are counted, not named; nobody is to blame.",
        (
            Section("In short", text=findings(told, names=False)),
            Section(
                "In figures",
                fields=(
                    Field("Type", told.threat),
                    Field("Severity", case.severity.value),
                    Field("Model", told.model),
                    Field("First event", began),
                    Field("Learned of it", when(case.aware)),
                    Field("Evidence frozen", _after(told, "frozen")),
                    Field("First contained", contained),
                    Field("Closed", when(case.closed) if case.closed else "still open"),
                    Field("Callers involved", str(len(triage.suspects)) if triage else "not known"),
                    Field("Their queries", f"{triage.queries:,}" if triage else "not known"),
                    told.field("People affected", "people_affected", "How many people?"),
                    told.field("Harm", "harm", "What harm was done, to whom?"),
                ),
            ),
            Section(
                "Root cause",
                text=(told.fact("root_cause", "What let it happen? One sentence, no name."),),
            ),
            Section("What it reached", text=(_reach(told),)),
            Section("What was done about it", table=containments(told, names=False)),
            Section("The weakness", table=_weaknesses(told)),
            Section("Steps of the playbook", table=_steps(told)),
            Section(
                "What is learnt",
                text=(
                    told.fact("went_well", "What went well?"),
                    told.fact("went_badly", "What went badly, and where was luck?"),
                    told.fact(
                        "noticed_by", "Who or what noticed it, and could it have been sooner?"
                    ),
                ),
            ),
            Section(
                "What changes",
                text=(told.fact("changes", "What changes, by whom, until when?"),),
            ),
            Section("Timeline", text=left_out(told, done), table=timeline(done, names=False)),
        ),
    )


def _after(told: Told, kind: str) -> str:
    found = [one for one in told.actions if one.kind == kind and one.outcome == "done"]
    if not found:
        return "not on record"
    return f"{when(found[0].at)}, {span(told.incident.aware, found[0].at)} after it was learned of"


def _reach(told: Told) -> str:
    scoped = told.last("scoped")
    if scoped is not None:
        return told.hidden(scoped.text)
    return "Nobody has asked yet: casemate case radius says which models and decisions it reaches."


def _suspects(told: Told) -> Table:
    triage = told.incident.triage
    rows = tuple(
        (one.principal, f"{one.queries:,}", when(one.began), one.confidence.value, one.because)
        for one in (triage.suspects[:20] if triage is not None else ())
    )
    return Table(("who", "queries", "first seen", "how sure", "why"), rows)


def _open_steps(told: Told) -> Table:
    steps = told.incident.steps
    left = [
        (one.id, one.title, state.state, _answer(told, state) or one.question or "")
        for one in (told.plan.steps if told.plan is not None else ())
        if (state := steps.get(one.id, Step())).state not in ("done", "skipped")
    ]
    return Table(("step", "what", "state", "answer"), tuple(left))


def _answer(told: Told, state: Step) -> str:
    """Return what a step found and when: what was done since need not be in it."""
    if not state.answer or state.at is None:
        return state.answer or ""
    at, now = state.at.astimezone(UTC), told.now.astimezone(UTC)
    moment = f"{at:%H:%M} UTC" if at.date() == now.date() else f"{at:%Y-%m-%d %H:%M} UTC"
    since = [one for one in told.actions if one.at > state.at and one.kind != "stepped"]
    kinds = ", ".join(dict.fromkeys(one.kind for one in since))
    later = f"; on the log since: {kinds}" if kinds else ""
    return f"{state.answer} (as of {moment}{later})"


def _steps(told: Told) -> Table:
    steps = told.incident.steps
    rows = [
        (one.phase, one.title, steps.get(one.id, Step()).state)
        for one in (told.plan.steps if told.plan is not None else ())
    ]
    return Table(("phase", "step", "state"), tuple(rows))


def _weaknesses(told: Told) -> Table:
    rows = tuple(
        (one.id, one.title, one.state, ", ".join(f"{s.scheme} {s.level}" for s in one.scores))
        for one in told.vulnerabilities
    )
    return Table(("id", "weakness", "state", "score"), rows)
