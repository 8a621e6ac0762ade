"""The command that shows a result again: one line a reader can paste."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from casemate.records.finding import Finding
from casemate.records.trial import Trial

if TYPE_CHECKING:
    from collections.abc import Iterable

    import msgspec

    from casemate.records.run import Run


def commands(run: Run, records: Iterable[msgspec.Struct]) -> dict[str, str]:
    """Return the command for each trial (by id) and each finding (by fingerprint)."""
    known: dict[str, str] = {}
    findings: list[Finding] = []
    for record in records:
        if isinstance(record, Trial):
            known[record.id] = trial_command(record, run)
        elif isinstance(record, Finding):
            findings.append(record)
    for finding in findings:
        if finding.trial:
            if finding.trial in known:
                known[finding.fingerprint] = known[finding.trial]
        else:
            known[finding.fingerprint] = f"casemate scan {shlex.quote(finding.target.uri)}"
    return known


def trial_command(trial: Trial, run: Run) -> str:
    """Return `casemate attack ...` with everything that decided the trial's outcome."""
    words = ["casemate", "attack", trial.target.uri, "--data", trial.data.uri]
    label = run.arguments.get("label")
    if label:
        words += ["--label", str(label)]
    words += ["--attack", trial.attack]
    for name, value in sorted(trial.params.items()):
        if value is not None:
            words += ["--set", f"{name}={str(value).lower() if isinstance(value, bool) else value}"]
    if trial.budget is not None:
        words += ["--budget", str(trial.budget)]
    words += ["--inputs", str(trial.inputs), "--seed", str(trial.seed)]
    return shlex.join(words)
