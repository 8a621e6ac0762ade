"""What a run leaves open: what was not checked and why, and the exit code that follows.

Every format shows the same list, so that no reader of any of them takes silence for a pass.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from casemate.export.report import Bundle, file_verdicts, gate_verdict, open_findings
from casemate.export.sightings import sightings
from casemate.export.wording import count

if TYPE_CHECKING:
    from casemate.records.verdict import Verdict


class Gap(NamedTuple):
    """Something the run does not answer."""

    what: str
    why: str
    blocks: bool
    """True when the run asked and got no answer, so that it is incomplete (exit code 3)."""


class Exit(NamedTuple):
    """The exit code and both facts it is made of; findings (1) beat incompleteness (3)."""

    code: int
    findings: bool
    incomplete: bool


def file_word(verdict: Verdict) -> str:
    """Return a file's verdict as the user reads it: clean, findings or incomplete."""
    return {"yes": "clean", "no": "findings", "cannot-tell": "incomplete"}[verdict.answer]


def is_complete(verdict: Verdict) -> bool:
    """Say whether every byte of the file was accounted for, whatever was found."""
    refused = verdict.measures.get("bytes_refused") or verdict.measures.get("incomplete")
    stopped = any(reason.lower().startswith("incomplete") for reason in verdict.reasons)
    return verdict.answer != "cannot-tell" and not refused and not stopped


def gaps(bundle: Bundle) -> list[Gap]:
    """Return what was not checked and why, what blocks first."""
    found: list[Gap] = []
    if bundle.run.state != "complete":
        state = {"running": "has not ended"}.get(bundle.run.state, f"was {bundle.run.state}")
        found.append(Gap("the whole run", f"it {state}; the rest was kept", True))
    for verdict in file_verdicts(bundle):
        if not is_complete(verdict):
            why = next(
                (one for one in verdict.reasons if one.lower().startswith("incomplete")),
                verdict.reasons[0] if verdict.reasons else "part of it could not be read",
            )
            found.append(Gap(verdict.target.uri, _after_prefix(why), True))
    for trial in bundle.trials:
        unknown = sum(1 for one in trial.outcomes if one.success is None)
        inputs = f"{trial.attack} on {count(unknown, 'input')}"
        if trial.state in ("interrupted", "failed"):
            what = f"{trial.attack} on {trial.target.uri}"
            found.append(Gap(what, f"the attack was {trial.state}: the figures are partial", True))
        elif unknown and trial.state == "budget-spent":
            why = "the budget ended first; they count as holding, so the figure is at most this"
            found.append(Gap(inputs, why, False))
        elif unknown:
            found.append(Gap(inputs, "the target gave no usable answer", True))
    gate = gate_verdict(bundle)
    if gate is not None and gate.answer == "cannot-tell":
        why = gate.reasons[0] if gate.reasons else "its measurements are missing"
        found.append(Gap("whether the bug bar is met", why, True))
    for threat in bundle.threats:
        if not threat.covered_by:
            what = f"{threat.attack} against {threat.component}"
            found.append(Gap(what, f"no attack of this run tried it. {threat.why}", False))
    found += [Gap("", note, False) for note in bundle.run.notes]
    return sorted(found, key=lambda gap: not gap.blocks)


def _after_prefix(why: str) -> str:
    head, colon, rest = why.partition(":")
    return rest.strip() if colon and head.lower() == "incomplete" else why


def deciding(bundle: Bundle) -> frozenset[str]:
    """Return the fingerprints of the open findings that make the exit code 1."""
    gate = gate_verdict(bundle)
    found = open_findings(bundle)
    if gate is None:
        return frozenset(one.fingerprint for one in found if one.severity.at_least(bundle.bar))
    rests_on = set(gate.rests_on) if gate.answer == "no" else set()
    return frozenset(
        one.fingerprint for one in found if one.fingerprint in rests_on or one.trial in rests_on
    )


def exit_of(bundle: Bundle) -> Exit:
    """Work out the exit code: the gate's word where it ran, else open findings at the bar."""
    incomplete = any(gap.blocks for gap in gaps(bundle))
    if bundle.run.verb == "redteam":  # its question is not what harms, but whether it is seen
        tones = [row.tone for row in sightings(bundle.trials)]
        unseen = "stop" in tones
        incomplete = incomplete or "unsure" in tones or not tones
        return Exit(1 if unseen else 3 if incomplete else 0, unseen, incomplete)
    gate = gate_verdict(bundle)
    findings = gate.answer == "no" if gate is not None else bool(deciding(bundle))
    return Exit(1 if findings else 3 if incomplete else 0, findings, incomplete)
