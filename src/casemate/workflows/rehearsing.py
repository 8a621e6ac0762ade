"""Rehearse a playbook: a simulated incident in a folder of its own, followed step by step.

What an attack of the catalog does, or recorded events where casemate has none of the type, goes
past a real guard; a case is opened, evidence frozen, the containment given and obeyed, and every
check is made that can be. Nothing of the real workspace is touched.
"""

from __future__ import annotations

import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import msgspec

from casemate.case import playbook as following
from casemate.catalog import loader
from casemate.catalog.entries import Attack, Playbook
from casemate.errors import CasemateError, MissingExtra
from casemate.records.incident import Suspect
from casemate.records.make import make
from casemate.records.severity import Confidence
from casemate.store.cases import CaseBook
from casemate.store.workspace import Workspace
from casemate.workflows import cases, checks, collecting, config, containing, custody

if TYPE_CHECKING:
    from collections.abc import Mapping

    from casemate.case.playbook import Plan, PlanStep
    from casemate.records.incident import Incident, Step
    from casemate.workflows.config import Loaded
    from casemate.workflows.simulating import Service

ATTACKER = "rehearsal-attacker"
_BY = "rehearsal"
_CROWD = 240
_QUERIES = 300
_AFTER = 120
"""Requests of either side after the containment."""
_CONFIG = """\
version = 1
[guard]
mode = "enforce"
last_good = "http://last-good.invalid"
principal = { header = "x-user" }
[[guard.route]]
match = "/**"
name = "rehearsal"
approver = "rehearsal"
"""


class Rehearsal(NamedTuple):
    """How a playbook fared on a simulated incident."""

    on: Literal["attack", "fixture"]
    what: str
    """What was simulated, in words; says so where the events were recorded, not attacked."""
    said: str
    """What the triage made of it."""
    steps: Mapping[str, Step]
    contained: bool
    """Whether an order was in force, the guard obeyed it, and suspects got less than before."""
    intact: bool
    """Whether evidence was frozen before the containment, and log and copies are whole."""
    seconds: float
    """From the alarm until the guard obeyed, on this machine: how long people take to read and
    decide is not in it."""


def rehearse(plan: Plan, *, seed: int = 0) -> Rehearsal:
    """Follow a plan on a simulated incident.

    A plan that is not of the catalog is rehearsed on the incident of `respond-unknown`.

    Raises:
        MissingExtra: `casemate[guard]` is not installed.
    """
    known = loader.entries("playbooks", Playbook)
    entry = known.get(plan.id, known["respond-unknown"])
    with tempfile.TemporaryDirectory(prefix="casemate-rehearsal-") as folder:
        root = Path(folder)
        (root / config.NAME).write_text(_CONFIG, encoding="utf-8")
        loaded = config.read(root / config.NAME)
        with Workspace.open(root / ".casemate") as workspace:
            return _Rehearsing(plan, entry, loaded, workspace, seed).run()


