"""A case on the terminal: the most important thing first, hostile names made harmless."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from casemate.cli.terminal import printable, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from casemate.records.incident import Incident, Triage
    from casemate.workflows.cases import View
    from casemate.workflows.containing import Contained, Preview
    from casemate.workflows.lineage import Blast
    from casemate.workflows.playbooks import Played

_LINES = 6
_MOST = 20


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
    for guess in found.guesses[:3] if found.assessment != "cannot-tell" else ():
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
    for step in found.next_steps[:3]:
        print(f"  consider: {printable(step)}")
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
        count = "1 guard" if len(made.obeyed) == 1 else f"{len(made.obeyed)} guards"
        print(f"obeyed by {count}: {', '.join(made.obeyed)}")
    if made.waiting:
        print(f"NOT obeyed yet by {', '.join(made.waiting)}: they ask for orders each second")
    if made.preview.orders and not made.obeyed and not made.waiting:
        print("NOT obeyed: no guard is alive; it takes effect when one starts")
    if made.preview.orders:
        print(f"undo: casemate case undo {made.incident.id} --why ...")


def undone(made: Contained) -> None:
    """Print what was ended."""
    for order in made.preview.orders:
        print(f"ended: {order.undoes}")
    if made.waiting:
        print(f"guards that have not said so yet: {', '.join(made.waiting)}")


def playbook(made: Played) -> None:
    """Print where a playbook stands: each step, and the next one in full."""
    plan = made.plan
    print(f"{plan.id}: {printable(plan.title)}")
    for remark in plan.notes:
        print(f"  note: {printable(remark)}")
    if made.rehearsal is not None:
        one = made.rehearsal
        print(f"  a rehearsal, the case is as it was: {printable(one.what)} ({one.on})")
        print(f"  triage said: {printable(one.said)}")
        print(f"  contained: {_yes(one.contained)}; evidence intact: {_yes(one.intact)}")
    for number, step in enumerate(plan.steps, 1):
        state = made.steps[step.id].state if step.id in made.steps else "open"
        answer = made.steps[step.id].answer if step.id in made.steps else None
        mark = ">" if made.next is not None and step.id == made.next.id else " "
        print(f" {mark}{number:2} {state:8} {step.phase:10} {printable(step.title)}")
        if answer and (step.id in made.ran or state in ("failed", "waiting")):
            print(f"      {printable(answer)}")
    if made.next is None:
        print("nothing is left to do")
        return
    step = made.next
    print(f"\nnext: {printable(step.title)}  [{step.id}]")
    print(f"  {printable(step.text)}")
    for command in step.commands:
        print(f"  $ {printable(command.replace('CASE', made.case.id))}")
    if step.question is not None:
        print(f"  question: {printable(step.question)}")
    print(f"  good: {printable(step.good)}")
    print(f"  bad: {printable(step.bad)}")
    word = "--step " + step.id
    done = word if step.check is not None else f'{word} --answer "..."'
    print(f"  then: casemate case playbook {made.case.id} {done}")


def radius(blast: Blast) -> None:
    """Print what a case reaches: what is recorded, what is proposed, what is not known."""
    whole = blast.radius
    starts = ", ".join(one.name for one in whole.starts) or "nothing known"
    print(f"begins at: {printable(starts)}")
    if blast.rows is not None:
        for held in blast.rows.holding:
            print(f"  {printable(held.node.name)} holds {held.rows} of the rows")
    for kind, reached in whole.recorded.items():
        for one in reached[:_MOST]:
            way = " > ".join(one.path)
            print(f"{kind:11} {printable(one.node.name)}  ({printable(way)})")
        if len(reached) > _MOST:
            print(f"{kind:11} and {len(reached) - _MOST} more")
    for kind, reached in whole.proposed.items():
        for one in reached[:_MOST]:
            why = "; ".join(one.why)
            print(
                f"{kind:11} {printable(one.node.name)}  PROPOSED {one.confidence:.2f}: "
                f"{printable(why)}"
            )
    for served in blast.served:
        print(f"served by {printable(served.window.name)}: {served.decisions:,} decisions")
    if blast.decisions is not None:
        print(f"decisions: {blast.decisions:,} about {blast.principals:,} principals")
    for unknown in whole.unknown:
        print(f"not known beyond {printable(unknown.node.name)}: {printable(unknown.why)}")
    for remark in blast.notes:
        print(f"note: {printable(remark)}")


def _yes(is_so: bool) -> str:
    return "yes" if is_so else "NO"


def _time(moment: Any) -> str:
    return "?" if moment is None else f"{moment:%Y-%m-%d %H:%M} UTC"


def _micros(at: int) -> str:
    from casemate.workflows.custody import moment

    return f"{moment(at):%Y-%m-%d %H:%M:%S}"
