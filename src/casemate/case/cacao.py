"""CACAO 2.0 playbooks as a sequence of steps: read within bounds, put in order, never executed.

A playbook may come from anyone. What is read here is text for a person; the one command that is
understood names a check of casemate's own, which looks and changes nothing.

Source: OASIS CACAO Security Playbooks Version 2.0, sections 3 to 5 and 10.
"""

from __future__ import annotations

import base64
import binascii
import shlex
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from casemate.errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

EXTENSION = "extension-definition--7c3104d5-cee2-5eac-b256-31ade9c11481"
"""Under this key a step carries what CACAO has no property for: see `Extra`."""
VARIABLE = "__case__"
MOST_BYTES = 4 << 20
MOST_STEPS = 1000
MOST_TEXT = 20_000
"""Characters of one text that are kept; the rest is cut off and said so."""
_CHECK = ["casemate", "case", "check", f"{VARIABLE}:value"]


class Extra(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a step of casemate's says besides: its place in the skeleton, and what answers mean."""

    step: str
    """Short id, unique in the playbook: `contain-answers`."""
    phase: str
    run: tuple[str, ...] = ()
    """Commands that do the step; `CASE` stands for the case."""
    good: str = ""
    bad: str = ""
    state: str | None = None
    """In the export of a case's own playbook: how far the step got, and what was found."""
    answer: str | None = None
    by: str | None = None
    at: str | None = None


class Command(NamedTuple):
    """What an action asks for."""

    kind: str
    text: str

    @property
    def check(self) -> tuple[str, dict[str, str]] | None:
        """Name and arguments of a check of casemate's; None when it is anything else."""
        if self.kind != "bash":
            return None
        try:
            words = shlex.split(self.text)
        except ValueError:
            return None
        if words[: len(_CHECK)] != _CHECK or len(words) == len(_CHECK):
            return None
        name, *given = words[len(_CHECK) :]
        pairs = [word.partition("=") for word in given]
        if not all(key and sign for key, sign, _ in pairs):
            return None
        return name, {key: value for key, _, value in pairs}


class Found(NamedTuple):
    """A step of the workflow that asks somebody for something."""

    key: str
    """In the workflow: `action--...`."""
    kind: str
    name: str
    description: str
    commands: tuple[Command, ...]
    extra: Extra | None


class Document(NamedTuple):
    """A playbook as it was read."""

    body: dict[str, Any]
    name: str
    steps: tuple[Found, ...]
    """In the order in which they come, branches before what follows them."""
    notes: tuple[str, ...]
    """What is odd about it, one sentence each."""


def check_command(name: str, arguments: Mapping[str, str]) -> str:
    """Return the text of the command that makes a check."""
    given = [shlex.quote(f"{key}={value}") for key, value in arguments.items()]
    return " ".join([*_CHECK, name, *given])


def read(data: bytes) -> Document:
    """Read a playbook that may come from anyone.

    Raises:
        FormatError: Not JSON, not a CACAO 2.0 playbook, or larger than any playbook is.
    """
    if len(data) > MOST_BYTES:
        raise FormatError(f"a playbook of {len(data)} bytes; at most {MOST_BYTES} are read")
    try:
        body = msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError) as error:
        raise FormatError(f"not JSON: {error}") from error
    if not isinstance(body, dict) or body.get("type") != "playbook":
        raise FormatError("not a CACAO playbook", hint='"type" must be "playbook"')
    if body.get("spec_version") != "cacao-2.0":
        raise FormatError(
            f"a playbook of version {str(body.get('spec_version'))[:40]!r}",
            hint="casemate reads cacao-2.0",
        )
    workflow = body.get("workflow")
    if not isinstance(workflow, dict) or not workflow:
        raise FormatError("a playbook without a workflow")
    if len(workflow) > MOST_STEPS:
        raise FormatError(f"a playbook of {len(workflow)} steps; at most {MOST_STEPS} are read")
    notes: list[str] = []
    keys = list(_walk(body, workflow, notes))
    left = [key for key in workflow if key not in keys]
    lost = [key for key in left if _kind(workflow[key]) not in ("start", "end")]
    if lost:
        notes.append(f"{len(lost)} steps are never reached from its start; they come last")
    odd = [key for key, step in workflow.items() if not isinstance(step, dict)]
    notes += [f"{key[:80]} is no step" for key in odd[:10]]
    found = tuple(
        _step(key, workflow[key], notes)
        for key in (*keys, *left)
        if key not in odd and _kind(workflow[key]) not in ("start", "end")
    )
    if not found:
        raise FormatError("a playbook whose workflow has no step to take")
    return Document(body, _text(body.get("name")) or "playbook without a name", found, tuple(notes))


def _walk(body: dict[str, Any], workflow: dict[str, Any], notes: list[str]) -> Iterator[str]:
    seen: set[str] = set()
    waiting = [body.get("workflow_start")]
    while waiting:
        key = waiting.pop()
        if not isinstance(key, str) or key in seen:
            continue
        seen.add(key)
        step = workflow.get(key)
        if not isinstance(step, dict):
            notes.append(f"it names a step that it does not have: {key[:80]}")
            continue
        yield key
        # What is pushed last is taken first: branches, then what follows, then failure.
        follow = [step.get("on_failure"), step.get("on_success"), step.get("on_completion")]
        cases = step.get("cases")
        branches = [*(_list(step.get("next_steps"))), step.get("on_true"), step.get("on_false")]
        branches += list(cases.values()) if isinstance(cases, dict) else []
        waiting += [*follow, *reversed(branches)]


def _step(key: str, step: dict[str, Any], notes: list[str]) -> Found:
    kind = _kind(step)
    commands = [
        Command(_text(one.get("type")) or "unknown", _command(one))
        for one in _list(step.get("commands"))
        if isinstance(one, dict)
    ]
    if kind in ("if-condition", "while-condition"):
        commands.append(Command("manual", f"Does this hold? {_text(step.get('condition'))}"))
    elif kind == "switch-condition":
        commands.append(Command("manual", f"What is {_text(step.get('switch'))}?"))
    elif kind == "playbook-action":
        commands.append(Command("manual", f"Follow playbook {_text(step.get('playbook_id'))}"))
    extra = None
    extensions = step.get("step_extensions")
    if isinstance(extensions, dict) and EXTENSION in extensions:
        try:
            extra = msgspec.convert(extensions[EXTENSION], Extra)
        except msgspec.ValidationError as error:
            notes.append(f"step {key[:80]}: what it says for casemate is not understood: {error}")
    name = _text(step.get("name")) or kind
    return Found(key, kind, name, _text(step.get("description")), tuple(commands), extra)


def _command(one: dict[str, Any]) -> str:
    coded = one.get("command_b64")
    if isinstance(coded, str):
        try:
            return _text(base64.b64decode(coded, validate=True).decode("utf-8", "replace"))
        except binascii.Error:
            return _text(coded)
    return _text(one.get("command")) or _text(one.get("description"))


def _kind(step: object) -> str:
    return (_text(step.get("type")) if isinstance(step, dict) else "") or "unknown"


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: object) -> str:
    if not isinstance(value, str):
        return ""
    cut = len(value) - MOST_TEXT
    return value if cut <= 0 else f"{value[:MOST_TEXT]} [{cut} characters left out]"
