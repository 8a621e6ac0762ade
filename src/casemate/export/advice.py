"""What a run amounts to in plain words: the headline, why, and what to do first.

Shared by the formats a person reads, so that the manager's page and the pull request agree.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from casemate.export import coverage
from casemate.export.report import (
    Bundle,
    file_verdicts,
    gate_verdict,
    mitigations,
    open_findings,
)
from casemate.export.sightings import sightings
from casemate.export.wording import (
    MEASURES,
    NORMS,
    clean,
    count,
    interval,
    number,
    percent,
    place,
    sentence,
    shorten,
)
from casemate.records.severity import Severity

if TYPE_CHECKING:
    from collections.abc import Iterable

    from casemate.records.trial import Trial

Tone = Literal["stop", "unsure", "pass"]


class Headline(NamedTuple):
    """The verdict for someone who reads one line, and its grounds for someone who reads five."""

    tone: Tone
    words: str
    reasons: list[str]


class Step(NamedTuple):
    """One thing to do."""

    what: str
    how: str
    about: str
    """Where it applies: a file, an attack."""
    severity: Severity | None


def headline(bundle: Bundle) -> Headline:
    """Say in one line what the run amounts to, and why."""
    gate = gate_verdict(bundle)
    code = coverage.exit_of(bundle).code
    if bundle.run.verb == "redteam":
        return _of_exercise(bundle, code)
    if gate is not None:
        words = {
            "no": "Does not meet the bar",
            "cannot-tell": "Cannot tell whether it meets the bar",
            "yes": "Meets the bar",
        }[gate.answer]
        if code == 3:
            words = "Cannot tell: the run is incomplete"
        elif code == 0 and any(
            one.severity.at_least(Severity.IMPORTANT) for one in open_findings(bundle)
        ):
            # A bar that looks for regressions alone passes a weak model; the page must not.
            return Headline("unsure", "Meets the bar, but has weaknesses", _reasons(bundle))
    else:
        words = {1: "Weaknesses found", 3: "Cannot tell: the run is incomplete"}.get(
            code, "Nothing found that stops a release"
        )
        if code == 0 and not bundle.verdicts and not bundle.trials:
            return Headline("unsure", "Nothing was checked", [])
        if code == 1 and not bundle.trials:
            words = _do_not_load(bundle)
    tone: Tone = "stop" if code == 1 else "unsure" if code == 3 else "pass"
    if tone == "pass" and any(below_chance(one) for one in bundle.trials):
        tone = "unsure"
    return Headline(tone, words, _reasons(bundle))


def _of_exercise(bundle: Bundle, code: int) -> Headline:
    words = {0: "The guard saw every attack that did harm", 1: "An attack did harm unseen"}
    tone: Tone = "stop" if code == 1 else "unsure" if code == 3 else "pass"
    reasons = [
        f"{row.attack}: in the log {row.logged}; detected {row.detected}"
        + (f", first noticed at query {row.query}" if row.query != "–" else "")
        + f"; success {row.before}, {row.mitigated} against the enforcing guard."
        for row in sightings(bundle.trials)[:6]
    ]
    return Headline(tone, words.get(code, "Cannot tell what the guard saw"), reasons)


def _do_not_load(bundle: Bundle) -> str:
    decisive = coverage.deciding(bundle)
    bad = len({one.target.uri for one in bundle.findings if one.fingerprint in decisive})
    files = len(file_verdicts(bundle))
    return "Do not load this file" if files <= 1 else f"Do not load {bad} of these {files:,} files"


def below_chance(trial: Trial) -> bool:
    """Say whether the model was wrong more often than guessing would be, before any attack."""
    labels = len({one.label for one in trial.outcomes})
    return (
        trial.clean.name == "accuracy"
        and trial.clean.high is not None
        and labels > 1
        and trial.clean.high < 1 / labels
    )


def _reasons(bundle: Bundle) -> list[str]:
    reasons = _scan_reasons(bundle) + [
        line for trials in by_target(bundle.trials).values() for line in _attack_reasons(trials)
    ]
    open_points = coverage.gaps(bundle)
    missing = sum(gap.blocks for gap in open_points)
    if missing:
        first = next(gap.what for gap in open_points if gap.blocks)
        rest = f" and {missing - 1} more" if missing > 1 else ""
        reasons.append(f"No answer for {first}{rest}.")
    untried = sum(1 for threat in bundle.threats if not threat.covered_by)
    if untried:
        tried = len(bundle.threats) - untried
        reasons.append(
            f"Of {count(len(bundle.threats), 'threat')} that apply, {tried} "
            f"{'was' if tried == 1 else 'were'} tried and {untried} not."
        )
    return reasons


def _scan_reasons(bundle: Bundle) -> list[str]:
    files = file_verdicts(bundle)
    if not files:
        return []
    bad = sum(one.answer == "no" for one in files)
    unread = sum(not coverage.is_complete(one) for one in files)
    of = f"{bad} of {count(len(files), 'file')}"
    if len(files) == 1:
        of = "The file" if bad else "0 of 1 file"
    text = f"{of} scanned {'has' if bad == 1 else 'have'} findings."
    if not bad and not unread:
        text = f"{count(len(files), 'file')} scanned, every byte accounted for, nothing found."
    elif unread:
        text += (
            f" {count(unread, 'could not be read to its end', 'could not be read to their end')}."
        )
    worst = next((one for one in open_findings(bundle) if one.trial is None), None)
    if worst is None or not worst.severity.at_least(Severity.IMPORTANT):
        return [text]
    where, told = (
        shorten(clean(place(worst)), 160),
        sentence(shorten(clean(worst.message), 240)),
    )
    return [
        text,
        f"The worst is {worst.severity}, in {where}: {told}",
    ]


def _attack_reasons(trials: list[Trial]) -> list[str]:
    lines = []
    evasion = [one for one in trials if one.family == "evasion"]
    odd = next((one for one in evasion if below_chance(one)), None)
    if odd is not None:
        lines.append(
            f"Before any attack accuracy is {percent(odd.clean.value)}, worse than guessing: the "
            "labels of the data are probably not in the model's order, and the figures mean little."
        )
    for norm in dict.fromkeys(one.norm for one in evasion):
        of_norm = [one for one in evasion if one.norm == norm]
        worst = worst_trial(of_norm)
        nearest = min(
            ((value, one.attack) for one in of_norm if (value := median_distance(one)) is not None),
            default=None,
        )
        if worst is not None and worst.robust is not None:
            measure = MEASURES.get(worst.clean.name, worst.clean.name)
            change = f"{number(worst.eps)} ({NORMS.get(norm or '', norm)})"
            tail = f"; 95 % interval {interval(worst.robust)}" if interval(worst.robust) else ""
            lines.append(
                f"{measure.capitalize()} falls from {percent(worst.clean.value)} to "
                f"{percent(worst.robust.value)} within a change of {change}, "
                f"by {worst.attack}{tail}."
            )
        if nearest is not None:
            size = float(f"{nearest[0]:.3g}")
            change = f"a change of {number(size)} ({NORMS.get(norm or '', norm)})"
            if norm == "l0" and size == int(size):
                change = f"changing {count(int(size), 'value')}"
            lines.append(f"Half the inputs are fooled by {change}, by {nearest[1]}.")
    for trial in trials:
        if trial.family == "extraction":
            lines += [
                f"A copy trained on {number(trial.cost.queries)} queries agrees with the model on "
                f"{percent(one.value)} of inputs."
                for one in trial.measures
                if one.name == "fidelity" and one.value is not None
            ]
        elif trial.family == "poisoning" and trial.robust is not None:
            lines.append(
                f"Trained on data poisoned by {trial.attack}, its accuracy falls from "
                f"{percent(trial.clean.value)} to {percent(trial.robust.value)}."
            )
    return lines


def by_target(trials: Iterable[Trial]) -> dict[tuple[str, str], list[Trial]]:
    """Group trials by model and data set, in order of first appearance."""
    groups: dict[tuple[str, str], list[Trial]] = {}
    for one in trials:
        groups.setdefault((one.target.uri, one.data.uri), []).append(one)
    return groups


def worst_trial(trials: Iterable[Trial]) -> Trial | None:
    """Return the attack within a radius that left the lowest measure, None where there is none.

    A search for the smallest change is left out: it ends with every input fooled, at any distance.
    """
    held = [
        (one.robust.value, one)
        for one in trials
        if one.eps is not None and one.robust is not None and one.robust.value is not None
    ]
    return min(held, key=lambda pair: pair[0], default=(0.0, None))[1]


def median_distance(trial: Trial) -> float | None:
    """Return the change that fools half the inputs, for a search for the smallest change."""
    found = (one.value for one in trial.measures if one.name == "median-distance")
    return next(found, None) if trial.eps is None else None


def first_steps(bundle: Bundle, limit: int = 5) -> list[Step]:
    """Return what to do first, the most urgent at the top: each remedy once."""
    steps: dict[str, Step] = {}
    found = open_findings(bundle)
    places: dict[str, list[str]] = {}
    for finding in found:
        places.setdefault(finding.rule, []).append(finding.target.uri)
    for finding in found:
        ways = mitigations(finding.rule) if finding.trial is not None else []
        for one in ways[:2]:
            what = Step(one.title, one.how.strip(), finding.rule, finding.severity)
            steps.setdefault(one.id, what)
        key = f"{finding.rule}\0{finding.remedy}"
        if not ways and key not in steps:
            more = len(set(places[finding.rule])) - 1
            about = finding.target.uri + (f" and {count(more, 'more file')}" if more else "")
            steps[key] = Step(finding.message, finding.remedy, about, finding.severity)
        if len(steps) >= limit:
            break
    blocked = [gap for gap in coverage.gaps(bundle) if gap.blocks]
    if blocked:
        what_next = f"Get the missing answers: {count(len(blocked), 'check')} did not finish"
        last = Step(what_next, blocked[0].why, blocked[0].what, None)
        return [*list(steps.values())[: limit - 1], last]
    return list(steps.values())[:limit]
