"""Incident: a case, its state of knowledge and who did what about it."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from casemate.records.severity import Confidence, Severity

CaseState = Literal["open", "contained", "closed"]
Assessment = Literal["attack", "probe", "drift", "outage", "benign", "cannot-tell"]
"""`probe`: optimisation or explanation without a known aim. `benign`: nothing is wrong."""
ActionKind = Literal[
    "opened",
    "frozen",
    "collected",
    "triaged",
    "noted",
    "assigned",
    "scoped",
    "contained",
    "undone",
    "stepped",
    "scored",
    "written",
    "bundled",
    "handed-over",
    "closed",
    "reopened",
]
"""`scoped`: the blast radius was found. `stepped`: a step of the playbook. `written`: a paper."""
Outcome = Literal["done", "planned", "failed", "refused", "conflict"]
"""`planned`: a preview. `conflict`: somebody else was faster; nothing was done."""
StepState = Literal["open", "done", "failed", "skipped", "waiting"]
"""`waiting`: for a person's answer or for a check that cannot be made yet."""


class Guess(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One type an incident may be of."""

    threat: str
    """Catalog id in `threats/`, or `drift`, `outage`, `benign`."""
    share: float
    """How probable it is beside the others, 0 to 1."""
    because: str


class Suspect(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Somebody who took part."""

    principal: str
    queries: int
    """Inputs of theirs that belong to it."""
    began: int
    """`at` of the first of them, in microseconds since the epoch."""
    ended: int
    confidence: Confidence
    because: str


class Triage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the events on record say: the first report of a case."""

    assessment: Assessment
    confidence: Confidence
    guesses: tuple[Guess, ...] = ()
    """Most probable first."""
    suspects: tuple[Suspect, ...] = ()
    """Most involved first."""
    models: tuple[str, ...] = ()
    began: int | None = None
    """`at` of its first event, in microseconds since the epoch; None where it is not known."""
    ended: int | None = None
    first_event: str | None = None
    last_event: str | None = None
    queries: int = 0
    success: float | None = None
    """Share of attempts that got what they were after, where the record shows it."""
    success_note: str | None = None
    """What `success` counts, or why it cannot be told."""
    events: tuple[str, ...] = ()
    """Ids of events as evidence, at most 64."""
    reasons: tuple[str, ...] = ()
    """One sentence each, the decisive ones first."""
    next_steps: tuple[str, ...] = ()
    """What to do first, at most three."""
    looked_at: int = 0
    """Events read."""
    missing: int = 0
    """Requests the record lacks, as far as it knows."""
    since: int | None = None
    until: int | None = None
    """The window looked at."""


class Step(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """State of one step of the playbook."""

    state: StepState = "open"
    answer: str | None = None
    """What the check found, or the person said."""
    by: str | None = None
    at: datetime | None = None


class Action(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    tag_field="schema",
    tag="action/1",
    forbid_unknown_fields=True,
):
    """One line of a case's custody log: who did what, how, when, on what, with which result.

    Each names the digest of the one before it, so that an edited log shows.
    """

    case: str
    number: int
    """From 0, without holes."""
    at: datetime
    """Aware, UTC; of the machine that wrote it."""
    author: str
    """A person as they signed in, or `casemate`."""
    kind: ActionKind
    text: str
    """In words, for a person."""
    outcome: Outcome = "done"
    records: tuple[str, ...] = ()
    """Ids or digests of what it is about: orders, detections, events, items, statements."""
    details: dict[str, str | int | float | bool | None] = {}
    tool: str = ""
    """`casemate 0.1.0`."""
    previous: str | None = None
    """`sha256:` of the previous line as it is kept; None for the first."""


class Incident(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    tag_field="schema",
    tag="incident/1",
    forbid_unknown_fields=True,
):
    """A case as it stands: made by case; its actions are kept beside it, in order."""

    id: str
    """`case-` year `-` number: `case-2026-0001`."""
    title: str
    state: CaseState = "open"
    severity: Severity
    threat: str | None = None
    """Catalog id in `threats/` of the type it is handled as; None until somebody or the triage
    says."""
    opened: datetime
    opened_by: str
    aware: datetime
    """When the organisation learned of it: where the clocks of the law begin."""
    owner: str | None = None
    """Who has it now."""
    sources: tuple[str, ...] = ()
    """Ids of the detections, fingerprints of the findings, ids of events it was opened from."""
    run: str | None = None
    """Id of the run under which records for it are kept."""
    telemetry: str | None = None
    """Where its events are, when that is not the workspace's own: a folder."""
    triage: Triage | None = None
    orders: tuple[str, ...] = ()
    """Ids of the containments given for it."""
    vulnerabilities: tuple[str, ...] = ()
    playbook: str | None = None
    """Catalog id in `playbooks/`."""
    steps: dict[str, Step] = {}
    """By step id of the playbook."""
    facts: dict[str, str | int | float | bool] = {}
    """What people answered that papers need: `people_affected`, `personal_data`, `harm` ..."""
    closed: datetime | None = None
    closing: str | None = None
    """Why it was closed, in words."""
    version: int = 0
    """Counts up with each change; who changes an older one is told so."""
