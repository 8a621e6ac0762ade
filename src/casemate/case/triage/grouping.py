"""Who worked together, and on what: the events of suspicious principals as weighed sessions."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from casemate.case.triage.population import FEWEST, Usual
from casemate.case.triage.sessions import identity, read
from casemate.case.triage.types import Weighed, weigh

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from casemate.case.triage.callers import Caller
    from casemate.case.triage.questions import Row

ENOUGH = 8
"""Events of a principal on a model below which nothing is said of it alone."""
TOGETHER, PART, LIFT = 5, 0.2, 4.0
"""Inputs of one principal that go on from another's, and their share, that make the two one; or how
many times as often as their part in all events would have it."""
CLOSE = 3
"""Steps of a principal in another's cluster from which on the two work on the same input."""


def sessions(
    people: Sequence[Caller],
    rows: Sequence[Row],
    sample: Sequence[Row],
    linked: Iterable[tuple[str, int, str, int]],
    busy: int,
    events: int,
) -> list[Weighed]:
    """Return what suspicious principals did, the strongest first.

    Args:
        people: The principals.
        rows: Their events in order of time.
        sample: Events of everybody, in order of time.
        linked: (model, cluster, principal, steps) of near-duplicates that several people sent.
        busy: Inputs that the busiest twentieth of principals ask for.
        events: Inputs of everybody in the window.
    """
    loud = {one.principal for one in people if _loud(one, busy)}
    quiet: dict[str, list[Row]] = defaultdict(list)
    for row in sample:
        if row["principal"] not in loud:
            quiet[row["model"]].append(row)
    by_model: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_model[row["model"]].append(row)
    shared: dict[str, list[tuple[int, str, int]]] = defaultdict(list)
    for model, cluster, who, steps in linked:
        shared[model].append((cluster, who, steps))
    found = []
    for model, theirs in by_model.items():
        for group in _groups(theirs, shared[model], events):
            mine = [row for row in theirs if row["principal"] in group]
            if len(mine) < ENOUGH:
                continue
            usual = _usual(quiet[model], group, mine)
            session = read(_ordered(group, mine), model, mine, usual.apart)
            found.append(weigh(session, usual, busy))
    return sorted(found, key=lambda one: -one.weight)


def _loud(one: Caller, busy: int) -> bool:
    return one.steps >= ENOUGH or one.own * 3 >= one.asked or one.asked >= 4 * max(1, busy)


def _usual(quiet: Sequence[Row], group: frozenset[str], mine: Sequence[Row]) -> Usual:
    """Return what is usual without the group: at their time where enough is known of it."""
    others = [row for row in quiet if row["principal"] not in group]
    began, ended = mine[0]["at"], mine[-1]["at"]
    then = [row for row in others if began <= row["at"] <= ended]
    return Usual(then if len(then) >= 2 * FEWEST else others)


def _groups(
    rows: Sequence[Row],
    shared: Iterable[tuple[int, str, int]],
    events: int,
) -> list[frozenset[str]]:
    """Return who goes on from whose inputs: principals that are one caller with several names."""
    owner = {identity(row): row["principal"] for row in rows}
    asked = Counter(row["principal"] for row in rows)
    across: Counter[tuple[str, str]] = Counter()
    for row in rows:
        other = owner.get(row["near_to"] or "")
        near = row["near"] is not None and row["near"] > 0 and row["delta"] != 0
        if other is not None and other != row["principal"] and near:
            across[row["principal"], other] += 1
    home = {who: who for who in asked}

    def root(who: str) -> str:
        while home[who] != who:
            who = home[who]
        return who

    for (who, other), count in across.items():
        chance = asked[other] / max(1, events) * asked[who]
        often = count >= max(ENOUGH, LIFT * chance)
        if count >= TOGETHER and (count >= PART * asked[who] or often):
            home[root(who)] = root(other)
    clusters: dict[int, list[tuple[str, int]]] = defaultdict(list)
    for cluster, who, steps in shared:
        if who in asked:
            clusters[cluster].append((who, steps))
    for members in clusters.values():
        many = [who for who, steps in members if steps >= CLOSE]
        # Where nobody sent many, it is the work of all, or one input that goes round.
        together = many if len(many) > 1 else [] if many else [who for who, _ in members]
        for who in together[1:]:
            home[root(who)] = root(together[0])
    found: dict[str, set[str]] = defaultdict(set)
    for who in asked:
        found[root(who)].add(who)
    return [frozenset(one) for one in found.values()]


def _ordered(group: frozenset[str], rows: Iterable[Row]) -> tuple[str, ...]:
    count: Mapping[str, int] = Counter(row["principal"] for row in rows)
    return tuple(sorted(group, key=lambda who: (-count[who], who)))
