"""From what was found to a report: which type, who, how sure, what speaks for it, what to do."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from casemate.case.triage import types, words
from casemate.case.triage.sessions import identity, is_linked
from casemate.catalog import loader
from casemate.catalog.entries import Detector
from casemate.errors import CasemateError
from casemate.records.incident import Guess, Suspect, Triage
from casemate.records.severity import Confidence

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from casemate.case.triage.callers import Caller
    from casemate.case.triage.population import Change, Outage
    from casemate.case.triage.questions import Extent, Point, Row, Window
    from casemate.case.triage.types import Weighed
    from casemate.records.detection import Detection
    from casemate.records.incident import Assessment

FEWEST = 50
"""Inputs below which silence means nothing."""
BLIND = 0.2
"""Share of inputs without measures, or lost, from which on silence means nothing."""
CALM = 2.0
"""Weight of nothing being wrong, which is what is usual."""
WARMTH = 1.5
"""How much less sure the shares are than the weights say: these are of evidence that is not
independent."""
LIKELY, SURE = 0.6, 0.85
"""Share of the first guess from which on it is named an attack, and firm."""
DETECTED = {Confidence.CERTAIN: 5.0, Confidence.FIRM: 4.0, Confidence.TENTATIVE: 2.0}
"""Weight of a detection, by its own confidence: its rule saw what triage sees, and more of it."""
FAMILIES = {
    "evasion": types.EVASION,
    "extraction": types.STEALING,
    "membership": types.MEMBERSHIP,
    "inversion": types.INVERSION,
    "poisoning": "data-poisoning",
}
SHOWN = 64


class Facts(NamedTuple):
    """What the store was found to hold."""

    window: Window
    there: Extent
    sessions: tuple[Weighed, ...]
    outage: Outage | None
    change: Change | None
    points: tuple[Point, ...]
    detections: tuple[Detection, ...]
    named: tuple[str, ...]
    """Principals that somebody named beforehand."""
    people: Mapping[str, Caller]


def conclude(facts: Facts) -> Triage:
    """Return the report."""
    weights, because = _weights(facts)
    guesses = _guesses(weights, because)
    first = guesses[0]
    chosen = [one for one in facts.sessions if one.best == first.threat and one.strong]
    if not chosen and first.threat not in ("drift", "outage", types.CLIENT):
        chosen = [one for one in facts.sessions if one.weights.get(first.threat, 0) > 0][:1]
    # Whom a rule accused of just this is suspected, whatever the session as a whole looks like.
    accused = {
        who: one
        for one in sorted(facts.detections, key=lambda one: one.confidence != "tentative")
        if _kind(one) == first.threat
        for who in one.principals
    }
    if not chosen:
        chosen = [one for one in facts.sessions if accused.keys() & set(one.session.principals)]
    doubts = words.doubts(facts.there, lost(facts.points), FEWEST, BLIND)
    firm = any(one.weight >= types.FIRM for one in chosen) or any(
        one.confidence != Confidence.TENTATIVE for one in accused.values()
    )
    assessment = _assess(first, chosen, doubts, firm=firm)
    suspects = _suspects(chosen, assessment, facts, accused)
    rows = _evidence(chosen, first.threat)
    began, ended = _span(facts, first.threat, rows)
    success, note = words.success(first.threat, chosen)
    reasons = [one.because for one in guesses[:1]]
    reasons += words.circumstances(facts, chosen)
    return Triage(
        assessment=assessment,
        confidence=_confidence(first, assessment, doubts, suspects),
        guesses=guesses,
        suspects=suspects,
        models=tuple(dict.fromkeys(one.session.model for one in chosen))
        or tuple(sorted({point.model for point in facts.points if point.model}))[:8],
        began=began,
        ended=ended,
        first_event=identity(rows[0]) if rows else None,
        last_event=identity(rows[-1]) if rows else None,
        queries=sum(one.queries for one in suspects),
        success=success,
        success_note=note,
        events=tuple(identity(row) for row in words.spread(rows, SHOWN)),
        reasons=tuple(dict.fromkeys([*reasons, *doubts])),
        next_steps=words.next_steps(first.threat, assessment, facts.detections),
        looked_at=facts.there.events,
        missing=lost(facts.points),
        since=facts.window.since,
        until=facts.window.until,
    )


def lost(points: Sequence[Point]) -> int:
    """Return the requests that the record lacks, as far as it knows."""
    return sum(point.lost + point.unread for point in points)


def _weights(facts: Facts) -> tuple[dict[str, float], dict[str, str]]:
    weights: dict[str, float] = {types.CLIENT: CALM}
    because = {
        types.CLIENT: f"{facts.there.inputs:,} inputs looked at, no pattern of an attack in them"
    }

    def say(kind: str, weight: float, why: str) -> None:
        if weight > weights.get(kind, 0.0):
            weights[kind], because[kind] = weight, why

    for one in facts.sessions:
        who = words.people(one.session.principals)
        for kind, weight in one.weights.items():
            say(kind, weight, f"{who}: {one.because[kind]}.")
    if facts.outage is not None:
        found = facts.outage
        say("outage", 3.0 + min(6.0, math.log(max(1, found.affected))), words.outage(found))
    if facts.change is not None:
        weight = 3.0 + min(5.0, 4 * facts.change.shift)
        if facts.change.inputs or not facts.change.versions:
            say("drift", weight, words.change(facts.change))
        else:
            # Other answers to the same inputs, from a new version on: what it learned from is the
            # question, and queries do not answer it.
            say("drift", weight - 1.0, words.change(facts.change))
            say("data-poisoning", weight - 2.0, words.change(facts.change))
    for seen in facts.detections:
        spoken = _kind(seen)
        if spoken is not None:
            before = weights.get(spoken, 0.0)
            because.setdefault(spoken, f"{seen.rule}: {seen.message}")
            weights[spoken] = min(2 * types.MOST, before + DETECTED[seen.confidence])
    return weights, because


def _kind(seen: Detection) -> str | None:
    """Return the type a detection speaks for, by its entry in the catalog."""
    if seen.conclusion == "drift":
        return "drift"
    if seen.conclusion == "loss":
        return "outage"
    try:
        families = loader.entry("detections", seen.rule, Detector).families
    except CasemateError:
        return None
    return FAMILIES.get(families[0]) if len(families) == 1 else None


def _guesses(weights: Mapping[str, float], because: Mapping[str, str]) -> tuple[Guess, ...]:
    top = max(weights.values())
    parts = {kind: math.exp((weight - top) / WARMTH) for kind, weight in weights.items()}
    total = sum(parts.values())
    ordered = sorted(parts, key=lambda kind: (-parts[kind], kind))
    return tuple(
        Guess(threat=kind, share=round(parts[kind] / total, 3), because=because[kind])
        for kind in ordered
        if parts[kind] / total >= 0.005
    )[:6]


def _assess(
    first: Guess, chosen: Sequence[Weighed], doubts: Sequence[str], *, firm: bool
) -> Assessment:
    if first.threat in ("drift", "outage"):
        return "drift" if first.threat == "drift" else "outage"
    if first.threat == types.CLIENT:
        if chosen and not any(row["purpose"] for row in chosen[0].session.rows):
            return "probe"
        return "cannot-tell" if doubts and not chosen else "benign"
    if first.threat not in types.ATTACKS:
        return "cannot-tell"
    # Nobody is accused on tentative signs alone: honest clients give them as well.
    return "attack" if firm and first.share >= LIKELY else "probe"


def _confidence(
    first: Guess, assessment: Assessment, doubts: Sequence[str], suspects: Sequence[Suspect]
) -> Confidence:
    # What rests on tentative signs alone is tentative, however little speaks for anything else.
    if suspects and all(one.confidence == Confidence.TENTATIVE for one in suspects):
        return Confidence.TENTATIVE
    if assessment in ("cannot-tell", "probe") or first.share < LIKELY or doubts:
        return Confidence.TENTATIVE
    return Confidence.FIRM if first.share >= SURE else Confidence.TENTATIVE


def _suspects(
    chosen: Sequence[Weighed],
    assessment: Assessment,
    facts: Facts,
    accused: Mapping[str, Detection],
) -> tuple[Suspect, ...]:
    if assessment not in ("attack", "probe"):
        return ()
    found: dict[str, Suspect] = {}
    for one in chosen:
        for who in one.session.principals:
            told = accused.get(who)
            firm = one.weight >= types.FIRM or (told is not None and told.confidence != "tentative")
            rows = [row for row in one.session.rows if row["principal"] == who]
            if not rows or who in found:
                continue
            # Of very busy principals not every event was read, and not the last ones.
            cut = len(rows) < rows[0]["total"] and one.session.share >= types.SHARE
            queries = rows[0]["total"] if cut else len(rows)
            last = facts.people[who].ended
            found[who] = Suspect(
                principal=who,
                queries=queries,
                began=rows[0]["at"],
                ended=max(rows[-1]["at"], last if cut else 0),
                confidence=Confidence.FIRM if firm else Confidence.TENTATIVE,
                because=told.message if told is not None else one.because[one.best],
            )
    return tuple(
        sorted(found.values(), key=lambda one: (one.principal not in accused, -one.queries))
    )


def _evidence(chosen: Sequence[Weighed], kind: str) -> list[Row]:
    """Return the events that belong to it, in order of time."""
    rows: list[Row] = []
    for one in chosen:
        session = one.session
        mine = session.rows
        searched = kind == "adversarial-perturbation"
        if searched and session.share < 0.5 and session.steps >= 8:
            # Somebody who does other things besides: from the first near-duplicate to the last.
            steps = [row["at"] for row in mine if is_linked(row)] or [mine[0]["at"]]
            mine = [row for row in mine if steps[0] <= row["at"] <= steps[-1]]
        rows += mine
    return sorted(rows, key=lambda row: (row["at"], row["writer"], row["sequence"]))


def _span(facts: Facts, kind: str, rows: Sequence[Row]) -> tuple[int | None, int | None]:
    if kind == "outage" and facts.outage is not None:
        return facts.outage.began, facts.outage.ended
    if kind in ("drift", "data-poisoning") and facts.change is not None:
        return facts.change.at, None
    return (rows[0]["at"], rows[-1]["at"]) if rows else (None, None)
