"""Copying a model, and asking what it was trained on, seen in all that one principal asks.

Many bases with a few neighbours each, inputs unlike everybody else's that cover all classes, or
simply far more than anybody needs.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from casemate.detect import shifts
from casemate.detect.rule import Limits, Rule, Seen, Sighting
from casemate.detect.words import powers, shown
from casemate.records.severity import Confidence

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from casemate.detect.accounts import Account
    from casemate.detect.models import Model
    from casemate.records.event import Event

EVERY = 25
"""Inputs of a principal between two looks at it."""
PEERS = 5
"""Principals of the present before one can be said to differ from them."""


def extraction_near_duplicate(
    limits: Limits, *, bases: int, longest: int, share: float, spread: float
) -> Rule:
    """See many inputs that each get a few neighbours, all by steps of one kind.

    Args:
        limits: The budget.
        bases: Inputs that must have neighbours.
        longest: Most neighbours any of them may have; a search or an explanation has more.
        share: Share of the principal's inputs that must be near-duplicates.
        spread: Most that the lengths of the steps may vary, as standard deviation over mean.
    """

    def step(seen: Seen) -> Sighting | None:
        account = seen.account
        if account.bases < bases or account.longest > longest or account.steps % EVERY:
            return None
        fresh = account.asked - account.repeats
        if account.steps < share * fresh or account.spread > spread:
            return None
        if not _covers(account, seen.model):
            return None
        bar = limits.bar(seen.model)
        if account.near < bar or seen.event.purpose is not None:
            return None
        firm = account.spread <= _ALIKE and account.deeper >= _LATER * account.steps
        return Sighting(
            subject=f"{account.principal} in rounds" if firm else account.principal,
            message=(
                f"{shown(account.principal)} asked for {account.steps} neighbours of "
                f"{account.bases} inputs, at most {account.longest} of each, by steps that differ "
                f"in length by {account.spread:.0%}, over {len(account.labels)} labels: inputs "
                "made to learn how the model answers between those it has been asked before."
                + (f" {account.deeper} go on from a neighbour: round after round." * firm)
            ),
            principals=(account.principal,),
            began=account.onset,
            queries=account.since,
            events=account.evidence(),
            score=powers(account.near),
            bar=powers(bar),
            confidence=Confidence.FIRM if firm else None,
        )

    return Rule(step=step)


_LATER = 1 / 3
"""Share of neighbours that start from a neighbour: that of augmentation, which doubles its inputs
each round, after the second. Explanations and averages start from the input itself."""
_ALIKE = 0.25
"""Most that the lengths of its steps vary: one step size, measured against inputs of many sizes."""


def extraction_natural(limits: Limits, *, fewest: int, shift: float) -> Rule:
    """See a principal whose inputs are unlike those of the others and cover the classes.

    Args:
        limits: The budget.
        fewest: Inputs of the principal before anything is said.
        shift: Stability index, over margins, sizes or labels, from which on inputs are unlike.
    """

    def each(event: Event, account: Account, model: Model) -> Sighting | None:
        fresh = account.fresh
        if fresh < fewest or fresh < account.look or not model.baseline.ready:
            return None
        account.look = fresh + max(EVERY, fresh // 4)
        if event.purpose is not None:
            return None
        # Who changes its inputs a little again and again is the other rules' business.
        if len(model.callers) <= PEERS or account.steps * 5 > account.asked:
            return None
        bar = limits.bar(model)
        found = _unlike(account, model, shift)
        if found is None or found.evidence < bar:
            return None
        if found.index < _FAR * shift and not _covers(account, model):
            return None
        return Sighting(
            subject=account.principal,
            message=(
                f"{shown(account.principal)} sent {account.fresh} inputs whose {found.what} are "
                f"unlike those of everybody else, then and now (stability index {found.index:.1f}; "
                f"0.25 is called large), spread over {len(account.labels)} labels: inputs from "
                "elsewhere, as one uses to copy a model; or a new source of honest ones."
            ),
            principals=(account.principal,),
            began=account.began,
            queries=account.asked,
            events=account.ids(),
            score=powers(found.evidence),
            bar=powers(bar),
            confidence=Confidence.FIRM if found.index >= _FAR * shift else None,
        )

    return Rule(input=each)


_FAR = 4
"""So many times the shift that is called large is enough whatever the labels are."""


class _Unlike:
    """How a principal's inputs differ."""

    def __init__(self, what: str, index: float, evidence: float) -> None:
        self.what, self.index, self.evidence = what, index, evidence


