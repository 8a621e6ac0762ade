"""A case on the terminal: the most important thing first, hostile names made harmless."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from casemate.cli.terminal import printable, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from casemate.records.incident import Incident, Triage
    from casemate.workflows.cases import View
    from casemate.workflows.containing import Contained, Preview

_LINES = 6


def case(view: View, *, log: bool = False, items: bool = False) -> None:
    """Print what, which model, who, since when, how sure, what next."""
    one = view.incident
    print(f"{one.id}  {one.severity}  {one.state}  {printable(one.title)}")
    for fault in view.faults:
        print(f"  WARNING: the custody log is not whole: {printable(fault)}")
    if one.triage is not None:
        _triage(one.triage)
    owner = printable(one.owner or "nobody")
    print(f"  owner: {owner}; opened {_time(one.opened)} by {printable(one.opened_by)}")
    copied = sum(item.copy is not None for item in view.items)
    missing = [item for item in view.items if item.state in ("absent", "failed", "changed")]
    print(f"  evidence: {len(view.items)} items, {copied} copied, in {view.folder}")
    for item in view.items if items else missing:
        why = f" ({item.why})" if item.why else ""
        print(f"    {item.state:8} {printable(item.name)}{printable(why)}")
    for held in view.orders:
        order = held.order
        whom = order.scope.principal or order.scope.model or "everybody"
        until = f" until {_time(order.expires)}" if held.state == "in force" else ""
        print(f"  {held.state}: {order.action} {printable(whom)}{until}  [{order.id}]")
    for clock in view.clocks:
        if clock.state in ("running", "missed"):
            print(f"  clock: {printable(clock.law)}: {clock.state}, due {_time(clock.due)}")
    if one.facts:
        told = ", ".join(f"{name} = {value}" for name, value in sorted(one.facts.items()))
        print(f"  told: {printable(told)}")
    actions = view.actions if log else view.actions[-_LINES:]
    print("  log:" if log else "  last on the log:")
    for action in actions:
        outcome = "" if action.outcome == "done" else f" [{action.outcome}]"
        print(
            f"    {_time(action.at)}  {printable(action.author)}  {action.kind}{outcome}: "
            f"{printable(action.text)}"
        )
    if view.next_steps:
        print("  next:")
        for place, step in enumerate(view.next_steps, 1):
            print(f"    {place}. {printable(step)}")


def _triage(found: Triage) -> None:
    of = f" of {printable(', '.join(found.models))}" if found.models else ""
    print(f"  what: {found.assessment}{of}, confidence {found.confidence}")
    for guess in found.guesses[:3]:
        print(f"    {guess.share:4.0%}  {guess.threat}: {printable(guess.because)}")
    for suspect in found.suspects[:5]:
        who = printable(suspect.principal) or "nobody named"
        print(
            f"  who: {who}, {suspect.queries:,} queries, "
            f"{_micros(suspect.began)} to {_micros(suspect.ended)} ({suspect.confidence})"
        )
    if len(found.suspects) > 5:
        print(f"       and {len(found.suspects) - 5} more")
    if found.began is not None and found.ended is not None:
        print(
            f"  when: {_micros(found.began)} to {_micros(found.ended)}, {found.queries:,} queries"
        )
    if found.success is not None:
        note = f" ({printable(found.success_note)})" if found.success_note else ""
        print(f"  success: {found.success:.0%}{note}")
    for reason in found.reasons[:4]:
        print(f"  why: {printable(reason)}")
    gaps = f"; {found.missing:,} requests are missing from the record" if found.missing else ""
    print(f"  looked at {found.looked_at:,} events{gaps}")


def cases(found: Sequence[Incident], form: str) -> None:
    """Print the cases, the newest first."""
    if form == "json":
        import json

        import msgspec

        print(json.dumps([msgspec.to_builtins(one) for one in found], indent=1, default=str))
        return
    if not found:
        print("no cases; casemate case open --from latest makes one of the latest detection")
        return
    rows = [
        (one.id, one.severity.value, one.state, one.owner or "", _time(one.opened), one.title)
        for one in reversed(found)
    ]
    table(("case", "severity", "state", "owner", "opened", "what"), rows, wide=5)


def as_json(view: View) -> str:
    """Return a case with all that is known of it, as JSON."""
    import json

    import msgspec

    whole: dict[str, Any] = {
        name: msgspec.to_builtins(value, enc_hook=str) for name, value in view._asdict().items()
    }
    return json.dumps(whole, indent=1, default=str)


def preview(seen: Preview) -> None:
    """Print what a containment would do."""
    for order in seen.orders:
        whom = order.scope.principal or (
            f"callers of {order.scope.model}" if order.scope.model else "everybody"
        )
        told = ", ".join(f"{name} = {value}" for name, value in order.settings.items())
        print(f"{order.action} {printable(whom)} until {_time(order.expires)}  {printable(told)}")
    if seen.past is not None:
        print(
            f"in the last day of the record it would have reached {seen.past.requests:,} of "
            f"{seen.past.model_requests:,} requests, of {seen.past.principals} principals"
        )
    for guard in seen.guards:
        print(f"guard {guard.writer} before {printable(guard.upstream)}: {guard.mode}s")
    for warning in seen.warnings:
        print(f"warning: {printable(warning)}")
    for change in seen.changes:
        print(f"by hand: {printable(change)}")


def contained(made: Contained) -> None:
    """Print what a containment did."""
    preview(made.preview)
    if made.obeyed:
        print(f"obeyed by {len(made.obeyed)} guards: {', '.join(made.obeyed)}")
    if made.waiting:
        print(f"NOT obeyed yet by {', '.join(made.waiting)}: they ask for orders each second")
    if made.preview.orders:
        print(f"undo: casemate case undo {made.incident.id} --why ...")


def undone(made: Contained) -> None:
    """Print what was ended."""
    for order in made.preview.orders:
        print(f"ended: {order.undoes}")
    if made.waiting:
        print(f"guards that have not said so yet: {', '.join(made.waiting)}")


def _time(moment: Any) -> str:
    return "?" if moment is None else f"{moment:%Y-%m-%d %H:%M} UTC"


def _micros(at: int) -> str:
    from casemate.workflows.custody import moment

    return f"{moment(at):%Y-%m-%d %H:%M:%S}"
