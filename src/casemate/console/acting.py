"""What a responder can do from the pages: each act is one workflow, by name, with its own role.

All of it goes on the case's custody log by the workflow, and on the console's trail here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from casemate.errors import CasemateError, Conflict, NotFound, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from casemate.console.desk import Desk
    from casemate.console.people import Person, Role

    Run = Callable[[Desk, Person, Mapping[str, str]], "Outcome"]

_WAIT = 5.0
"""Seconds a page waits for work that may take longer."""
_GUARDS = 3.0
"""Seconds a page waits for guards to obey; it shows afterwards which of them do."""


class Outcome(NamedTuple):
    """What an act came to."""

    words: str
    to: str
    """The page to go on with."""
    data: Any = None
    """For programs."""
    tone: str = "pass"


class Act(NamedTuple):
    """One thing that can be done."""

    run: Run
    role: Role = "responder"
    template: str | None = None
    """The page that shows what it came to, instead of going on to another."""
    asks: bool = False
    """Whether it only shows what could be done."""


def open_case(desk: Desk, person: Person, given: Mapping[str, str]) -> Outcome:
    """Open a case from a detection."""
    from casemate.workflows import cases

    source = _needed(given, "from", "which detection?")
    done = desk.jobs.start(
        f"open {source}",
        lambda: cases.open_case(desk.loaded, desk.workspace, [source], by=person.name),
        wait=_WAIT,
        asked=(person.name,),
    )
    if done is None:
        words = "The case is being opened: the evidence is frozen first, then it is triaged."
        return Outcome(words, "/cases", {"state": "opening"}, "unsure")
    if done.error is not None:
        raise done.error
    case = done.result
    return Outcome(f"{case.id} is open and yours.", _place(case.id), case)


def take(desk: Desk, person: Person, given: Mapping[str, str]) -> Outcome:
    """Give a case to whoever asks, or to somebody else."""
    from casemate.workflows import cases

    owner = given.get("owner", "").strip() or person.name
    case = cases.assign(
        desk.workspace, given["case"], owner, by=person.name, version=_version(given)
    )
    return Outcome(f"{case.id} is now {owner}'s.", _place(case.id), case)


def note(desk: Desk, person: Person, given: Mapping[str, str]) -> Outcome:
    """Put a remark on the log."""
    from casemate.workflows import cases

    case = cases.note(desk.workspace, given["case"], given.get("text", ""), by=person.name)
    return Outcome("Noted.", _place(case.id, "log"), case)


def tell(desk: Desk, person: Person, given: Mapping[str, str]) -> Outcome:
    """Keep what is known that no record shows."""
    from datetime import UTC, datetime

    from casemate.workflows import cases

    name = _needed(given, "name", "which fact?")
    value = _needed(given, "value", "what is the answer?")
    said = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}" if value == "now" else fact(value)
    case = cases.tell(desk.workspace, given["case"], {name: said}, by=person.name)
    return Outcome(f"Kept: {name} = {value}.", _place(case.id, "clocks"), case)


def retype(desk: Desk, person: Person, given: Mapping[str, str]) -> Outcome:
    """Handle the case as another type."""
    from casemate.workflows import cases

    threat = _needed(given, "threat", "which type?")
    case = cases.retype(desk.workspace, given["case"], threat, by=person.name)
    return Outcome(f"Handled as {threat} from now on.", _place(case.id, "playbook"), case)


def preview(desk: Desk, person: Person, given: Mapping[str, str]) -> Outcome:
    """Show what a containment would do; nothing is done."""
    from casemate.workflows import containing

    seen = containing.preview(
        desk.loaded, desk.workspace, given["case"], **_containment(person, given)
    )
    return Outcome("", _place(given["case"], "contain"), seen)


def contain(desk: Desk, person: Person, given: Mapping[str, str]) -> Outcome:
    """Give the orders of a containment."""
    from casemate.workflows import containing

    made = containing.contain(
        desk.loaded, desk.workspace, given["case"], **_containment(person, given),
        emergency=given.get("emergency") in ("true", "on"), version=_version(given), wait=_GUARDS,
    )  # fmt: skip
    place = _place(made.incident.id, "contain")
    if not made.preview.orders:
        return Outcome("On record. Somebody must do it by hand.", place, made, "unsure")
    if made.waiting or not made.obeyed:
        words = "The orders are given; not every guard has said yet that it obeys."
        return Outcome(words, place, made, "unsure")
    return Outcome(f"Contained: {len(made.obeyed)} guards obey.", place, made)


def undo(desk: Desk, person: Person, given: Mapping[str, str]) -> Outcome:
    """End a containment."""
    from casemate.workflows import containing

    made = containing.undo(
        desk.loaded, desk.workspace, given["case"], given.get("order") or None, by=person.name,
        why=_needed(given, "why", "why is it undone?"), wait=_GUARDS,
    )  # fmt: skip
    return Outcome("Undone.", _place(made.incident.id, "contain"), made)


def radius(desk: Desk, person: Person, given: Mapping[str, str]) -> Outcome:
    """Find out which data, models, deployments, decisions and people a case reaches."""
    from casemate.workflows import operating

    nodes = [one.strip() for one in given.get("nodes", "").split(",") if one.strip()]
    made = operating.radius(desk.loaded, desk.workspace, given["case"], by=person.name, nodes=nodes)
    return Outcome("On record.", _place(given["case"], "radius"), made)


def collect(desk: Desk, person: Person, given: Mapping[str, str]) -> Outcome:
    """Copy what was only frozen."""
    from casemate.store.cases import CaseBook
    from casemate.workflows import collecting

    case = CaseBook(desk.workspace).get(given["case"])
    done = desk.jobs.start(
        f"collect {case.id}",
        lambda: collecting.collect(desk.loaded, desk.workspace, case, by=person.name),
        wait=_WAIT,
        asked=(person.name,),
    )
    if done is not None and done.error is not None:
        raise done.error
    words = "Copying goes on; this page changes when it is done." if done is None else "Copied."
    return Outcome(words, _place(case.id, "evidence"))


def step(desk: Desk, person: Person, given: Mapping[str, str]) -> Outcome:
    """Take a step of the playbook: check it, answer it, or skip it with a reason."""
    from casemate.workflows import playbooks

    words, as_ = given.get("words", "").strip(), given.get("as", "")
    every = given.get("every") == "true"
    which = given.get("step") or None
    if as_ and not words:
        raise UsageError("what was found?", hint="the field 'words' is empty")

    def take() -> Any:
        return playbooks.playbook(
            desk.loaded, desk.workspace, given["case"], by=person.name, step=which, every=every,
            answer=words if as_ == "answer" else None, skip=words if as_ == "skip" else None,
        )  # fmt: skip

    done = desk.jobs.start(
        f"step {given['case']} {which or every}", take, wait=_WAIT,
        asked=(person.name, str(every), as_, words),
    )  # fmt: skip
    if done is None:
        return Outcome(
            "The check is being made.", _place(given["case"], "playbook"), None, "unsure"
        )
    if done.error is not None:
        raise done.error
    made = done.result
    found = [f"{one}: {made.steps[one].state}" for one in made.ran if one in made.steps]
    tone = "pass" if all(one.endswith((": done", ": skipped")) for one in found) else "unsure"
    place = f"step-{made.ran[0]}" if len(made.ran) == 1 else "playbook"
    return Outcome(
        "; ".join(found) or "Nothing is left to do.", _place(made.case.id, place), made, tone
    )


def paper(desk: Desk, person: Person, given: Mapping[str, str]) -> Outcome:
    """Write a paper from the record."""
    from casemate.workflows import papers

    kind = _needed(given, "kind", "which paper?")
    path = papers.write_paper(desk.loaded, desk.workspace, given["case"], kind, by=person.name)
    return Outcome(f"Written: {path.name}.", _place(given["case"], "papers"), {"name": path.name})


def track(desk: Desk, person: Person, given: Mapping[str, str]) -> Outcome:
    """Keep track of the weakness behind a case."""
    from casemate.workflows import vulnerabilities

    made = vulnerabilities.add(
        desk.loaded, desk.workspace, by=person.name, from_=given["case"],
        threat=given.get("threat") or None, title=given.get("title") or None,
    )  # fmt: skip
    known = "" if made.new else ", which was known already"
    words = f"Tracked as {made.vulnerability.id}{known}."
    return Outcome(words, _place(given["case"], "exposure"), made.vulnerability)


def bundle(desk: Desk, person: Person, given: Mapping[str, str]) -> Outcome:
    """Pack a bundle beside the case's evidence."""
    from datetime import UTC, datetime

    from casemate.store.cases import CaseBook
    from casemate.workflows import bundling

    case = CaseBook(desk.workspace).get(given["case"])
    redact = [one.strip() for one in given.get("redact", "").split(",") if one.strip()]
    out = desk.workspace.folder / "bundles" / f"{case.id}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    out.parent.mkdir(mode=0o700, exist_ok=True)
    done = desk.jobs.start(
        f"bundle {case.id}",
        lambda: bundling.bundle(
            desk.loaded, desk.workspace, case, out=out, redact=redact, by=person.name
        ),
        wait=_WAIT,
        asked=(person.name, *redact),
    )
    place = _place(case.id, "evidence")
    if done is None:
        return Outcome(
            "The bundle is being packed; the log says when it is done.", place, None, "unsure"
        )
    if done.error is not None:
        raise done.error
    made = done.result
    words = f"Packed: {made.folder}, {made.items} items; its root is {made.root}."
    return Outcome(words, place, made)


