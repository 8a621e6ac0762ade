"""Page: what a person is told, and how it is put into words for somebody woken at night.

Made by the pager from detections of one campaign, or of several when many begin at once. It holds
nothing of any input: rule, names, times, counts, and the sentences of the detection.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from casemate.notify.wording import ago, moment, names, printable, short
from casemate.records.severity import Confidence, Severity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from casemate.catalog.entries import Detector
    from casemate.records.detection import Detection

_SURE = {
    Confidence.CERTAIN: "certain: the events leave no other reading",
    Confidence.FIRM: "firm: strong evidence, an honest reason is unlikely but possible",
    Confidence.TENTATIVE: "tentative: it may be harmless, look before acting",
}
_WHAT = {
    "attack": "Attack on",
    "probe": "Probing of",
    "drift": "Drift at",
    "misuse": "Misuse of",
    "loss": "Hole in the record of",
}
_STEPS = (
    "See what was asked, by whom and since when: casemate detect --since 48h",
    "Rule out the harmless reading: ask the owner of the account, look for a test of your own.",
    "Contain first and decide later: an order that limits the caller's rate ends by itself.",
)


class Page(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    tag_field="schema",
    tag="page/1",
    forbid_unknown_fields=True,
):
    """One page, as a webhook carries it; every text in it is printable and short."""

    id: str
    """Stays the same however often delivery is tried: a second one with it is the same page."""
    made: int
    """Microseconds since the epoch, as all times here."""
    times: int
    """1 for the first page of this campaign, 2 when it still goes on ..."""
    title: str
    text: str
    """All of it in words, with line breaks."""
    rule: str
    conclusion: str
    severity: Severity
    confidence: Confidence
    model: str
    principals: tuple[str, ...]
    """At most 16."""
    began: int
    ended: int
    queries: int
    first_query: int | None
    campaign: str | None
    campaigns: int
    """How many this page tells of."""
    detections: tuple[str, ...]
    """Ids, at most 32."""
    next_steps: tuple[str, ...]


def compose(
    ident: str,
    found: Sequence[Detection],
    entry: Detector | None,
    *,
    now: int,
    times: int = 1,
    others: Sequence[str] = (),
) -> Page:
    """Put detections of one campaign into a page, the leading one first.

    Args:
        ident: Id of the page.
        found: What was detected; at least one.
        entry: The catalog's words on the leading one's rule, where it is from the catalog.
        now: Microseconds since the epoch.
        times: How often the campaign is told of with this page.
        others: One line for each other campaign that this page tells of.
    """
    lead = found[0]
    given = [short(one, 300) for one in lead.next_steps or (entry.next_steps if entry else ())]
    steps = tuple([*given, *_STEPS][:3])
    return Page(
        id=ident,
        made=now,
        times=times,
        title=headline(lead, entry),
        text="\n".join(_lines(found, entry, steps, now, times, others)),
        rule=short(lead.rule, 80),
        conclusion=lead.conclusion,
        severity=lead.severity,
        confidence=lead.confidence,
        model=short(lead.model, 80),
        principals=tuple(short(one, 128) for one in lead.principals[:16]),
        began=min(one.began for one in found),
        ended=max(one.ended for one in found),
        queries=max(one.queries for one in found),
        first_query=lead.first_query,
        campaign=short(lead.campaign, 80) if lead.campaign else None,
        campaigns=1 + len(others),
        detections=tuple(short(one.id, 80) for one in found[:32]),
        next_steps=steps,
    )


def headline(lead: Detection, entry: Detector | None) -> str:
    """Return one line: how bad, what, which model, who."""
    what = entry.title if entry else printable(lead.rule)
    model = short(lead.model, 60) or "a model without a name"
    who = f" by {names(lead.principals, 1)}" if lead.principals else ""
    return f"[{lead.severity}] {_WHAT[lead.conclusion]} {model}{who}: {short(what, 120)}"


def _lines(
    found: Sequence[Detection],
    entry: Detector | None,
    steps: Sequence[str],
    now: int,
    times: int,
    others: Sequence[str],
) -> list[str]:
    lead = found[0]
    began = min(one.began for one in found)
    queries = max(one.queries for one in found)
    noticed = f", first noticed at query {lead.first_query:,}" if lead.first_query else ""
    figure = "" if lead.score is None else f" (score {lead.score:.4g}"
    figure += "" if lead.score is None or lead.bar is None else f", bar {lead.bar:.4g}"
    figure += ")" if figure else ""
    linked = "accounts linked to one another: " if len(lead.principals) > 1 else ""
    lines = [headline(lead, entry), ""]
    if times > 1:
        lines.append(f"Page {times} about it: it still goes on, or is graver than was told before.")
    lines += [
        f"What:     {short(lead.message, 600)}",
        f"Model:    {short(lead.model, 80) or 'not named in the requests'}",
        f"Who:      {linked}{names(lead.principals)}",
        f"Since:    {moment(began)}, {ago(now - began)}",
        f"So far:   {queries:,} queries{noticed}",
        f"How sure: {_SURE[lead.confidence]}{figure}",
    ]
    if entry is not None:
        lines.append(f"Rule out: {short(entry.benign, 300)}")
    lines += ["", "Next:", *(f"  {place}. {step}" for place, step in enumerate(steps, 1))]
    rules = sorted({one.rule for one in found[1:]} - {lead.rule})
    if rules:
        lines += ["", f"Also seen in it: {short(', '.join(rules), 200)}"]
    if others:
        lines += [
            "",
            f"At the same time, {len(others):,} more:",
            *(f"  {one}" for one in others[:20]),
        ]
        if len(others) > 20:
            lines.append(f"  and {len(others) - 20:,} that are not listed here")
    campaign = f"campaign {short(lead.campaign, 80)}, " if lead.campaign else ""
    lines += ["", f"For the record: {campaign}{short(lead.id, 80)}, rule {short(lead.rule, 80)}"]
    return lines
