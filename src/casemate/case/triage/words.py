"""What a report says to a person: reasons, doubts, figures of success, what to do first."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

from casemate.case.triage import types
from casemate.case.triage.population import kinds
from casemate.records.incident import Guess, Triage
from casemate.records.severity import Confidence

if TYPE_CHECKING:
    from collections.abc import Sequence

    from casemate.case.triage.conclusion import Facts
    from casemate.case.triage.population import Change, Outage
    from casemate.case.triage.questions import Extent, Window
    from casemate.case.triage.types import Weighed
    from casemate.records.detection import Detection
    from casemate.records.incident import Assessment

Thing = TypeVar("Thing")

STEPS: dict[str, tuple[str, ...]] = {
    types.EVASION: (
        "Coarsen or throttle the suspects' answers before you block: a block tells the attacker.",
        "Look at the last inputs whose label has turned: were they used anywhere that matters?",
        "Search the past for the same principals and for others in the same clusters.",
    ),
    types.STEALING: (
        "Round the suspects' scores or give them labels alone while you ask who they are.",
        "Note how many inputs were answered: with that many the copy may already be good.",
        "Compare their volume with their contract; give each principal a budget.",
    ),
    types.MEMBERSHIP: (
        "Ask whether the records at the centres of the clouds were in the training data.",
        "Round the suspects' scores; with personal data tell your data-protection officer.",
        "Limit how many near-duplicates of one input a principal may ask about.",
    ),
    types.INVERSION: (
        "Give the suspects labels alone: without scores there is nothing to climb.",
        "Look at the last inputs of each climb: do they show something of a person?",
        "Find out which labels were climbed to and whose data they were learned from.",
    ),
    types.REPROGRAMMING: (
        "Look at a few of the inputs: what task is it, and who pays for it?",
        "Enforce an input contract on the route, or limit the suspects' rate.",
        "Ask the account's owner; compare with the terms of use.",
    ),
    "drift": (
        "Measure the model on fresh labelled data from after the change.",
        "Ask what changed upstream at that time: a release, a sensor, a unit, the world.",
        "If the model no longer holds, go back to the last good one or learn anew.",
    ),
    "outage": (
        "Look at the model server's own log for the time named.",
        "Import its log for the requests that are missing from the record: casemate import.",
        "Ask whether somebody wanted the hole: what was asked just before it?",
    ),
    "data-poisoning": (
        "Compare the two versions on the same labelled inputs.",
        "Find which data and which job made the newer version: casemate lineage show.",
        "Serve the last good version until that is known.",
    ),
    types.CLIENT: (
        "Ask the principal what it is for; declare a tester as [[guard.client]].",
        "Look again when it has sent twice as much.",
        "Close the case with the reason, so that the next responder finds it.",
    ),
}
CALM_STEPS = (
    "Ask whoever reported it for an input, a time or an account, and triage again with it.",
    "Check that the guard saw everything: casemate verify, and the gaps named above.",
    "Close the case with the reason if nothing comes of it.",
)


def empty(window: Window, left_out: int) -> Triage:
    """Return the report of a window in which nothing is on record."""
    marked = f"; {left_out:,} events of red-team runs are left out" if left_out else ""
    return Triage(
        assessment="cannot-tell",
        confidence=Confidence.TENTATIVE,
        guesses=(Guess(threat=types.CLIENT, share=1.0, because="nothing speaks for anything"),),
        reasons=(f"no events are on record for this time and model{marked}: unknown, not clean",),
        next_steps=(
            "Check the times and the model's name; list what is there: casemate detect.",
            "Import the model server's own log: casemate import.",
            "Find out whether a guard was running then.",
        ),
        since=window.since,
        until=window.until,
    )


def people(principals: Sequence[str]) -> str:
    """Return one principal, or how many and the first of them; printable, of bounded length."""
    if not principals:
        return "a caller without a name"
    name = principals[0] if principals[0].isprintable() else ascii(principals[0])[1:-1]
    name = name if len(name) <= 80 else name[:79] + "…"
    return f"'{name}'" if len(principals) == 1 else f"'{name}' and {len(principals) - 1} more"


def outage(found: Outage) -> str:
    """Say what did not work."""
    time = f"between {moment(found.began)} and {moment(found.ended)}"
    if found.what == "failed":
        return f"{found.affected:,} requests ({found.share:.0%}) failed {time}."
    if found.what == "slow":
        return f"Answers took several times as long as usual {time}, {found.affected:,} of them."
    return (
        f"{found.affected:,} requests ({found.share:.0%}) were not looked at {time}: what is in "
        "them is unknown."
    )


def change(found: Change) -> str:
    """Say what changed for everybody."""
    measured = {"norm": "sizes of inputs", "margin": "margins", "label": "labels"}
    what = measured.get(found.what, found.what)
    text = (
        f"From {moment(found.at)} on the {what} of everybody's inputs are different (stability "
        f"index {found.shift:.1f}; 0.25 is called large), and no few principals make the difference"
    )
    if found.versions:
        before, after = found.versions
        text += f"; the model's version went from '{before}' to '{after}' then"
    if not found.inputs:
        text += "; the inputs themselves did not change"
    return text + "."


def circumstances(facts: Facts, chosen: Sequence[Weighed]) -> list[str]:
    """Return what else a reader must know."""
    there = facts.there
    told = [f"{people(one.session.principals)}: {one.because[one.best]}." for one in chosen[1:4]]
    if len(chosen) == 1 and len(chosen[0].session.principals) > 1:
        told.append(
            f"{len(chosen[0].session.principals)} principals went on from each other's inputs: "
            "one caller with several accounts."
        )
    if there.writers > 1:
        told.append(f"Seen by {there.writers} guards or imports; what each saw is joined by name.")
    broken = sum(one.session.broken for one in chosen)
    if broken:
        told.append(f"{broken} of the inputs break the input contract.")
    named = set(facts.named) - {who for one in chosen for who in one.session.principals}
    told += [
        f"{people((who,))} was named, and nothing speaks against it here."
        for who in sorted(named & facts.people.keys())[:3]
    ]
    told += [
        f"{people((who,))} was named, and is not on record in this window."
        for who in sorted(named - facts.people.keys())[:3]
    ]
    if facts.window.exercises:
        told.append(f"This is an exercise: red-team run {', '.join(facts.window.exercises)}.")
    if there.marked:
        told.append(f"{there.marked:,} events of red-team runs were left out.")
    told += [f"Detected by {seen.rule}: {seen.message}" for seen in facts.detections[:3]]
    return told


def doubts(there: Extent, lost: int, fewest: int, blind: float) -> list[str]:
    """Return why silence would mean little."""
    found = []
    if there.inputs < fewest:
        found.append(f"Only {there.inputs} inputs to look at; at least {fewest} are needed.")
    elif there.compared < (1 - blind) * there.inputs:
        found.append(
            f"{there.inputs - there.compared:,} of {there.inputs:,} inputs were not compared with "
            "earlier ones (an imported log without inputs, or a guard without a judge): searches "
            "and copies made of near-duplicates would not be seen."
        )
    if there.inputs and there.answered < (1 - blind) * there.inputs:
        found.append(
            f"{there.inputs - there.answered:,} of {there.inputs:,} answers are not on record."
        )
    if lost > blind * (there.inputs + lost):
        found.append(f"{lost:,} requests are missing from the record.")
    return found


def success(kind: str, chosen: Sequence[Weighed]) -> tuple[float | None, str | None]:
    """Return the share of attempts that got what they were after, and what it counts."""
    if not chosen:
        return None, None
    if kind == types.EVASION:
        streams = sum(one.session.trend.streams for one in chosen)
        turned = sum(one.session.trend.turned for one in chosen)
        if not streams:
            return None, "no input was tried long enough to say"
        return turned / streams, (
            f"{turned} of {streams} inputs that were worked on got another label at some time"
        )
    if kind == types.STEALING:
        seen: dict[int, int] = {}
        n = 0
        for one in chosen:
            n += len(one.session.rows)
            for row in one.session.rows:
                if row["label"] is not None:
                    seen[row["label"]] = seen.get(row["label"], 0) + 1
        if not seen:
            return None, "the labels that were answered are not on record"
        most = max((one.labels for one in chosen), default=0)
        return min(1.0, kinds(seen) / max(1.0, most)), (
            f"how evenly {n:,} answers cover the labels that the model gives; how good a copy is "
            "cannot be told from queries"
        )
    if kind == types.INVERSION:
        high = max(one.session.trend.high for one in chosen)
        return None, f"the model ended {high:.2f} surer of the first label than of the second"
    return None, "whether it got what it was after cannot be told from queries"


def next_steps(
    kind: str, assessment: Assessment, detections: Sequence[Detection]
) -> tuple[str, ...]:
    """Return what to do first, at most three things."""
    if assessment in ("benign", "cannot-tell") and kind == types.CLIENT:
        return CALM_STEPS
    if kind in STEPS:
        return STEPS[kind][:3]
    return next((one.next_steps for one in detections if one.next_steps), CALM_STEPS)[:3]


def spread(rows: Sequence[Thing], most: int) -> list[Thing]:
    """Return at most so many: the first ones, the last, and some between."""
    if len(rows) <= most:
        return list(rows)
    ends = most // 4
    middle = rows[ends:-ends]
    left = most - 2 * ends
    return [*rows[:ends], *(middle[i * len(middle) // left] for i in range(left)), *rows[-ends:]]


def moment(at: int) -> str:
    """Return a time in words, UTC."""
    return datetime.fromtimestamp(at / 1e6, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