class _Rehearsing:
    def __init__(
        self, plan: Plan, entry: Playbook, loaded: Loaded, workspace: Workspace, seed: int
    ) -> None:
        try:
            from casemate.workflows.simulating import Service
        except ModuleNotFoundError as error:
            raise MissingExtra("guard", for_="a rehearsal") from error

        self.plan = plan
        self.entry = entry
        self.loaded = loaded
        self.workspace = workspace
        self.seed = seed
        span = _QUERIES + _CROWD + sum(1 + int(one.count * one.every) for one in entry.fixture)
        self.began = time.time_ns() // 1000 - span * 1_000_000
        folder = workspace.folder / "telemetry"
        self.service: Service = Service(folder, loaded.config.guard, seed, self.began)
        self.contained_at: float | None = None

    def run(self) -> Rehearsal:
        """Let it happen, respond, and look back."""
        what = self._happen()
        began = time.monotonic()
        case = cases.open_case(
            self.loaded, self.workspace, (), by=_BY, since=self.began, copy="later",
            title=self.plan.title,
        )  # fmt: skip
        if self.entry.threats and case.threat not in self.entry.threats:
            case = cases.retype(self.workspace, case.id, self.entry.threats[0], by=_BY)
        said = _said(case)
        case, correction = self._truth(case)
        self.service.at = max(self.service.at, time.time_ns() // 1000)
        steps = {one.id: self._step(case, one) for one in self.plan.steps}
        self.service.close()
        scene = checks.scene(self.loaded, self.workspace, case.id)
        whole = checks.custody_whole(scene, {}).state == "done"
        first = checks.evidence_frozen(scene, {}).state == "done"
        took = 0.0 if self.contained_at is None else self.contained_at - began
        return Rehearsal(
            on=self.entry.rehearsed,
            what=what,
            said=said + correction,
            steps=steps,
            contained=_contained(self.plan, steps),
            intact=whole and first,
            seconds=took,
        )

    def _lineage(self) -> None:
        """Record where the model of the rehearsal came from and where it answers."""
        from casemate.records.edge import Edge, Node
        from casemate.store.lineage import LineageBook

        names = ("dataset:rows", "run:training", "model:weights", "deployment:rehearsal")
        nodes = [
            make(Node, id=f"rehearsal:{name.partition(':')[2]}", kind=name.partition(":")[0],
                 name=name.partition(":")[2])
            for name in names
        ]  # fmt: skip
        relations = ("read-by", "made", "deployed-as")
        edges = [
            make(Edge, source=one.id, target=other.id, relation=relation, by=_BY)
            for one, other, relation in zip(nodes[:-1], nodes[1:], relations, strict=True)
        ]
        LineageBook(self.workspace).add(nodes, edges)

    def _truth(self, case: Incident) -> tuple[Incident, str]:
        """Let the case go on with who it was, where the triage has named others.

        A playbook is rehearsed here, not the triage; what that said is told beside.
        """
        if case.triage is None:
            return case, ""
        who = {str(one.fields["principal"]) for one in self.entry.fixture}
        if self.entry.attack is not None:
            family = loader.entry("attacks", self.entry.attack, Attack).family
            who = set() if family == "poisoning" else {ATTACKER}
        culprits = who if len(who) == 1 else set()
        named = {one.principal for one in case.triage.suspects}
        if named == culprits:
            return case, ""
        began, ended = case.triage.began or self.began, case.triage.ended or self.service.at
        suspects = tuple(
            make(
                Suspect, principal=name, queries=0, began=began, ended=ended,
                confidence=Confidence.CERTAIN, because="the rehearsal knows",
            )
            for name in sorted(culprits)
        )  # fmt: skip
        text = f"; it was {', '.join(sorted(culprits)) or 'no single caller'}"
        triage = msgspec.structs.replace(case.triage, suspects=suspects)
        changed = CaseBook(self.workspace).change(
            case.id,
            custody.action(_BY, "triaged", f"corrected for the rehearsal{text}"),
            lambda one: msgspec.structs.replace(one, triage=triage),
        )
        return changed, text

    def _happen(self) -> str:
        self._lineage()
        self.service.crowd(_CROWD)
        if self.entry.attack is None:
            self.service.record(self.entry.fixture, self.service.at)
            last = max((one.start + one.count * one.every for one in self.entry.fixture), default=0)
            self.service.at += int(last * 1e6)
            self.service.flush()
            count = sum(one.count for one in self.entry.fixture)
            return f"{count} recorded events: casemate has no attack of this type"
        self._attack(self.entry.attack)
        self.service.flush()
        return f"the attack {self.entry.attack} on a model of its own behind the guard"

    def _attack(self, name: str) -> None:
        import numpy as np

        from casemate.attack.run import run
        from casemate.records.target import Target
        from casemate.targets.data import Data
        from casemate.workflows.simulating import Door

        entry = loader.entry("attacks", name, Attack)
        if entry.family == "poisoning":
            self.service.poison(0.4)
            self.service.crowd(_CROWD)
            return
        x, y = self.service.rows(3 if entry.family == "evasion" else 60)
        target = make(Target, kind="dataset", uri="rehearsal:rows")
        data = Data(x, y.astype(np.int64), 0.0, 1.0, (), target, None)
        each = _QUERIES if entry.family == "extraction" else _QUERIES // len(x)
        run(Door(self.service, ATTACKER), data, name, budget=each, seed=self.seed)

    def _step(self, case: Incident, one: PlanStep) -> Step:
        now = datetime.now(UTC)
        if one.check is None:
            return following.settle("done", "rehearsed: a person answers here", by=_BY, now=now)
        try:
            self._act(case, one)
        except CasemateError as error:
            return following.settle("failed", f"could not be rehearsed: {error}", by=_BY, now=now)
        from casemate.workflows.playbooks import CHECKS

        later = max(datetime.now(UTC), custody.moment(self.service.at) + timedelta(seconds=1))
        scene = checks.scene(self.loaded, self.workspace, case.id, now=later)
        # Orders and guards are looked at on the real clock, events on the simulated one.
        alive = checks.scene(self.loaded, self.workspace, case.id)
        if one.check in ("guard-obeys", "order-in-force", "orders-lifted"):
            scene = alive
        return following.run_step(self.plan, one.id, scene, CHECKS, by=_BY, now=now)

    def _act(self, case: Incident, one: PlanStep) -> None:
        """Do what a responder would have done before the check is made."""
        ident = case.id
        if one.check == "order-in-force":
            self._contain(ident, one.arguments.get("actions", "").split(","))
        elif one.check == "evidence-copied":
            collecting.collect(self.loaded, self.workspace, case, by=_BY)
        elif one.check == "orders-lifted" and CaseBook(self.workspace).get(ident).orders:
            containing.undo(self.loaded, self.workspace, ident, None, by=_BY, why="over", wait=0.0)
            self.service.obey(self.workspace, datetime.now(UTC))
        elif one.check == "facts-told":
            names = one.arguments.get("names", "").split(",")
            cases.tell(self.workspace, ident, dict.fromkeys(names, False), by=_BY)
        elif one.check == "clocks-answered":
            from casemate.case.clocks import unanswered

            asked = unanswered(cases.view(self.workspace, ident).clocks)
            cases.tell(self.workspace, ident, dict.fromkeys(asked, False), by=_BY)
        elif one.check == "papers-written":
            from casemate.workflows import papers

            for kind in one.arguments.get("kinds", "").split(","):
                papers.write_paper(self.loaded, self.workspace, ident, kind, by=_BY)
        elif one.check == "owner-named":
            cases.assign(self.workspace, ident, _BY, by=_BY)
        elif one.check == "vulnerability-scored":
            from casemate.workflows import vulnerabilities

            vulnerabilities.add(self.loaded, self.workspace, by=_BY, from_=ident)
        elif one.check == "radius-known":
            from casemate.workflows import operating

            operating.radius(self.loaded, self.workspace, ident, by=_BY, nodes=("rehearsal:rows",))
        elif one.check == "model-replaced":
            self.service.repair()
            self.service.crowd(_AFTER)
            self.service.flush()

    def _contain(self, ident: str, actions: list[str]) -> None:
        if self.contained_at is not None:
            return
        found = CaseBook(self.workspace).get(ident)
        named = found.triage is not None and found.triage.suspects
        containing.contain(
            self.loaded, self.workspace, ident, actions[0], by=_BY, approver=_BY, wait=0.0,
            reach="suspects" if named else "model" if _models(found) else "everybody",
        )  # fmt: skip
        self.service.obey(self.workspace, datetime.now(UTC))
        self.service.at = max(self.service.at, time.time_ns() // 1000)
        self.contained_at = time.monotonic()
        who = found.triage.suspects[0].principal if named and found.triage else ATTACKER
        rows, _ = self.service.rows(_AFTER)
        for row in rows:
            self.service.ask(row, who)
            self.service.crowd(1)
        self.service.flush()


def _said(case: Incident) -> str:
    triage = case.triage
    if triage is None:
        return "there is no triage"
    names = ", ".join(one.principal for one in triage.suspects[:3]) or "nobody"
    first = f", most probably {triage.guesses[0].threat}" if triage.guesses else ""
    return f"{triage.assessment}, {triage.confidence.value}{first}; it names {names}"


def _models(case: Incident) -> bool:
    return case.triage is not None and bool(case.triage.models)


def _contained(plan: Plan, steps: Mapping[str, Step]) -> bool:
    wanted = ("order-in-force", "guard-obeys", "suspects-stopped")
    states = {one.check: steps[one.id].state for one in plan.steps if one.check in wanted}
    if states.get("order-in-force") != "done":
        return False
    return all(state in ("done", "waiting") for state in states.values())
