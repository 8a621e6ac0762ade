"""Events that were lost, or a time nobody was looking: an accident, or what somebody wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from casemate.detect.rule import Limits, Rule, Sighting

if TYPE_CHECKING:
    from casemate.records.event import Event


def record_gap(limits: Limits, *, fewest: int) -> Rule:
    """See gaps that the guard put on record.

    Args:
        limits: Unused; loss is a fact and needs no evidence.
        fewest: Requests a gap must stand for.
    """
    del limits

    def other(event: Event) -> Sighting | None:
        if event.kind != "gap" or max(1, event.lost) < fewest:
            return None
        ident = f"{event.writer}:{event.sequence}"
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
