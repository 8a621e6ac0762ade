"""The first report of a case: what happened, to which model, since when, by whom, how sure.

Everything comes from the store. What a detection says narrows where to look and is weighed as one
more reason; without any, the window is all there is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from casemate.case.triage import callers, conclusion, population, questions, words
from casemate.case.triage.conclusion import Facts
from casemate.case.triage.grouping import sessions
from casemate.case.triage.sessions import is_linked

if TYPE_CHECKING:
    from collections.abc import Sequence

    from casemate.case.triage.questions import Window
    from casemate.records.detection import Detection
    from casemate.records.incident import Triage
    from casemate.store.telemetry.sink import EventQuery

BEFORE, AFTER = questions.DAY, questions.HOUR
"""What is looked at before and after what detections or events speak of."""
NAMED = 256
"""Most principals looked at because somebody named them."""


class Focus(NamedTuple):
    """Where to look; all of it may be left open."""

    model: str | None = None
    principals: tuple[str, ...] = ()
    since: int | None = None
    """Microseconds since the epoch."""
    until: int | None = None
    """Exclusive."""
    events: tuple[str, ...] = ()
    """Ids of events that somebody wants explained."""


def triage(
    query: EventQuery, *, detections: Sequence[Detection] = (), focus: Focus | None = None
) -> Triage:
    """Say what the events on record show.

    Args:
        query: The store.
        detections: What rules saw; they narrow the window and name principals.
        focus: Where else to look.

    Raises:
        UsageError: The store could not answer in its time and memory.
    """
    asked = focus or Focus()
    pointed = questions.pointed(query, asked.events)
    window = _window(detections, asked, [at for at, _, _ in pointed])
    window, events, left_out = questions.bounds(query, window)
    if not events:
        return words.empty(window, left_out)
    there, points, known = questions.survey(query, window, left_out)
    linked = callers.shared(query, window)
    named = dict.fromkeys(
        [
            *asked.principals,
            *(who for _, who, _ in pointed if who),
            *(who for one in detections for who in one.principals),
        ]
    )
    also = dict.fromkeys([*named, *(who for _, _, who, _ in linked)])
    people, busy = callers.callers(query, window, known, list(also)[:NAMED])
    rows, sample = questions.events(query, window, people, there.inputs)
    found = sessions(people, rows, sample, linked, busy, there.inputs)
    suspicious = {who for one in found for who in one.session.principals if one.strong}
    return conclusion.conclude(
        Facts(
            window,
            there,
            tuple(found),
            population.outage(points),
            population.changed(
                [r for r in sample if r["principal"] not in suspicious and not is_linked(r)]
            ),
            tuple(points),
            tuple(detections),
            tuple(named),
            {one.principal: one for one in people},
        )
    )


def _window(detections: Sequence[Detection], asked: Focus, moments: Sequence[int]) -> Window:
    begins = [*(one.began for one in detections), *moments]
    ends = [*(one.ended for one in detections), *moments]
    since, until = asked.since, asked.until
    if since is None:
        since = min(begins) - BEFORE if begins else 0
    if until is None:
        until = max(ends) + AFTER if ends else 1 << 62
    models = {one.model for one in detections if one.model}
    model = asked.model or (models.pop() if len(models) == 1 and not asked.events else None)
    runs = dict.fromkeys(one.marked for one in detections if one.marked is not None)
    return questions.Window(since, until, model, tuple(runs)[:8])
