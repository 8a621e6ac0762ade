"""Evasion, seen in steps and answers together: what makes near-duplicates an attack.

A descent goes back to the best input so far and makes the label weaker from there, as SimBA,
Square, Bandits and searches in columns or words do. A border search halves its steps around the
point where the label turns, or starts again from the last input of the other label, as HopSkipJump,
Boundary, GeoDA, SurFree, Sign-OPT and RayS do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from casemate.detect.rule import Limits, Rule, Seen, Sighting
from casemate.detect.words import people, powers, shown

if TYPE_CHECKING:
    from casemate.detect.accounts import Account
    from casemate.detect.models import Model
    from casemate.detect.streams import Stream
    from casemate.records.event import Event

_TWICE = 0.7
"""Two tests instead of one: log 2 more."""
DECLARED = 7.0
"""Extra evidence, in nats, against a client declared to explain or test the model."""
_CHEAP = 4.0


def margin_descent(limits: Limits, *, falls: int) -> Rule:
    """See a client that weakens the label step by step from the best it has found.

    Args:
        limits: The budget.
        falls: Times the label must have become weaker than ever before in the stream.
    """

    def step(seen: Seen) -> Sighting | None:
        stream, account = seen.stream, seen.account
        # What a client spreads over several guards or bases adds up in its account.
        best = max(stream.descent, account.descent - _TWICE)
        if best < _CHEAP or stream.falls < falls:
            return None
        bar = _bar(limits, seen)
        if best < bar:
            return None
        if stream.descent < bar:
            return _spread(account, best, bar, "go back to the best so far to weaken the label")
        who = stream.who()
        fooled = "and the label has turned" if len(stream.labels) > 1 else "and has not turned yet"
        return _sighting(
            stream,
            f"{people(who)} changed one input {stream.steps} times; {stream.returns} times the "
            "next try started again from the best one so far. The label grew weaker "
            f"{stream.falls} times, from a margin of {stream.base_margin or 0:.3g} to "
            f"{stream.best_margin or 0:.3g}, {fooled}.",
            who,
            best,
            bar,
        )

    return Rule(step=step)


def boundary_search(limits: Limits, *, flips: int) -> Rule:
    """See a client that feels for the border between two labels.

    Args:
        limits: The budget.
        flips: Times the label must have turned between an input and its nearest.
    """

    def step(seen: Seen) -> Sighting | None:
        stream = seen.stream
        turning = max(stream.turning, seen.account.turning - _TWICE)
        best = max(stream.search, stream.searches, turning)
        if best < _CHEAP or stream.flips < flips:
            return None
        bar = _bar(limits, seen) + _TESTS
        if best < bar:
            return None
        if max(stream.search, stream.searches, stream.turning) < bar:
            how = "start again from the last input of the other label"
            return _spread(seen.account, best, bar, how)
        who = stream.who()
        if best == stream.turning:
            how = "starting again from the last input of the other label whenever the label turned"
        else:
            how = "halving the step on the line to the point where the label turns"
        return _sighting(
            stream,
            f"{people(who)} changed one input {stream.steps} times, {how}; the label turned "
            f"{stream.flips} times among {len(stream.labels)} labels.",
            who,
            best,
            bar,
        )

    def search(event: Event, account: Account, model: Model) -> Sighting | None:
        """See a search from far off, before its steps are near-duplicates of anything."""
        if account.search < _CHEAP or len(account.run_labels) < 2:
            return None
        declared = DECLARED if event.purpose is not None else 0.0
        bar = limits.bar(model) + _TESTS + declared
        if account.search < bar:
            return None
        ids = tuple(f"{writer}:{sequence}" for writer, sequence, _ in account.run)
        return Sighting(
            subject=f"search of {account.principal}",
            message=(
                f"{shown(account.principal)} asked {len(account.run)} inputs in a row, each about "
                "half as far from the last as the one before, among "
                f"{len(account.run_labels)} labels: a search for the point where the label turns."
            ),
            principals=(account.principal,),
            began=account.run[0][2],
            queries=len(account.run) + 1,
            events=ids,
            score=powers(account.search),
            bar=powers(bar),
            clusters=tuple(account.streams)[-4:],
        )

    return Rule(step=step, input=search)


def linked_accounts(limits: Limits, *, fewest: int) -> Rule:
    """See one search that is the work of several principals.

    Args:
        limits: The budget.
        fewest: Principals that must have a part in it.
    """

    def step(seen: Seen) -> Sighting | None:
        stream = seen.stream
        if len(stream.principals) < fewest or stream.steps < 2 * fewest:
            return None
        best = max(stream.descent, stream.search, stream.searches, stream.turning)
        bar = _bar(limits, seen) + _TESTS
        if best < bar:
            return None
        who = stream.who()
        if len(who) < fewest:
            return None
        return _sighting(
            stream,
            f"{len(who)} principals work on one input together: {stream.steps} steps, each from "
            "where another's ended. They are one attacker with several accounts.",
            who,
            best,
            bar,
        )

    return Rule(step=step)


_TESTS = 1.4
"""The best of four tests needs log 4 more."""


def _spread(account: Account, score: float, bar: float, how: str) -> Sighting:
    """Return what is seen of one principal over several inputs or guards, in no one stream."""
    return Sighting(
        subject=f"account {account.principal}",
        message=(
            f"{shown(account.principal)} changed {account.bases} inputs {account.steps} times; "
            f"over all of them its tries {how}, oftener than chance and other aims have it."
        ),
        principals=(account.principal,),
        began=account.onset,
        queries=account.since,
        events=account.evidence(),
        score=powers(score),
        bar=powers(bar),
        clusters=tuple(account.streams)[-8:],
    )


def _bar(limits: Limits, seen: Seen) -> float:
    return limits.bar(seen.model) + (DECLARED if seen.event.purpose is not None else 0.0)


def _sighting(
    stream: Stream, message: str, who: tuple[str, ...], score: float, bar: float
) -> Sighting:
    return Sighting(
        # Told again each time that twice as many principals are in it.
        subject=f"stream {stream.cluster} {len(who).bit_length()}",
        message=message,
        principals=who,
        began=stream.began,
        queries=stream.steps + 1,
        events=stream.evidence(),
        score=powers(score),
        bar=powers(bar),
        clusters=(stream.cluster,),
    )