def close(desk: Desk, person: Person, given: Mapping[str, str]) -> Outcome:
    """Close a case."""
    from casemate.workflows import cases

    why = _needed(given, "why", "why is it closed?")
    case = cases.close(desk.workspace, given["case"], why, by=person.name, version=_version(given))
    return Outcome(f"{case.id} is closed.", _place(case.id), case)


def reopen(desk: Desk, person: Person, given: Mapping[str, str]) -> Outcome:
    """Open a closed case again."""
    from casemate.workflows import cases

    why = _needed(given, "why", "why is it opened again?")
    case = cases.reopen(desk.workspace, given["case"], why, by=person.name)
    return Outcome(f"{case.id} is open again.", _place(case.id), case)


def verify(desk: Desk, _: Person, __: Mapping[str, str]) -> Outcome:
    """Check the record against its signed log, in the background."""
    from casemate.workflows import verifying

    place = desk.workspace.folder
    done = desk.jobs.start(
        "verify",
        lambda: verifying.verify_telemetry(place, witness=verifying.witness_of(place)),
        wait=_WAIT,
    )
    if done is None:
        return Outcome("The record is being verified.", "/guard#verify", None, "unsure")
    if done.error is not None:
        raise done.error
    return Outcome(f"The record is {done.result.answer}.", "/guard#verify", done.result)


