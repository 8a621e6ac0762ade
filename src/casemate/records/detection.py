"""Detection: an attack, a probe or a drift seen in the events."""

from __future__ import annotations

from typing import Literal

import msgspec

from casemate.records.severity import Confidence, Severity

Conclusion = Literal["attack", "probe", "drift", "misuse", "loss"]
"""`probe`: optimisation or explanation without a known aim. `loss`: the record has a hole."""


class Detection(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    tag_field="schema",
    tag="detection/1",
    forbid_unknown_fields=True,
):
    """What was seen, by which rule, in whose queries: made by detect, read by page and case."""

    id: str
    """`det-` and 26 characters that sort by time."""
    rule: str
    """Catalog id in `detections/`."""
    conclusion: Conclusion
    severity: Severity
    confidence: Confidence
    message: str
    """What was seen, in one or two sentences a responder understands, with the particulars."""
    model: str
    principals: tuple[str, ...]
    """Who, the most involved first; more than one when accounts are linked."""
    began: int
    """`at` of the first event it rests on, in microseconds since the epoch."""
    ended: int
    """`at` of the last one."""
    made: int
    """When the detection was made, on the same clock."""
    queries: int
    """Inputs of these principals that belong to it so far."""
    first_query: int | None = None
    """How many queries of the attack had been seen when it was first noticed, that one included."""
    events: tuple[str, ...] = ()
    """Ids of events as evidence, `<writer>:<sequence>`, at most 64: the first ones and the last."""
    score: float | None = None
    """The rule's own figure, as `message` explains it."""
    bar: float | None = None
    """What the score was held against."""
    campaign: str | None = None
    """`cam-` and 26 characters: detections of one campaign page once."""
    next_steps: tuple[str, ...] = ()
    """What to do first, from the catalog."""
    marked: str | None = None
    """Id of the red-team run, where it is one: never pages."""
