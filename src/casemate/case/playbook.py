"""Playbooks: the steps of a response, what each found, and which comes next.

A step is a check that a machine makes or a question that a person answers. A failing step is put
on record and the rest goes on: at night nobody should be stuck behind a check that cannot be made.
The checks themselves come in as an argument; they need the whole loop.
"""

from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar

import msgspec

from casemate.case.cacao import EXTENSION, VARIABLE, Found, read
from casemate.catalog.loader import ROOT
from casemate.errors import CasemateError, CatalogError, FormatError, UsageError
from casemate.records.incident import Step

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from casemate.catalog.entries import Playbook
    from casemate.records.incident import Incident

C = TypeVar("C")
PHASES = ("freeze", "triage", "scope", "contain", "eradicate", "recover", "verify", "share")
_MOST_ANSWER = 4000


class Result(NamedTuple):
    """What a check found."""

    state: Literal["done", "failed", "waiting"]
    """`waiting`: it cannot be made yet; the answer says what is missing."""
    answer: str


class PlanStep(NamedTuple):
    """One step as the playbook has it."""

    id: str
    """Short and unique in the plan: `contain-answers`."""
    phase: str
    """One of PHASES; `other` in a playbook from elsewhere."""
    title: str
    text: str
    """What to do and why."""
    commands: tuple[str, ...]
    """What to type, with `CASE` in the place of the case."""
    check: str | None
    """Name of the check that says whether it is done; None where a person must say."""
    arguments: dict[str, str]
    question: str | None
    good: str
    bad: str
    key: str
    """Id of the step in the CACAO document."""


class Plan(NamedTuple):
    """A playbook, ready to be followed."""

    id: str
    """Catalog id, or `file:` and the digest of an imported one."""
    title: str
    steps: tuple[PlanStep, ...]
    body: dict[str, Any]
    """The CACAO document."""
    notes: tuple[str, ...] = ()
    """What was not understood of an imported one."""

    def step(self, ident: str) -> PlanStep:
        """Return a step by id, or by its number from 1.

        Raises:
            UsageError: There is none.
        """
        if ident.isdecimal() and 0 < int(ident) <= len(self.steps):
            return self.steps[int(ident) - 1]
        for one in self.steps:
            if one.id == ident:
                return one
        known = ", ".join(one.id for one in self.steps)
        raise UsageError(f"{self.id} has no step '{ident}'", hint=f"its steps: {known}")


def load(entry: Playbook) -> Plan:
    """Return the plan of a catalog entry.

    Raises:
        CatalogError: Its body is missing or no playbook.
    """
    try:
        return parse((ROOT / "playbooks" / entry.body).read_bytes(), entry.id)
    except (OSError, FormatError) as error:
        raise CatalogError(f"{entry.id}.toml", "body", str(error)) from error


def parse(data: bytes, ident: str) -> Plan:
    """Return the plan of a CACAO playbook from anywhere; nothing of it is executed.

    Args:
        data: The JSON.
        ident: What the plan is called from now on.

    Raises:
        FormatError: Not a CACAO 2.0 playbook.
    """
    document = read(data)
    taken: set[str] = set()
    steps = tuple(_plan_step(found, taken) for found in document.steps)
    return Plan(ident, document.name, steps, document.body, document.notes)


def run_step(
    plan: Plan,
    step: str,
    context: C,
    checks: Mapping[str, Callable[[C, Mapping[str, str]], Result]],
    *,
    by: str = "casemate",
    now: datetime | None = None,
) -> Step:
    """Make the check of one step; whatever goes wrong with it is its answer.

    Args:
        plan: The playbook.
        step: Id of the step.
        context: What checks look at.
        checks: By name.
        by: Who asked for it.
        now: The present time; None for the clock's.

    Raises:
        UsageError: There is no such step.
    """
    one = plan.step(step)
    if one.check is None:
        result = Result("waiting", f"a person must answer: {one.question or one.title}")
    elif one.check not in checks:
        result = Result("failed", f"this casemate has no check '{one.check}'")
    else:
        try:
            result = checks[one.check](context, one.arguments)
        except CasemateError as error:
            hint = f" ({error.hint})" if error.hint else ""
            result = Result("failed", f"the check could not be made: {error}{hint}")
        except Exception as error:  # noqa: BLE001 - one broken check must not end a response
            result = Result("failed", f"the check broke: {type(error).__name__}: {error}")
    return Step(
        state=result.state, answer=result.answer[:_MOST_ANSWER], by=by, at=now or datetime.now(UTC)
    )


def settle(
    state: Literal["done", "failed", "skipped"], text: str, *, by: str, now: datetime
) -> Step:
    """Return a step that a person has answered, or left out with a reason.

    Raises:
        UsageError: Nothing was said.
    """
    if not text.strip():
        raise UsageError("an answer needs words", hint='--answer "what you found"')
    return Step(state=state, answer=text.strip()[:_MOST_ANSWER], by=by, at=now)


def following(plan: Plan, steps: Mapping[str, Step]) -> PlanStep | None:
    """Return the first step that is neither done nor skipped; None when all are."""
    for one in plan.steps:
        if steps.get(one.id, Step()).state not in ("done", "skipped"):
            return one
    return None


def export(plan: Plan, incident: Incident) -> bytes:
    """Return the plan as CACAO 2.0, with the case filled in and how far each step has got.

    The original is named under `derived_from`; an imported playbook keeps all that it had.
    """
    body = msgspec.json.decode(msgspec.json.encode(plan.body))
    origin = str(body.get("id", ""))
    made = uuid.uuid5(uuid.NAMESPACE_URL, f"urn:casemate:{incident.id}:{origin}")
    body["id"] = f"playbook--{made}"
    if re.fullmatch(r"playbook--[0-9a-f-]{36}", origin):
        body["derived_from"] = [origin]
    variables = body.setdefault("playbook_variables", {})
    variables[VARIABLE] = {"type": "string", "value": incident.id, "constant": True}
    for one in plan.steps:
        state = incident.steps.get(one.id)
        extensions = body["workflow"][one.key].get("step_extensions", {})
        if state is None or EXTENSION not in extensions:
            continue
        extensions[EXTENSION] |= {
            "state": state.state,
            "answer": state.answer,
            "by": state.by,
            "at": None if state.at is None else state.at.isoformat(),
        }
    return msgspec.json.format(msgspec.json.encode(body), indent=2) + b"\n"


def _plan_step(found: Found, taken: set[str]) -> PlanStep:
    extra = found.extra
    ident = extra.step if extra is not None else _slug(found.name)
    number = 2
    while ident in taken:
        ident = f"{ident.rstrip('0123456789').rstrip('-')}-{number}"
        number += 1
    taken.add(ident)
    check = next((one.check for one in found.commands if one.check is not None), None)
    question = None
    if check is None:
        question = "\n".join(
            one.text
            if one.kind == "manual"
            else f"casemate does not run this {one.kind}: {one.text}"
            for one in found.commands
        )
    return PlanStep(
        id=ident,
        phase=extra.phase if extra is not None and extra.phase in PHASES else "other",
        title=found.name,
        text=found.description,
        commands=extra.run if extra is not None else (),
        check=check[0] if check else None,
        arguments=check[1] if check else {},
        question=(question or found.description or found.name) if check is None else None,
        good=extra.good if extra is not None else "",
        bad=extra.bad if extra is not None else "",
        key=found.key,
    )


def _slug(name: str) -> str:
    words = re.findall(r"[a-z0-9]+", name.lower())
    return "-".join(words)[:40].strip("-") or "step"
