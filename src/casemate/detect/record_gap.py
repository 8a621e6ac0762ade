"""Events that were lost, or that nobody looked at: an accident, or what somebody wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from casemate.detect.rule import Limits, Rule, Sighting
from casemate.detect.unread_often import NO_PATH

if TYPE_CHECKING:
    from casemate.records.event import Event


def record_gap(limits: Limits, *, fewest: int) -> Rule:
    """See gaps, and requests served unseen, that the guard put on record.

    Args:
        limits: Unused; loss is a fact and needs no evidence.
        fewest: Requests a gap must stand for.
    """
    del limits

    def other(event: Event) -> Sighting | None:
        if event.kind not in ("gap", "bypassed") or max(1, event.lost) < fewest:
            return None
        ident = f"{event.writer}:{event.sequence}"
        if event.kind == "bypassed":
            return _unseen(event, ident)
        end = event.until or event.at
        seconds = max(0, end - event.at) / 1e6
        lost = f"{event.lost:,} requests" if event.lost else "an unknown number of requests"
        return Sighting(
            subject=ident,
            message=(
                f"The record of guard {event.writer} has a hole of {seconds:,.1f} s: {lost} were "
                f"not looked at{f' ({event.note})' if event.note else ''}. What happened in it is "
                "unknown."
            ),
            principals=(),
            began=event.at,
            queries=event.lost,
            events=(ident,),
            counted=False,
        )

    return Rule(other=other)


def _unseen(event: Event, ident: str) -> Sighting:
    # One a day and guard: whoever sends garbage must not fill the record with it.
    stray = event.note == NO_PATH
    why = f" ({event.note})" if event.note else ""
    return Sighting(
        subject=f"{event.writer} {'stray' if stray else 'unseen'}",
        message=(
            f"Guard {event.writer} serves requests that it does not look at{why}. "
            "What is in them is unknown."
        ),
        principals=(),
        began=event.at,
        queries=max(1, event.lost),
        events=(ident,),
        counted=False,
    )
