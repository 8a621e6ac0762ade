"""Checks of a playbook that look at the case itself: evidence, containments, facts, papers.

A check looks and changes nothing. It says `waiting` where it cannot be made yet, so that a gap in
what is known is never taken for a failure, nor for success. `checks_events` and `checks_records`
hold those that look at the events and at what other runs left.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from casemate.case import evidence
from casemate.case.clocks import clocks, told, unanswered
from casemate.case.playbook import Result
from casemate.catalog import loader
from casemate.catalog.entries import Deadline
from casemate.errors import StoreError
from casemate.store.cases import CaseBook
from casemate.store.guards import GuardBook
from casemate.store.orders import OrderBook
from casemate.workflows import collecting, custody
from casemate.workflows.containing import ACTIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from casemate.case.evidence import Item
    from casemate.records.incident import Action, Incident
    from casemate.records.order import Order
    from casemate.store.telemetry.sink import EventQuery
    from casemate.store.workspace import Workspace
    from casemate.workflows.config import Loaded

    Check = Callable[["Scene", Mapping[str, str]], Result]

_SHOWN = 3


class Scene(NamedTuple):
    """What checks look at."""

    loaded: Loaded
    workspace: Workspace
    incident: Incident
    actions: tuple[Action, ...]
    faults: tuple[str, ...]
    """What is wrong with the custody log."""
    items: tuple[Item, ...]
    folder: Path
    orders: tuple[Order, ...]
    """Every order of the case, in force or not."""
    active: frozenset[str]
    """Ids of those in force."""
    query: EventQuery | None
    now: datetime

    @property
    def suspects(self) -> tuple[str, ...]:
        """Names of the principals that the triage suspects."""
        triage = self.incident.triage
        return tuple(one.principal for one in triage.suspects) if triage is not None else ()

    @property
    def contained(self) -> int | None:
        """When the first containment was given, in microseconds since the epoch."""
        given = [one.at for one in self.actions if one.kind == "contained" and _good(one)]
        return custody.micros(min(given)) if given else None

    def did(self, *kinds: str) -> list[Action]:
        """Return the actions of these kinds that were carried out, oldest first."""
        return [one for one in self.actions if one.kind in kinds and _good(one)]


def scene(loaded: Loaded, workspace: Workspace, case: str, *, now: datetime | None = None) -> Scene:
    """Return what there is to look at for a case.

    Raises:
        UsageError: There is no such case.
    """
    book = CaseBook(workspace)
    incident = book.get(case)
    log = book.log(incident.id)
    at = now or datetime.now(UTC)
    orders = OrderBook(workspace)
    folder = collecting.folder_of(workspace, incident.id)
    return Scene(
        loaded=loaded,
        workspace=workspace,
        incident=incident,
        actions=log.actions,
        faults=log.faults,
        items=tuple(evidence.read(folder)),
        folder=folder,
        orders=tuple(one for _, one in orders.history() if one.id in incident.orders),
        active=frozenset(one.id for one in orders.active(at)),
        query=_near(loaded, workspace, incident),
        now=at,
    )


def _near(loaded: Loaded, workspace: Workspace, case: Incident) -> EventQuery | None:
    """Return the events asked for in this process: the queries are ours, and a dozen is asked."""
    from casemate.store.telemetry.query import Telemetry

    try:
        query = collecting.query_of(workspace, case, loaded)
    except StoreError:
        return None  # checks that ask for events wait; the others can be made
    return Telemetry(query.folder, isolated=False) if isinstance(query, Telemetry) else query


def evidence_frozen(scene: Scene, arguments: Mapping[str, str]) -> Result:  # noqa: ARG001
    """Is there frozen evidence, and does it come before any containment?"""
    frozen = [one for one in scene.actions if one.kind == "frozen"]
    if not frozen or not scene.items:
        return Result("failed", "nothing was frozen; casemate case collect CASE takes what is left")
    contained = scene.did("contained")
    first = next(iter(scene.did("frozen")), frozen[0])  # what failed may have been made good since
    bad = [one for one in scene.items if one.state in ("failed", "absent")]
    words = f"{len(scene.items)} items at {first.at:%Y-%m-%d %H:%M:%S} UTC"
    if bad:
        words += f"; not to be had: {_some([f'{one.name} ({one.why})' for one in bad])}"
    if contained and contained[0].number < first.number:
        return Result(
            "failed",
            f"{words}, but line {contained[0].number} of the log contained before: "
            f"{contained[0].text}",
        )
    if first.outcome != "done":
        return Result("failed", f"{words}; {first.text}")
    return Result("done", f"{words}, before any containment")


def evidence_copied(scene: Scene, arguments: Mapping[str, str]) -> Result:  # noqa: ARG001
    """Has the bulk been copied?"""
    if not scene.items:
        return Result("failed", "there are no items of evidence")
    left = [one.name for one in scene.items if one.state == "frozen"]
    bad = [f"{one.name} ({one.why})" for one in scene.items if one.state == "failed"]
    changed = [one.name for one in scene.items if one.state == "changed"]
    copied = sum(one.copy is not None for one in scene.items)
    words = f"{copied} of {len(scene.items)} items are in the case's folder"
    if changed:
        words += f"; changed between freezing and copying: {_some(changed)}"
    if bad:
        return Result("failed", f"{words}; failed: {_some(bad)}")
    if left:
        return Result("waiting", f"{words}; still to be copied: {_some(left)}")
    return Result("done", words)


def custody_whole(scene: Scene, arguments: Mapping[str, str]) -> Result:  # noqa: ARG001
    """Are the custody log and the copies as they were written?"""
    faults = list(scene.faults)
    held = 0
    for one in scene.items:
        if one.copy is None or one.digest is None:
            continue
        path = scene.folder / evidence.COPIES / one.copy
        if not path.is_file():
            faults.append(f"{one.name}: the copy is gone")
        elif evidence.digest_of(path)[0] != one.digest:
            faults.append(f"{one.name}: the copy was changed")
        held += 1
    if faults:
        return Result("failed", f"{len(faults)} faults: {_some(faults)}")
    return Result("done", f"{len(scene.actions)} lines and {held} copies are as they were written")


def triage_agrees(scene: Scene, arguments: Mapping[str, str]) -> Result:
    """Does the triage say what this playbook is for?"""
    triage = scene.incident.triage
    if triage is None:
        return Result("waiting", "there is no triage yet")
    wanted = arguments.get("assessment", "attack").split(",")
    first = triage.guesses[0] if triage.guesses else None
    words = f"{triage.assessment}, {triage.confidence.value}"
    if first is not None:
        words += f"; most probably {first.threat} ({first.share:.0%}): {first.because}"
    threat = scene.incident.threat
    if triage.assessment not in wanted:
        return Result("failed", f"the triage says {words}")
    ranked = [one.threat for one in triage.guesses]
    if threat is not None and "attack" in wanted and ranked and threat not in ranked:
        return Result("failed", f"handled as {threat}, but the triage says {words}")
    return Result("done", f"the triage says {words}")


def suspects_known(scene: Scene, arguments: Mapping[str, str]) -> Result:  # noqa: ARG001
    """Is somebody named?"""
    triage = scene.incident.triage
    if triage is None:
        return Result("waiting", "there is no triage yet")
    if not triage.suspects:
        return Result("failed", "the triage names nobody")
    who = [f"{one.principal}: {one.queries} queries, {one.because}" for one in triage.suspects]
    return Result("done", f"{len(who)} named: {_some(who, 5)}")


def order_in_force(scene: Scene, arguments: Mapping[str, str]) -> Result:
    """Is one of these containments in force?"""
    wanted = {name for name in arguments.get("actions", "").split(",") if name in ACTIONS}
    orders = {ACTIONS[name][0] for name in wanted}
    held = [one for one in scene.orders if one.id in scene.active and one.action in orders]
    if held:
        end = min(one.expires for one in held)
        what = _some([f"{one.action} for {_whom(one)}" for one in held])
        return Result("done", f"in force until {end:%Y-%m-%d %H:%M} UTC: {what}")
    by_hand = [one for one in scene.did("contained") if one.details.get("action") in wanted]
    if by_hand and not by_hand[-1].records:
        return Result("done", f"changed outside the guards: {by_hand[-1].text}")
    gone = [one for one in scene.orders if one.action in orders]
    if gone:
        return Result("failed", f"{len(gone)} orders have expired or were undone, none is in force")
    return Result("waiting", f"none of {', '.join(sorted(wanted))} has been given")


def guard_obeys(scene: Scene, arguments: Mapping[str, str]) -> Result:  # noqa: ARG001
    """Do the guards that are alive carry out the orders in force?"""
    held = [one.id for one in scene.orders if one.id in scene.active]
    if not held:
        return Result("waiting", "no order of this case is in force")
    alive = GuardBook(scene.workspace).alive(custody.micros(scene.now))
    if not alive:
        return Result("failed", "no guard of this workspace is alive: nobody obeys the orders")
    observing = [one.writer for one in alive if one.mode == "observe"]
    if observing:
        return Result(
            "failed", f"{_some(observing)} observed only: restart with casemate guard --enforce"
        )
    late = [one for one in alive if not set(held) <= set(one.obeys)]
    if late:
        why = [f"{one.writer}: {_some(list(one.refuses.values())) or 'not yet'}" for one in late]
        refused = any(one.refuses.get(order) for one in late for order in held)
        return Result("failed" if refused else "waiting", f"{len(late)} do not: {_some(why)}")
    return Result("done", f"{len(alive)} guards obey {len(held)} orders")


def orders_lifted(scene: Scene, arguments: Mapping[str, str]) -> Result:  # noqa: ARG001
    """Is nothing of the case in force any more?"""
    held = [one for one in scene.orders if one.id in scene.active]
    if held:
        what = _some([f"{one.id} {one.action} for {_whom(one)}" for one in held])
        return Result("waiting", f"{len(held)} still in force: {what}")
    return Result("done", f"none of {len(scene.orders)} orders is in force")


def radius_known(scene: Scene, arguments: Mapping[str, str]) -> Result:  # noqa: ARG001
    """Was the blast radius found?"""
    found = scene.did("scoped")
    if not found:
        return Result("waiting", "nobody has asked: casemate case radius CASE")
    return Result("done", found[-1].text)


def facts_told(scene: Scene, arguments: Mapping[str, str]) -> Result:
    """Did somebody say what no record shows?"""
    wanted = [name for name in arguments.get("names", "").split(",") if name]
    facts = scene.incident.facts
    left = [name for name in wanted if name not in facts]
    if left:
        return Result("waiting", f"casemate case tell CASE {' '.join(f'{n}=...' for n in left)}")
    return Result("done", ", ".join(f"{name} = {facts[name]}" for name in wanted))


def owner_named(scene: Scene, arguments: Mapping[str, str]) -> Result:  # noqa: ARG001
    """Does a person have the case?"""
    if not scene.incident.owner or scene.incident.owner == "casemate":
        return Result("waiting", "nobody has it: casemate case assign CASE NAME")
    return Result("done", f"{scene.incident.owner} has it")


def clocks_answered(scene: Scene, arguments: Mapping[str, str]) -> Result:  # noqa: ARG001
    """Is every clock of the law answered, and none missed?"""
    found = clocks(scene.incident, loader.entries("deadlines", Deadline), scene.now)
    missed = [f"{one.title} ({one.because})" for one in found if one.state == "missed"]
    if missed:
        return Result("failed", f"missed: {_some(missed)}")
    needs = unanswered(found)
    if needs:
        return Result(
            "waiting", f"casemate case tell CASE {' '.join(f'{n}=yes|no' for n in needs)}"
        )
    running = [
        f"{one.title} until {one.due:%Y-%m-%d %H:%M} UTC" if one.due else one.title
        for one in found
        if one.state == "running"
    ]
    if running:
        stop = next(told(one.id) for one in found if one.state == "running")
        words = f"running: {_some(running, 12)}; {stop}=TIME says when it was met"
        return Result("done", words)
    return Result("done", "none is running")


def papers_written(scene: Scene, arguments: Mapping[str, str]) -> Result:
    """Are the papers written, and how many blanks do they have?"""
    wanted = [kind for kind in arguments.get("kinds", "").split(",") if kind]
    written = {str(one.details.get("kind")): one for one in scene.did("written", "handed-over")}
    left = [kind for kind in wanted if kind not in written]
    if left:
        return Result("waiting", f"not written: {', '.join(left)}")
    words = [f"{kind}: {written[kind].details.get('blanks', 0)} blanks" for kind in wanted]
    return Result("done", ", ".join(words))


def bundle_verifies(scene: Scene, arguments: Mapping[str, str]) -> Result:  # noqa: ARG001
    """Does the bundle that was packed last verify, where it still lies where it was written?"""
    from casemate.workflows import verifying

    made = scene.did("bundled")
    if not made:
        return Result("waiting", "no bundle yet: casemate case bundle CASE")
    words = made[-1].text
    elsewhere = Result("waiting", f"{words}; it lies elsewhere: casemate verify FOLDER")
    folders = [one for one in _bundles(scene) if verifying.is_bundle(one)]
    if not folders:
        return elsewhere
    last = [one for one in folders if _root(one) in made[-1].records]
    folder = (last or folders)[0]
    found = verifying.verify_bundle(folder)
    faults = [f"{one.kind} {one.where}" for one in found.faults if one.weight == found.answer]
    if found.answer == "changed":
        return Result("failed", f"{folder.name} does not verify: {_some(faults)}")
    if not last:
        return elsewhere
    if found.answer == "incomplete" and {one.split()[0] for one in faults} != {"unpinned"}:
        return Result("waiting", f"{folder.name} is not verified to the end: {_some(faults)}")
    unpinned = "" if found.answer == "whole" else ", but not by whom it was sealed: no key is here"
    return Result("done", f"{words}; it verifies{unpinned}")


def _bundles(scene: Scene) -> list[Path]:
    """Return where the case's bundle may lie, the newest of the workspace's own first."""
    case = scene.incident.id
    kept = sorted((scene.workspace.folder / "bundles").glob(f"{case}-*"), reverse=True)
    return [*kept, Path.cwd() / case, scene.loaded.root / case]


def _root(folder: Path) -> str:
    """Return the root that a bundle says it has, as the case's log names it; empty without one."""
    from casemate.case.verifier.notes import parse_checkpoint
    from casemate.case.verifier.statements import CHECKPOINT

    try:
        return f"sha256:{parse_checkpoint((folder / CHECKPOINT).read_bytes()).root.hex()}"
    except (OSError, ValueError):
        return ""


def vulnerability_scored(scene: Scene, arguments: Mapping[str, str]) -> Result:  # noqa: ARG001
    """Is the weakness tracked, with a score?"""
    from casemate.store.vulnerabilities import VulnerabilityBook

    book = VulnerabilityBook(scene.workspace)
    found = [book.get(ident) for ident in scene.incident.vulnerabilities]
    if not found:
        return Result("waiting", "none is tracked: casemate vuln add --from CASE")
    bare = [one.id for one in found if not one.scores]
    if bare:
        return Result("failed", f"without a score: {_some(bare)}")
    words = [f"{one.id} {', '.join(f'{s.scheme} {s.level}' for s in one.scores)}" for one in found]
    return Result("done", _some(words))


def _good(action: Action) -> bool:
    return action.outcome == "done"


def _whom(order: Order) -> str:
    scope = order.scope
    named = [one for one in (scope.principal, scope.session, scope.model, scope.route) if one]
    return " ".join(named) or "everybody"


def _some(words: list[str], most: int = _SHOWN) -> str:
    more = f" and {len(words) - most} more" if len(words) > most else ""
    return ", ".join(words[:most]) + more
