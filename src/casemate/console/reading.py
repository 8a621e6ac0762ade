"""The pages that only read: each gathers what it shows and calls one workflow for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from casemate.errors import UsageError
from casemate.workflows import casefile, overview

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from casemate.case.clocks import Clock
    from casemate.console.desk import Desk
    from casemate.console.people import Role

    Gather = Callable[[Desk, Mapping[str, str]], Mapping[str, Any]]


_LONGEST = 1 << 20
"""Bytes of a paper that are shown."""


class Page(NamedTuple):
    """One page: where it is, who may see it, what it shows."""

    path: str
    template: str
    gather: Gather
    role: Role = "viewer"
    looks: str | None = None
    """What the audit trail says, where looking is put on record."""


def now(desk: Desk, _: Mapping[str, str]) -> Mapping[str, Any]:
    """What is happening now?"""
    found = overview.now(desk.workspace, desk.traffic)
    return {"now": found}


def pulse(desk: Desk, _: Mapping[str, str]) -> Mapping[str, Any]:
    """Show what was asked in the last hour."""
    traffic = _traffic(desk)
    newest = traffic.newest()
    end = overview.micros()
    line = traffic.timeline(end - 3600 * 1_000_000, end)
    return {"timeline": line, "newest": newest, "marks": ()}


def cases(desk: Desk, given: Mapping[str, str]) -> Mapping[str, Any]:
    """Show every case, the newest first."""
    rows = [overview.row(one) for one in reversed(overview.incidents(desk.workspace))]
    state = given.get("state", "")
    return {"cases": [one for one in rows if state in ("", one.state)], "state": state}


def case(desk: Desk, given: Mapping[str, str]) -> Mapping[str, Any]:
    """Show what a case is."""
    from casemate.workflows import containing, papers
    from casemate.workflows.cases import view

    found = view(desk.workspace, given["case"])
    return {
        "case": found.incident,
        "row": overview.row(found.incident),
        "actions": found.actions,
        "faults": found.faults,
        "clocks": found.clocks,
        "next_steps": tuple(map(casefile.step_of, found.next_steps)),
        "items": found.items,
        "orders": found.orders,
        "span": casefile.span_of(found.incident),
        "kinds": casefile.kinds(),
        "containments": tuple(containing.ACTIONS),
        "papers": casefile.papers(found.folder),
        "paper_kinds": [(kind, one.title) for kind, one in papers.KINDS.items()],
        "played": _played(desk, found.incident.id),
        "questions": _questions(found.clocks),
    }


def paper(desk: Desk, given: Mapping[str, str]) -> Mapping[str, Any]:
    """Show a paper of a case as it was written."""
    from casemate.store.cases import CaseBook
    from casemate.workflows.collecting import folder_of

    found = CaseBook(desk.workspace).get(given["case"])
    folder, name = folder_of(desk.workspace, found.id), given.get("name", "")
    if name not in casefile.papers(folder):
        raise UsageError(f"{found.id} has no paper '{name}'")
    text = (folder / "papers" / name).read_bytes()[:_LONGEST].decode("utf-8", "replace")
    return {"case": found.id, "name": name, "text": text}


def case_timeline(desk: Desk, given: Mapping[str, str]) -> Mapping[str, Any]:
    """Show what came around a case, the suspects by themselves."""
    from casemate.store.cases import CaseBook

    book = CaseBook(desk.workspace)
    found = book.get(given["case"])
    traffic = casefile.traffic_of(found, _traffic(desk))
    return {
        "timeline": casefile.timeline_of(found, traffic),
        "marks": casefile.marks_of(found, book.log(found.id).actions),
        "newest": None,
    }


def case_inputs(desk: Desk, given: Mapping[str, str]) -> Mapping[str, Any]:
    """Show the inputs a case rests on, as pictures where they were captured."""
    from casemate.store.cases import CaseBook
    from casemate.workflows.pictures import inputs_of

    found = CaseBook(desk.workspace).get(given["case"])
    traffic = casefile.traffic_of(found, _traffic(desk))
    return {"inputs": inputs_of(desk.loaded, desk.workspace, found, traffic)}


def principal(desk: Desk, given: Mapping[str, str]) -> Mapping[str, Any]:
    """Who is this principal?"""
    name = given.get("name", "")
    if not name:
        raise UsageError("which principal?", hint="write a name into the search field")
    return {"who": overview.who(desk.workspace, name)}


def principal_record(desk: Desk, given: Mapping[str, str]) -> Mapping[str, Any]:
    """Show what a principal asked: by model, over time, and last."""
    traffic = _traffic(desk)
    name = given.get("name", "")
    since = None if given.get("all") == "yes" else traffic.lately()
    record = traffic.of(name, since)
    return {
        "name": name,
        "record": record,
        "latest": traffic.latest(name, since=since) if record.seen else (),
        "kept": traffic.events_kept(),
        "marks": (),
    }


def models(desk: Desk, _: Mapping[str, str]) -> Mapping[str, Any]:
    """Which models are exposed?"""
    from casemate.workflows.exposure import exposed

    return {"models": exposed(desk.loaded, desk.workspace)}


def guard(desk: Desk, _: Mapping[str, str]) -> Mapping[str, Any]:
    """Does the guard hold?"""
    return {
        "guard": overview.holding(desk.workspace, desk.traffic),
        "verified": desk.jobs.last("verify"),
        "verifying": desk.jobs.running("verify"),
    }


def trail(desk: Desk, _: Mapping[str, str]) -> Mapping[str, Any]:
    """Show who signed in and did what, and who is in now."""
    read = desk.trail.read()
    return {
        "entries": read.entries,
        "faults": read.faults,
        "sessions": [one.person for one in desk.sessions.all()],
    }


PAGES = (
    Page("/now", "now.html", now),
    Page("/pulse", "pulse.html", pulse),
    Page("/cases", "cases.html", cases),
    Page("/cases/{case}", "case.html", case),
    Page("/cases/{case}/timeline", "pulse.html", case_timeline),
    Page("/cases/{case}/paper", "paper.html", paper),
    Page("/cases/{case}/inputs", "inputs.html", case_inputs, "responder", "captured inputs"),
    Page("/principal", "principal.html", principal),
    Page("/principal/record", "record.html", principal_record),
    Page("/models", "models.html", models),
    Page("/guard", "guard.html", guard),
    Page("/trail", "trail.html", trail, "admin"),
)


def _traffic(desk: Desk) -> Any:
    if desk.traffic is None:
        raise UsageError(
            "the events cannot be read here", hint="pip install 'casemate[case]', then start again"
        )
    return desk.traffic


def _played(desk: Desk, case: str) -> Any:
    from casemate.workflows import playbooks

    return playbooks.look(desk.workspace, case)


def _questions(clocks: Sequence[Clock]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Return the facts nobody has given, each once, and the laws that ask for them."""
    found: dict[str, dict[str, None]] = {}
    for one in clocks:
        for name in one.needs:
            found.setdefault(name, {})[one.law.partition(",")[0]] = None
    return tuple((name, tuple(laws)) for name, laws in found.items())