def _unlike(account: Account, model: Model, shift: float) -> _Unlike | None:
    """Return the way in which they differ most, from the baseline and from the others' present."""
    best: _Unlike | None = None
    labels = shifts.shares(model.baseline.labels)
    usual = (shifts.TENTHS, shifts.TENTHS, labels, shifts.TENTHS)
    names = ("margins", "sizes", "labels", "distances to earlier inputs")
    seen = (account.margins, account.norms, account.labels, account.aparts)
    for what, counts, then, now in zip(names, seen, usual, model.present, strict=True):
        if not counts or sum(now.values()) < 100:
            continue
        if counts is account.aparts and _mean(counts) <= _mean(now):
            continue  # who asks much has its own inputs near; made-up ones are far from all
        present = shifts.shares({**dict.fromkeys(then, 0), **now})
        # Who stayed through a drift has inputs of before and of after it.
        index = evidence = math.inf
        for part in (0.0, 1.0, 0.5, 0.25, 0.75):
            blend = _blend(then, present, part)
            index = min(index, shifts.index(counts, blend))
            if index < shift:
                break
            evidence = min(evidence, shifts.evidence(counts, blend))
        if index >= shift and (best is None or index > best.index):
            best = _Unlike(what, index, evidence)
    return best


def _mean(counts: Mapping[int, int]) -> float:
    return sum(value * count for value, count in counts.items()) / max(1, sum(counts.values()))


def _blend(then: Mapping[int, float], now: Mapping[int, float], part: float) -> dict[int, float]:
    return {
        value: (1 - part) * then.get(value, 0.0) + part * now.get(value, 0.0)
        for value in then.keys() | now.keys()
    }


def _covers(account: Account, model: Model) -> bool:
    """Say whether its inputs cover the labels at least half as evenly as everybody's do."""
    usual = shifts.kinds(model.baseline.labels)
    return shifts.kinds(account.labels) >= max(1.5, 0.5 * usual)


def extraction_volume(limits: Limits, *, fewest: int, times: float) -> Rule:
    """See a principal that asks for far more different inputs than the others do.

    Args:
        limits: Unused: this is a comparison, not a test.
        fewest: Inputs, repeats left out, before anything is said.
        times: How many times what the busiest twentieth of principals ask.
    """
    del limits

    def tick(now: int, model: Model) -> Iterable[Sighting]:
        del now
        volumes = sorted(a.fresh for a in model.accounts.values())
        if len(volumes) < 4 * PEERS or volumes[-1] < fewest:
            return
        busy = volumes[int(0.95 * (len(volumes) - 1))]
        for account in model.accounts.values():
            asked = account.fresh
            if asked < max(fewest, times * busy) or not _covers(account, model):
                continue
            yield Sighting(
                subject=account.principal,
                message=(
                    f"{shown(account.principal)} asked for {asked:,} different inputs, "
                    f"{asked / max(1, busy):.0f} times as many as the busiest twentieth of "
                    f"{len(volumes)} principals, spread over {len(account.labels)} labels. Enough "
                    "to copy the model by; a batch job looks the same."
                ),
                principals=(account.principal,),
                began=account.began,
                queries=account.asked,
                events=account.ids(),
                score=round(asked / max(1, busy), 1),
                bar=times,
            )

    return Rule(tick=tick)


def membership_probe(limits: Limits, *, bases: int, fewest: int, flips: float) -> Rule:
    """See many inputs that each get a cloud of noise, as is done to ask whether they were learned.

    Args:
        limits: The budget.
        bases: Inputs that must have a cloud.
        fewest: Neighbours each has on average.
        flips: Most of the neighbours whose label may turn, as a share.
    """

    def step(seen: Seen) -> Sighting | None:
        account = seen.account
        if account.bases < bases or account.steps % EVERY or account.steps < fewest * account.bases:
            return None
        if account.longest > 4 * account.steps / account.bases:
            return None
        bar = limits.bar(seen.model)
        turned = account.flips / account.steps
        if account.near < bar or turned > flips or seen.event.purpose is not None:
            return None
        return Sighting(
            subject=account.principal,
            message=(
                f"{shown(account.principal)} asked for about "
                f"{account.steps / account.bases:.0f} neighbours of each of {account.bases} "
                f"inputs; the label turned on {turned:.0%} of them. So one asks how firmly the "
                "model holds an input, and whether it was trained on it."
            ),
            principals=(account.principal,),
            began=account.onset,
            queries=account.since,
            events=account.evidence(),
            score=powers(account.near),
            bar=powers(bar),
        )

    return Rule(step=step)
