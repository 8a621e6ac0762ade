"""Which models are exposed: what was last measured of each, what is known against it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from casemate.records.trial import Trial
from casemate.workflows import overview

if TYPE_CHECKING:
    from casemate.records.vulnerability import Vulnerability
    from casemate.store.workspace import Workspace
    from casemate.workflows.config import Loaded

_TRIALS = 400
"""Newest trials that are looked through."""
_DEPLOYMENTS = 100
"""Newest aliases and deployments shown."""


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """What an attack did to a model when it was last tried."""

    attack: str
    clean: float | None
    """The model's measure without an attack."""
    robust: float | None
    """The same under it."""
    measure: str


class Weakness(msgspec.Struct, frozen=True, kw_only=True):
    """A vulnerability that is not done with."""

    id: str
    title: str
    state: str
    level: str
    changed: datetime


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """A model and what is known of it."""

    name: str
    tone: overview.Tone
    words: str
    cases: tuple[overview.Row, ...] = ()
    """Open ones that name it."""
    alarms: int = 0
    """Campaigns detected against it lately."""
    weaknesses: tuple[Weakness, ...] = ()
    tried: tuple[Tried, ...] = ()
    """The worst first."""
    runs: tuple[str, ...] = ()
    """Where it is deployed and under which names, by the lineage."""


def exposed(loaded: Loaded, workspace: Workspace) -> tuple[Model, ...]:
    """Return the models that anything here names, the most exposed first."""
    everyone = overview.incidents(workspace)
    rows = [overview.row(one) for one in everyone if one.state != "closed"]
    seen = overview.alarms(workspace, everyone)
    trials = _trials(workspace)
    open_ = _open(workspace)
    runs = _deployments(workspace)
    names = dict.fromkeys(
        [
            *(name for row in rows for name in row.models),
            *(one.model for one in seen if one.model),
            *(name for one in open_ for name in (it.name for it in one.affected)),
            *trials,
            *([loaded.config.model.target] if loaded.config.model.target else []),
            *runs,
        ]
    )
    models = [
        _model(
            name,
            [row for row in rows if name in row.models],
            sum(one.model == name for one in seen),
            [one for one in open_ if any(it.name == name for it in one.affected)],
            trials.get(name, {}),
            runs.get(name, ()),
        )
        for name in names
    ]
    order = {"stop": 0, "unsure": 1, "pass": 2}
    return tuple(sorted(models, key=lambda one: (order[one.tone], one.name)))


def _model(
    name: str,
    rows: list[overview.Row],
    alarms: int,
    weak: list[Vulnerability],
    trials: dict[str, Trial],
    runs: tuple[str, ...],
) -> Model:
    tried = sorted(
        (
            Tried(
                attack=one.attack, clean=one.clean.value, measure=one.clean.name,
                robust=one.robust.value if one.robust is not None else None,
            )
            for one in trials.values()
        ),
        key=lambda one: 2.0 if one.robust is None else one.robust,
    )  # fmt: skip
    tone: overview.Tone
    if rows:
        tone, words = "stop", "under attack or suspected: there is an open case"
    elif alarms or weak:
        tone = "unsure"
        words = "detections name it" if alarms else "known weaknesses are open"
    elif not tried:
        tone, words = "unsure", "never attacked by casemate: nothing is known"
    elif any(one.robust is not None and one.robust < 0.5 * (one.clean or 0) for one in tried):
        tone, words = "unsure", "an attack more than halves what it gets right"
    else:
        tone, words = "pass", "no open case or weakness"
    return Model(
        name=name, tone=tone, words=words, cases=tuple(rows), alarms=alarms, tried=tuple(tried),
        weaknesses=tuple(
            Weakness(
                id=one.id, title=one.title, state=one.state, changed=one.changed,
                level=next((it.level for it in one.scores), "not scored"),
            )
            for one in weak
        ),
        runs=runs,
    )  # fmt: skip


def _trials(workspace: Workspace) -> dict[str, dict[str, Trial]]:
    """Return the last trial of each attack on each target; exercises against guards aside."""
    found: dict[str, dict[str, Trial]] = {}
    for one in workspace.newest(Trial, _TRIALS):
        found.setdefault(one.target.uri, {}).setdefault(one.attack, one)
    return found


def _open(workspace: Workspace) -> list[Vulnerability]:
    from casemate.store.vulnerabilities import VulnerabilityBook

    done = ("fixed", "rejected", "duplicate")
    return [one for one in VulnerabilityBook(workspace).all() if one.state not in done]


def _deployments(workspace: Workspace) -> dict[str, tuple[str, ...]]:
    """Return where models of the lineage run, by the name of what runs there."""
    from casemate.store.lineage import LineageBook

    book = LineageBook(workspace)
    found: dict[str, tuple[str, ...]] = {}
    for one in book.nodes(("alias", "deployment"), _DEPLOYMENTS):
        for step in book.neighbours(one.id, "up"):
            if step.edge.relation in ("aliased-as", "deployed-as"):
                where = f"{one.kind} {one.name}"
                found[step.node.name] = (*found.get(step.node.name, ()), where)
    return found
