"""Evasion, seen in steps and answers together: what makes near-duplicates an attack.

A descent goes back to the best input so far and makes the label weaker from there, as SimBA,
Square, Bandits and searches in columns or words do. A border search halves its steps around the
point where the label turns, or probes both sides of it in steps of one length, as HopSkipJump,
Boundary, GeoDA, SurFree, Sign-OPT and RayS do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from casemate.detect.rule import Limits, Rule, Seen, Sighting
from casemate.detect.words import people, powers

if TYPE_CHECKING:
    from casemate.detect.streams import Stream

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
        stream = seen.stream
        if stream.descent < _CHEAP or stream.falls < falls:
            return None
        bar = _bar(limits, seen)
        if stream.descent < bar:
            return None
        who = stream.who()
        fooled = "and the label has turned" if len(stream.labels) > 1 else "and has not turned yet"
        return _sighting(
            stream,
            f"{people(who)} changed one input {stream.steps} times; {stream.returns} times the "
            "next try started again from the best one so far. The label grew weaker "
            f"{stream.falls} times, from a margin of {stream.base_margin or 0:.3g} to "
            f"{stream.best_margin or 0:.3g}, {fooled}.",
            who,
            stream.descent,
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
        best = max(stream.search, stream.probing, stream.hugging)
        if best < _CHEAP or stream.flips < flips:
            return None
        bar = _bar(limits, seen) + _THREE
        if best < bar:
            return None
        who = stream.who()
        if best == stream.search:
            how = "halving the step around the point where the label turns"
        elif best == stream.probing:
            how = "in steps of one length to both sides of the border"
        else:
            how = "staying where the model can hardly tell two labels apart"
        return _sighting(
            stream,
            f"{people(who)} changed one input {stream.steps} times, {how}; the label turned "
            f"{stream.flips} times among {len(stream.labels)} labels.",
            who,
            best,
            bar,
        )

    return Rule(step=step)


_THREE = 1.1
"""The best of three tests: log 3 more."""


def _bar(limits: Limits, seen: Seen) -> float:
    return limits.bar(seen.model) + (DECLARED if seen.event.purpose is not None else 0.0)


def _sighting(
    stream: Stream, message: str, who: tuple[str, ...], score: float, bar: float
) -> Sighting:
    return Sighting(
        subject=f"stream {stream.cluster}",
        message=message,
        principals=who,
        began=stream.began,
        queries=stream.steps + 1,
        events=stream.evidence(),
        score=powers(score),
        bar=powers(bar),
        clusters=(stream.cluster,),
    )
