"""When a Trial amounts to a Finding: the thresholds stand in the catalog, the rule stands here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from casemate.catalog import loader
from casemate.catalog.entries import Mitigation
from casemate.records.evidence import Evidence
from casemate.records.finding import Finding
from casemate.records.fingerprint import fingerprint
from casemate.records.make import make
from casemate.records.severity import Confidence

if TYPE_CHECKING:
    from casemate.catalog.entries import Attack
    from casemate.records.trial import Measure, Trial

NOT_SURE = ("at random", "could not be measured again")
"""What a note says where a figure is sound but not exact."""


def findings_of(trial: Trial, entry: Attack) -> list[Finding]:
    """Return what a Trial shows to be wrong: one Finding, or none.

    An attack within a radius, or on the training data, must lower the figure by `finding_at`; a
    search for the smallest change must find a median within `finding_within` of the input range; an
    extraction must reach a fidelity of `finding_at`. Fingerprints hold attack and norm, not eps or
    the model's digest, so that they survive retraining.

    Args:
        trial: What was measured.
        entry: The attack's catalog entry.
    """
    message = _message(trial, entry)
    if message is None:
        return []
    subject = " ".join(part for part in (trial.attack, trial.norm) if part)
    unsure = any(word in note for note in trial.notes for word in NOT_SURE)
    return [
        make(
            Finding,
            rule=entry.id,
            target=trial.target,
            severity=entry.severity,
            confidence=Confidence.FIRM if unsure else Confidence.CERTAIN,
            message=message,
            remedy=_remedy(entry),
            fingerprint=fingerprint(entry.id, trial.target.uri, None, subject),
            subject=subject,
            evidence=(
                make(
                    Evidence,
                    by=entry.id,
                    how="asked the target again, outside the attack",
                    payload_digest=trial.adversarial,
                ),
            ),
            trial=trial.id,
        )
    ]


def _message(trial: Trial, entry: Attack) -> str | None:
    """Say in one sentence what was shown, or None where it does not amount to a Finding."""
    if trial.family == "extraction":
        fidelity = _measure(trial, "fidelity")
        if fidelity is None or fidelity.value is None or fidelity.value < entry.finding_at:
            return None
        return (
            f"{entry.title}: a copy agrees with the model on {fidelity.value:.1%} of "
            f"{fidelity.n} inputs after {trial.cost.queries} queries"
        )
    if entry.minimum_norm:
        near, median = _measure(trial, "median-distance-share"), _measure(trial, "median-distance")
        if near is None or near.value is None or near.value > entry.finding_within:
            return None
        if median is None or median.value is None:
            return None
        return (
            f"{entry.title}: half of {median.n} inputs are misclassified after a change of at most "
            f"{median.value:.4g} in {trial.norm}, {near.value:.1%} of the input range"
        )
    clean, robust = trial.clean, trial.robust
    if clean.value is None or robust is None or robust.value is None:
        return None
    if clean.value - robust.value < max(entry.finding_at, 1e-9):
        return None
    what = clean.name.replace("-", " ")
    radius = "" if trial.eps is None else f" within {trial.norm} {trial.eps:.4g}"
    interval = "" if robust.low is None or robust.high is None else (
        f" (95 % interval {robust.low:.1%} to {robust.high:.1%})"
    )  # fmt: skip
    return (
        f"{entry.title}: {what} falls from {clean.value:.1%} to {robust.value:.1%}{interval}"
        f"{radius}, on {robust.n} inputs"
    )


def _measure(trial: Trial, name: str) -> Measure | None:
    return next((m for m in trial.measures if m.name == name), None)


def _remedy(entry: Attack) -> str:
    named = [loader.entry("mitigations", ident, Mitigation) for ident in entry.mitigations]
    if not named:
        return f"See 'casemate explain {entry.id}'."
    titles = [m.title[:1].lower() + m.title[1:] for m in named[:3]]
    return f"Consider {', '.join(titles)}; 'casemate explain {named[0].id}' says how."
