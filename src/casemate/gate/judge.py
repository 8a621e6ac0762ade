"""Decide whether what was found and measured meets the bar: yes, no, or cannot tell.

Reads records of scan and attack and what the user agreed to; the command line turns the Verdict
into an exit code. One failing reason is enough for "no"; a missing piece that was needed makes it
"cannot tell"; only then can it be "yes".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from casemate.gate.bar import floor_of
from casemate.gate.baseline import Baseline, by_fingerprint, finished
from casemate.gate.figures import describe
from casemate.gate.regressions import compare, doubts, falls
from casemate.gate.waivers import Waiver, expired, waived
from casemate.records.make import make
from casemate.records.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence, Set
    from datetime import date

    from casemate.catalog.entries import Bar
    from casemate.records.finding import Finding
    from casemate.records.severity import Severity
    from casemate.records.target import Target
    from casemate.records.trial import Trial

_SHOWN = 20
"""Reasons of one kind written out; the rest is a count, and all stand in `rests_on`."""


@dataclass
class _Scales:
    """What speaks against, what is missing, what else a reader must know."""

    against: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    rests_on: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)


def judge(
    findings: Sequence[Finding],
    trials: Sequence[Trial],
    verdicts: Sequence[Verdict],
    *,
    bar: Bar,
    baseline: Baseline | None,
    waivers: Sequence[Waiver],
    today: date,
    target: Target,
    unfinished: Sequence[str] = (),
) -> Verdict:
    """Answer "meets-the-bar" for a run.

    Args:
        findings: Of scan and attack together.
        trials: What attack measured.
        verdicts: What scan said of each file.
        bar: Which weaknesses stop a release.
        baseline: What was accepted before; None when nothing was.
        waivers: Of casemate.toml, the expired ones included.
        today: The day waivers are held against.
        target: What the verdict is about.
        unfinished: What the run was asked for and did not do, one sentence each.

    Returns:
        A Verdict whose reasons start with the decisive ones.
    """
    scales = _Scales()
    open_findings = _set_waived_aside(findings, waivers, today, scales)
    _weigh_findings(open_findings, bar, baseline, scales)
    _weigh_floors(trials, bar, scales)
    _weigh_regressions(trials, bar, baseline, scales)
    vouched = {v.fingerprint for v in waivers if today <= v.expires}
    named = {f.target.uri for f in findings}
    named |= {v.target.uri for v in verdicts if v.target.digest in vouched}
    excused = named - {f.target.uri for f in open_findings}
    _weigh_files(verdicts, bar, baseline, excused, scales)
    _weigh_trials(trials, bar, baseline, scales)
    scales.missing += unfinished
    if not findings and not trials and not verdicts:
        scales.missing.append("nothing was scanned and nothing was attacked")
    answer = "no" if scales.against else "cannot-tell" if scales.missing else "yes"
    if answer == "yes":
        scales.notes.insert(0, f"nothing stands against the bar '{bar.id}'")
    return make(
        Verdict,
        question="meets-the-bar",
        answer=answer,
        target=target,
        reasons=(*scales.against, *scales.missing, *scales.notes),
        measures={"bar": bar.id, **scales.counts},
        rests_on=tuple(dict.fromkeys(scales.rests_on)),
    )


def is_incomplete(verdict: Verdict) -> bool:
    """Say whether scan left part of a file unread, whatever it found in the rest."""
    refused = verdict.measures.get("bytes_refused")
    return verdict.answer == "cannot-tell" or (isinstance(refused, int) and refused > 0)


def _set_waived_aside(
    findings: Sequence[Finding], waivers: Sequence[Waiver], today: date, scales: _Scales
) -> list[Finding]:
    held = waived(findings, waivers, today)
    for fingerprint, waiver in expired(findings, waivers, today).items():
        if fingerprint not in held:
            scales.notes.append(
                f"the waiver of {fingerprint} expired on {waiver.expires} "
                f"({waiver.reason}), so the finding counts again"
            )
    scales.counts["waived"] = len(held)
    if held:
        scales.notes.append(f"{_count(len(held), 'finding is', 'findings are')} waived")
    return [f for f in findings if f.fingerprint not in held]


def _weigh_findings(
    findings: Iterable[Finding], bar: Bar, baseline: Baseline | None, scales: _Scales
) -> None:
    known = by_fingerprint(baseline) if baseline is not None else None
    unique = list({f.fingerprint: f for f in findings}.values())
    unique.sort(key=lambda f: (f.severity.rank, f.target.uri, f.fingerprint))
    of_artifacts = [f for f in unique if f.trial is None and _at(f, bar.artifact)]
    of_attacks = [f for f in unique if f.trial is not None and _at(f, bar.attack)]
    new = [] if known is None else [f for f in unique if f.fingerprint not in known]
    fresh = [f for f in new if _at(f, bar.new) and f not in of_artifacts and f not in of_attacks]
    # An attack that was not run when the baseline was accepted shows nothing that has got worse.
    tried = {kept.attack for kept in baseline.measures} if baseline is not None else set()
    untried = [f for f in fresh if f.trial is not None and f.rule not in tried]
    fresh = [f for f in fresh if f not in untried]
    scales.notes += [
        f"{f.rule} was not tried when the baseline was accepted, and now finds: {f.message}"
        for f in untried[:_SHOWN]
    ]
    _object(scales, "at_the_bar", [*of_artifacts, *of_attacks], "")
    _object(scales, "new", fresh, "not in the accepted baseline: ")
    scales.counts["new"] = len(new)
    if known is not None:
        scales.counts["gone"] = len(known.keys() - {f.fingerprint for f in unique})


def _at(finding: Finding, least: Severity | None) -> bool:
    return least is not None and finding.severity.at_least(least)


def _object(scales: _Scales, name: str, findings: Sequence[Finding], prefix: str) -> None:
    scales.counts[name] = len(findings)
    scales.rests_on += [f.fingerprint for f in findings]
    scales.against += [
        f"{prefix}{f.severity} {f.rule} in {_place(f)}: {f.message} [{f.fingerprint}]"
        for f in findings[:_SHOWN]
    ]
    if len(findings) > _SHOWN:
        scales.against.append(f"{prefix}and {len(findings) - _SHOWN} findings more")


def _place(finding: Finding) -> str:
    where = finding.location
    if where is None:
        return finding.target.uri
    return f"{where.path} > {where.member}" if where.member else where.path


def _weigh_floors(trials: Sequence[Trial], bar: Bar, scales: _Scales) -> None:
    for key, floor in bar.robust.items():
        attack, radius = floor_of(key)
        tried = [t for t in trials if t.attack == attack and radius in (None, t.eps)]
        done = [t for t in tried if finished(t) and t.robust is not None]
        if not done:
            why = "did not come to its end" if tried else "was not run"
            scales.missing.append(f"the bar asks {floor:.1%} under {key}, which {why}")
        for trial in done:
            if trial.robust is not None:
                _weigh_floor(trial, trial.robust.value, floor, scales)


def _weigh_floor(trial: Trial, value: float | None, floor: float, scales: _Scales) -> None:
    what = describe(trial.attack, trial.norm, trial.eps)
    if value is None:
        scales.missing.append(f"the bar asks {floor:.1%} under {what}, which gave no figure")
        return
    scales.rests_on.append(trial.id)
    if value < floor and trial.robust is not None:
        low, high = trial.robust.low, trial.robust.high
        interval = f" ({low:.1%} to {high:.1%})" if low is not None and high is not None else ""
        scales.against.append(
            f"{what}: {trial.robust.name} under attack is {value:.1%}{interval}, "
            f"the bar asks {floor:.1%}"
        )


def _weigh_regressions(
    trials: Sequence[Trial], bar: Bar, baseline: Baseline | None, scales: _Scales
) -> None:
    if bar.regression is None:
        return
    if baseline is None:
        scales.notes.append(
            "no baseline is accepted yet, so regressions were not looked for "
            "(casemate gate accept RUN --reason '...' makes one)"
        )
        return
    comparisons = compare(baseline, trials)
    found = falls(comparisons, allowed=bar.regression)
    scales.against += [fall.reason for fall in found]
    scales.missing += [
        f"{c.problem}, so a regression cannot be told" for c in comparisons if c.problem
    ]
    scales.missing += doubts(comparisons, allowed=bar.regression)
    scales.counts["compared"] = sum(c.change is not None for c in comparisons)
    scales.counts["regressions"] = len(found)
    scales.rests_on += [c.trial.id for c in comparisons if c.trial is not None and c.change]


def _weigh_files(
    verdicts: Sequence[Verdict],
    bar: Bar,
    baseline: Baseline | None,
    excused: Set[str],
    scales: _Scales,
) -> None:
    needed = bar.artifact is not None or _looks_for_new(bar, baseline)
    for verdict in verdicts:
        if verdict.question != "artifact-is-clean" or not is_incomplete(verdict):
            continue
        why = verdict.reasons[-1] if verdict.reasons else "no reason given"
        note = f"{verdict.target.uri} could not be read to its end: {why}"
        if verdict.target.uri in excused:
            scales.notes.append(f"{note} (accepted by waiver)")
        else:
            (scales.missing if needed else scales.notes).append(note)


def _weigh_trials(
    trials: Sequence[Trial], bar: Bar, baseline: Baseline | None, scales: _Scales
) -> None:
    needed = bar.attack is not None or _looks_for_new(bar, baseline)
    for trial in trials:
        if not finished(trial):
            what = describe(trial.attack, trial.norm, trial.eps)
            note = f"{what} on {trial.target.uri} is {trial.state}"
            (scales.missing if needed else scales.notes).append(note)


def _looks_for_new(bar: Bar, baseline: Baseline | None) -> bool:
    return baseline is not None and bar.new is not None


def _count(n: int, one: str, many: str) -> str:
    return f"{n} {one if n == 1 else many}"