def end(desk: Desk, _: Person, given: Mapping[str, str]) -> Outcome:
    """End all sessions of somebody."""
    name = _needed(given, "name", "whose sessions?")
    ended = desk.sessions.close_all(name)
    return Outcome(f"{ended} sessions of {name} ended.", "/trail", {"ended": ended})


ACTS: Mapping[str, Act] = {
    "/open-case": Act(open_case),
    "/cases/{case}/take": Act(take),
    "/cases/{case}/note": Act(note),
    "/cases/{case}/tell": Act(tell),
    "/cases/{case}/retype": Act(retype),
    "/cases/{case}/preview": Act(preview, template="confirm.html", asks=True),
    "/cases/{case}/contain": Act(contain),
    "/cases/{case}/undo": Act(undo),
    "/cases/{case}/radius": Act(radius, template="radius.html"),
    "/cases/{case}/collect": Act(collect),
    "/cases/{case}/step": Act(step),
    "/cases/{case}/paper": Act(paper),
    "/cases/{case}/track": Act(track),
    "/cases/{case}/bundle": Act(bundle),
    "/cases/{case}/close": Act(close),
    "/cases/{case}/reopen": Act(reopen),
    "/verify": Act(verify),
    "/end-sessions": Act(end, "admin"),
}
"""By path; the JSON API has the same under /api."""


def fact(text: str) -> str | int | float | bool:
    """Return what a person wrote as what it says: yes and no, a number, or text."""
    word = text.strip()
    if word.lower() in ("yes", "true", "no", "false"):
        return word.lower() in ("yes", "true")
    for kind in (int, float):
        try:
            value = kind(word)
        except ValueError:
            continue
        if abs(value) < 1e15:
            return value
    return word[:2000]


def _containment(person: Person, given: Mapping[str, str]) -> dict[str, Any]:
    settings = {}
    for name, value in given.items():
        if name.startswith("set-") and value.strip():
            settings[name.removeprefix("set-").replace("-", "_")] = fact(value)
    reach = given.get("reach") or "suspects"
    if reach not in ("suspects", "model", "everybody"):
        raise UsageError(f"there is no reach '{reach}'", hint="suspects, model or everybody")
    names = [one.strip() for one in given.get("principals", "").splitlines() if one.strip()]
    return {
        "action": _needed(given, "action", "which containment?"),
        "for_": given.get("for", "").strip() or "4h",
        "reach": reach,
        "principals": names,
        "settings": settings,
        "approver": given.get("approver", "").strip() or None,
        "by": person.name,
    }


def _version(given: Mapping[str, str]) -> int | None:
    version = given.get("version", "")
    return int(version) if version.isdecimal() and len(version) < 10 else None


def _needed(given: Mapping[str, str], name: str, question: str) -> str:
    value = given.get(name, "").strip()
    if not value:
        raise UsageError(question, hint=f"the field '{name}' is empty")
    return value


def _place(case: str, part: str = "") -> str:
    return f"/cases/{case}" + (f"#{part}" if part else "")


def status_of(error: CasemateError) -> int:
    """Return the HTTP status of what went wrong."""
    if isinstance(error, NotFound):
        return 404
    if isinstance(error, Conflict):
        return 409
    return 400 if isinstance(error, UsageError) else 503
