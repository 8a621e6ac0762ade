"""Write the papers of a case: from its record, with blanks where only a person knows."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from casemate.case.papers import inside, outside, render
from casemate.case.papers.telling import Told
from casemate.catalog import loader
from casemate.catalog.entries import Deadline, ThreatKind
from casemate.errors import CasemateError, StoreError, UsageError
from casemate.store.cases import CaseBook
from casemate.store.vulnerabilities import VulnerabilityBook
from casemate.workflows import callers, cases, custody, playbooks

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from casemate.case.papers.parts import Paper
    from casemate.records.incident import Incident
    from casemate.records.vulnerability import Vulnerability
    from casemate.store.workspace import Workspace
    from casemate.workflows.config import Loaded


class Kind(NamedTuple):
    """One kind of paper."""

    title: str
    """As one chooses it from a list."""
    tell: Callable[[Told], Paper]


KINDS: Mapping[str, Kind] = {
    "handover": Kind("Handover to the next shift", inside.handover),
    "postmortem": Kind("Postmortem", inside.postmortem),
    "serious-incident": Kind("Serious incident, AI Act Art. 73 (draft)", outside.serious_incident),
    "data-breach": Kind("Data breach, GDPR Art. 33 (draft)", outside.data_breach),
    "advisory-note": Kind("Note for users", outside.advisory_note),
}
FOLDER = "papers"
_NAMES = ("handover",)
"""Papers that name callers; all others number them."""
_TITLES = {"drift": "Drift", "outage": "Outage", "benign": "Nothing wrong"}


def write_paper(
    loaded: Loaded,  # noqa: ARG001 - every workflow of a case takes it
    workspace: Workspace,
    case: str,
    kind: str,
    *,
    by: str,
) -> Path:
    """Write a paper as Markdown, and as HTML beside it; earlier ones of its kind stay.

    Args:
        loaded: The configuration.
        workspace: Where the case is kept.
        case: Its id.
        kind: One of `KINDS`.
        by: Who writes it.

    Returns:
        The Markdown.

    Raises:
        UsageError: There is no such case or kind.
        StoreError: It cannot be written.
    """
    if kind not in KINDS:
        raise UsageError(f"there is no paper '{kind}'", hint=f"there are: {', '.join(KINDS)}")
    told = gather(workspace, case, by=by)
    made = KINDS[kind].tell(told)
    if kind not in _NAMES:
        made = told.unnamed(made)
    folder = cases.view(workspace, told.incident.id).folder / FOLDER
    path = _write(folder, kind, render.markdown(made), render.html(made))
    names = ", ".join(one.fact for one in made.blanks[:8])
    text = f"{kind} written, {path.name}"
    text += f"; to be answered: {names}" if made.blanks else ""
    CaseBook(workspace).change(
        told.incident.id,
        custody.action(
            by,
            "handed-over" if kind == "handover" else "written",
            text,
            details={"kind": kind, "file": path.name, "blanks": len(made.blanks)},
        ),
    )
    return path


def gather(workspace: Workspace, case: str, *, by: str, now: datetime | None = None) -> Told:
    """Return all that papers quote.

    Raises:
        UsageError: There is no such case.
    """
    view = cases.view(workspace, case)
    played = playbooks.look(workspace, view.incident.id)
    weaknesses = _vulnerabilities(workspace, view.incident.vulnerabilities)
    rows = loader.entries("threats", ThreatKind)
    asks = {
        name: question
        for one in loader.entries("deadlines", Deadline).values()
        for name, question in one.asks.items()
    }
    return Told(
        incident=view.incident,
        actions=view.actions,
        clocks=view.clocks,
        items=view.items,
        orders=tuple((one.order, one.state) for one in view.orders),
        plan=None if played is None else played.plan,
        vulnerabilities=weaknesses,
        titles=_TITLES | {ident: one.title for ident, one in rows.items()},
        asks=asks,
        next_steps=view.next_steps,
        now=now or datetime.now(UTC),
        by=custody.named(by),
        callers=_callers(workspace, view.incident, weaknesses),
    )


def _callers(
    workspace: Workspace, case: Incident, weaknesses: tuple[Vulnerability, ...]
) -> tuple[str, ...]:
    names = list(callers.of_case(workspace, case))
    for one in weaknesses:
        names += callers.of_weakness(workspace, one)
    return tuple(dict.fromkeys(names))


def _vulnerabilities(workspace: Workspace, ids: tuple[str, ...]) -> tuple[Vulnerability, ...]:
    book = VulnerabilityBook(workspace)
    found = []
    for ident in ids:
        try:
            found.append(book.get(ident))
        except CasemateError:
            continue  # it was removed by hand; the case still names it
    return tuple(found)


def _write(folder: Path, kind: str, text: str, page: str) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        number = 1 + sum(1 for _ in folder.glob(f"{kind}-*.md"))
        while True:
            path = folder / f"{kind}-{number}.md"
            try:
                with path.open("x", encoding="utf-8") as out:
                    out.write(text)
                    out.flush()
                    os.fsync(out.fileno())
                break
            except FileExistsError:
                number += 1
        path.with_suffix(".html").write_text(page, encoding="utf-8")
    except OSError as error:
        raise StoreError(f"the paper cannot be written to {folder}: {error.strerror}") from error
    return path
