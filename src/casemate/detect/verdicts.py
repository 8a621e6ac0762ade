"""What a set of events amounts to as a whole: the last word of a hunt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from casemate.records.severity import Confidence

if TYPE_CHECKING:
    from casemate.records.detection import Detection
    from casemate.records.event import Event, Measures

Word = Literal["attack", "drift", "no attack", "cannot tell"]
FEWEST = 50
"""Inputs below which silence means nothing."""
BLIND = 0.2
"""Share of inputs that may be lost or unread before silence means nothing."""


class Conclusion(NamedTuple):
    """The word and what it rests on, one line each."""

    word: Word
    reasons: tuple[str, ...]


class Record:
    """Counts what was looked at and what was seen."""

    def __init__(self) -> None:
        self.inputs = self.compared = self.answered = self.lost = self.gaps = 0
        self.by: dict[str, int] = {}
        self.rules: dict[tuple[str, str], int] = {}
        self.sure = False
        """Whether an attack was seen by more than a tentative sign."""

    def count(self, m: Measures) -> None:
        """Count an input and what could be measured of it."""
        self.inputs += 1
        if m.near is not None:
            self.compared += 1
        if m.label is not None:
            self.answered += 1

    def late(self, m: Measures) -> None:
        """Count an answer to an input that was counted without it."""
        if m.label is not None:
            self.answered += 1

    def aside(self, event: Event) -> None:
        """Count what was not an answered input."""
        if event.kind in ("gap", "bypassed"):
            self.gaps += 1
            self.lost += max(1, event.lost)

    def detected(self, detection: Detection, *, pages: bool) -> None:
        """Count a detection; those of a red-team run do not make an attack.

        Args:
            detection: What was seen.
            pages: Whether its rule may wake somebody up: then its false alarms are budgeted.
        """
        if detection.marked is None:
            firm = detection.confidence is not Confidence.TENTATIVE
            self.sure |= detection.conclusion == "attack" and (pages or firm)
            key = (detection.conclusion, detection.rule)
            self.rules[key] = self.rules.get(key, 0) + 1

    def conclude(self) -> Conclusion:
        """Return the word: an attack outweighs doubt, doubt outweighs silence."""
        seen = [
            f"{rule}: {count} detection{'s' * (count != 1)}"
            for (kind, rule), count in sorted(self.rules.items())
            if kind == "attack"
        ]
        doubts = self._doubts()
        if self.sure:
            return Conclusion("attack", (*seen, *doubts))
        if seen:
            weak = "tentative signs alone, which honest clients give as well: ask who it is"
            return Conclusion("cannot tell", (*seen, weak, *doubts))
        drifts = [rule for kind, rule in self.rules if kind == "drift"]
        if drifts:
            return Conclusion("drift", (*sorted(set(drifts)), *doubts))
        if doubts:
            return Conclusion("cannot tell", tuple(doubts))
        others = sorted({f"{rule} ({kind})" for kind, rule in self.rules})
        lines = [f"{self.inputs:,} inputs looked at, no pattern of an attack in them"]
        return Conclusion("no attack", (*lines, *(f"seen, and not an attack: {o}" for o in others)))

    def _doubts(self) -> list[str]:
        doubts = []
        if self.inputs < FEWEST:
            doubts.append(f"only {self.inputs} inputs to look at; at least {FEWEST} are needed")
        elif self.compared < (1 - BLIND) * self.inputs:
            doubts.append(
                f"{self.inputs - self.compared:,} of {self.inputs:,} inputs were not compared with "
                "others: no fingerprints"
            )
        if self.inputs and self.answered < (1 - BLIND) * self.inputs:
            doubts.append(
                f"{self.inputs - self.answered:,} of {self.inputs:,} answers are not on record"
            )
        if self.lost > BLIND * (self.inputs + self.lost):
            doubts.append(
                f"{self.lost:,} requests are missing from the record, in {self.gaps} gaps"
            )
        return doubts
