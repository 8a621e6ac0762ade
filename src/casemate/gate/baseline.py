"""The accepted baseline: what is known and was agreed to, in a JSON file committed with the code.

Written by `casemate gate accept RUN --reason ...`, read by the judge. It holds fingerprints and
figures, no inputs and no model.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

import msgspec

from casemate.errors import UsageError
from casemate.gate.figures import figures
from casemate.records.severity import Severity
from casemate.records.trial import Param, Trial

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from casemate.records.finding import Finding

NAME = "casemate-baseline.json"
_AGAIN = "make it anew: casemate gate accept RUN --reason '...'"


class Known(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A finding that was there when the baseline was accepted."""

    fingerprint: str
    rule: str
    severity: Severity
    message: str


class Kept(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A figure that must not get worse, and what it takes to measure it again."""

    attack: str
    target: str
    """URI of the model."""
    data: str
    """URI of the data."""
    data_digest: str | None
    norm: Literal["linf", "l2", "l1", "l0"] | None
    eps: float | None
    budget: int | None
    params: dict[str, Param]
    name: str
    value: float | None
    n: int
    rows: str = ""
    """Rows of the data set: `0-3,7`."""
    held: str = ""
    """One digit for each of those rows: 1 where the model was still right under attack."""


class Baseline(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    tag_field="schema",
    tag="baseline/1",
    forbid_unknown_fields=True,
):
    """Who accepted what, when and why."""

    accepted_by: str
    accepted_at: datetime
    reason: str
    run: str
    """Id of the run that was accepted."""
    casemate: str
    """Version that measured it."""
    findings: tuple[Known, ...] = ()
    measures: tuple[Kept, ...] = ()


def accept(
    findings: Iterable[Finding],
    trials: Iterable[Trial],
    *,
    run: str,
    by: str,
    reason: str,
    at: datetime,
    casemate: str,
) -> Baseline:
    """Make a baseline of a run's findings and of its trials that came to their end.

    Raises:
        UsageError: No reason or nobody's name.
    """
    if not reason.strip():
        raise UsageError("a baseline needs a reason", hint="--reason 'why this is acceptable'")
    if not by.strip():
        raise UsageError("a baseline needs the name of who accepts it", hint="--by NAME")
    known = {f.fingerprint: f for f in findings}
    return Baseline(
        accepted_by=by.strip(),
        accepted_at=at.astimezone(UTC).replace(microsecond=0),
        reason=reason.strip(),
        run=run,
        casemate=casemate,
        findings=tuple(_known(known[key]) for key in sorted(known)),
        measures=tuple(kept for trial in trials if finished(trial) for kept in keep(trial)),
    )


def finished(trial: Trial) -> bool:
    """Say whether a trial ran to the end of its schedule or its budget."""
    return trial.state in ("complete", "budget-spent")


def keep(trial: Trial) -> tuple[Kept, ...]:
    """Return what a baseline remembers of a trial."""
    return tuple(
        Kept(
            attack=trial.attack,
            target=trial.target.uri,
            data=trial.data.uri,
            data_digest=trial.data.digest,
            norm=trial.norm,
            eps=trial.eps,
            budget=trial.budget,
            params=trial.params,
            name=figure.name,
            value=figure.value,
            n=figure.n,
            rows=_ranges(sorted(figure.held)),
            held="".join("1" if figure.held[row] else "0" for row in sorted(figure.held)),
        )
        for figure in figures(trial)
        if figure.value is not None
    )


def rows_held(kept: Kept) -> dict[int, bool]:
    """Return which rows held when the baseline was made; empty where only the share is known.

    Raises:
        UsageError: `rows` and `held` do not fit each other.
    """
    try:
        rows = [
            row
            for part in kept.rows.split(",")
            if part
            for first, _, last in [part.partition("-")]
            for row in _span(int(first), int(last or first), len(kept.held))
        ]
    except ValueError as error:
        raise UsageError(f"the baseline's rows of {kept.attack}: {error}", hint=_AGAIN) from error
    if len(rows) != len(kept.held) or len(set(rows)) != len(rows) or set(kept.held) - {"0", "1"}:
        message = f"the baseline of {kept.attack} names {len(rows)} rows, has {len(kept.held)}"
        raise UsageError(message, hint=_AGAIN)
    return {row: mark == "1" for row, mark in zip(rows, kept.held, strict=True)}


def read(path: Path) -> Baseline:
    """Read a baseline file strictly.

    Raises:
        UsageError: There is none, it cannot be read, or it is not a baseline.
    """
    try:
        baseline = msgspec.json.decode(path.read_bytes(), type=Baseline)
    except FileNotFoundError as error:
        raise UsageError(f"there is no baseline {path}", hint=_AGAIN) from error
    except OSError as error:
        raise UsageError(f"cannot read the baseline {path}: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not a baseline: {error}", hint=_AGAIN) from error
    for kept in baseline.measures:
        rows_held(kept)
        if kept.n < 0 or (kept.value is not None and not 0 <= kept.value <= 1):
            message = f"{path}: {kept.attack} has {kept.name} {kept.value} of {kept.n} inputs"
            raise UsageError(message, hint=_AGAIN)
    return baseline


def write(path: Path, baseline: Baseline) -> None:
    """Write a baseline as JSON a person can review in a diff, replacing the file in one step."""
    data = msgspec.json.format(msgspec.json.encode(baseline, order="deterministic"), indent=1)
    waiting = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        waiting.write_bytes(data + b"\n")
        waiting.replace(path)
    except OSError as error:
        waiting.unlink(missing_ok=True)
        raise UsageError(f"cannot write the baseline {path}: {error.strerror}") from error


def by_fingerprint(baseline: Baseline) -> Mapping[str, Known]:
    """Return the accepted findings by fingerprint."""
    return {known.fingerprint: known for known in baseline.findings}


def _known(finding: Finding) -> Known:
    return Known(
        fingerprint=finding.fingerprint,
        rule=finding.rule,
        severity=finding.severity,
        message=finding.message,
    )


def _ranges(rows: list[int]) -> str:
    parts: list[list[int]] = []
    for row in rows:
        if parts and row == parts[-1][1] + 1:
            parts[-1][1] = row
        else:
            parts.append([row, row])
    return ",".join(f"{a}" if a == b else f"{a}-{b}" for a, b in parts)


def _span(first: int, last: int, most: int) -> range:
    if not 0 <= first <= last or last - first >= most:
        raise ValueError(f"{first}-{last} is not a range of at most {most} rows")
    return range(first, last + 1)
