"""`--format json`: the whole report as one document, whose schema is published.

Nothing is left out and nothing is rounded; key order is that of the structs below, so that equal
runs give equal bytes but for ids and times.
"""

from __future__ import annotations

import msgspec

from casemate import __version__
from casemate.export import coverage
from casemate.export.report import (
    Bundle,
    by_file,
    file_verdicts,
    gate_verdict,
    mitigations,
)
from casemate.records.finding import Finding
from casemate.records.run import Run
from casemate.records.system import System
from casemate.records.threat import Threat
from casemate.records.trial import Cost, Measure, Outcome, Param, Series, Trial
from casemate.records.verdict import Verdict


class ExitFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The exit code and both facts behind it; 1 beats 3."""

    code: int
    findings: bool
    """At or above the bar, or the gate said no."""
    incomplete: bool
    """Interrupted, failed, or something asked for could not be checked."""


class File(msgspec.Struct, frozen=True, kw_only=True):
    """What the scan says of one file."""

    path: str
    verdict: str
    """`clean`, `findings` or `incomplete`."""
    complete: bool
    """Whether every byte was accounted for, whatever was found."""
    digest: str | None
    reasons: tuple[str, ...]
    measures: dict[str, float | int | str | None]
    """format, bytes, bytes_scanned, bytes_data, bytes_refused."""
    findings: tuple[Finding, ...]


class PerInput(msgspec.Struct, frozen=True, kw_only=True):
    """Mean cost of one input attacked."""

    forward: float
    backward: float
    queries: float


class AttackFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One attack on one target."""

    trial: str
    attack: str
    family: str
    target: str
    target_digest: str | None
    data: str
    data_digest: str | None
    state: str
    params: dict[str, Param]
    seed: int
    budget: int | None
    norm: str | None
    eps: float | None
    inputs: int
    clean: Measure
    """Accuracy, or recall at the fixed false-positive rate, before the attack; with interval."""
    robust: Measure | None
    """The same measure under attack; null for families without one."""
    per_input: PerInput
    cost: Cost
    """Evaluations over all inputs, wall and CPU seconds."""
    successes: int
    outcomes: tuple[Outcome, ...]
    """Per input: success, distance in the trial's norm, queries."""
    measures: tuple[Measure, ...]
    series: tuple[Series, ...]
    adversarial: str | None
    mitigations: tuple[str, ...]
    command: str | None
    """Reproduces the trial."""
    notes: tuple[str, ...]


class OpenPoint(msgspec.Struct, frozen=True, kw_only=True):
    """Something that was not checked."""

    what: str
    why: str
    incomplete: bool
    """Whether the run asked and got no answer."""


class Report(msgspec.Struct, frozen=True, kw_only=True, tag_field="schema", tag="report/1"):
    """A report of one run, as `casemate ... --format json` prints it."""

    casemate: str
    """Version that wrote it."""
    run: Run
    exit: ExitFacts
    verdict: Verdict | None
    """The gate's; null where it did not run."""
    files: tuple[File, ...]
    attacks: tuple[AttackFacts, ...]
    findings: tuple[Finding, ...]
    """All of them, those of files included."""
    waived: dict[str, str]
    """Reason by fingerprint."""
    commands: dict[str, str]
    """Reproducing command by fingerprint."""
    threats: tuple[Threat, ...]
    not_checked: tuple[OpenPoint, ...]
    system: System | None


def write(bundle: Bundle) -> bytes:
    """Return the report as indented JSON, with a newline at its end."""
    encoder = msgspec.json.Encoder(order="deterministic")
    try:
        encoded = encoder.encode(document(bundle))
    except UnicodeEncodeError:  # a file name that is not text; what UTF-8 cannot hold is escaped
        encoded = encoder.encode(_escaped(msgspec.to_builtins(document(bundle))))
    return msgspec.json.format(encoded, indent=2) + b"\n"


def document(bundle: Bundle) -> Report:
    """Return the report as the struct that is written."""
    code, findings, incomplete = coverage.exit_of(bundle)
    of_file = by_file(bundle.findings)
    return Report(
        casemate=__version__,
        run=bundle.run,
        exit=ExitFacts(code=code, findings=findings, incomplete=incomplete),
        verdict=gate_verdict(bundle),
        files=tuple(_file(one, of_file.get(one.target.uri, [])) for one in file_verdicts(bundle)),
        attacks=tuple(_attack(trial, bundle) for trial in bundle.trials),
        findings=bundle.findings,
        waived=dict(bundle.waived),
        commands=dict(bundle.commands),
        threats=bundle.threats,
        not_checked=tuple(
            OpenPoint(what=gap.what, why=gap.why, incomplete=gap.blocks)
            for gap in coverage.gaps(bundle)
        ),
        system=bundle.system,
    )


def _escaped(value: object) -> object:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, dict):
        return {_escaped(key): _escaped(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_escaped(item) for item in value]
    return value


def _file(verdict: Verdict, findings: list[Finding]) -> File:
    return File(
        path=verdict.target.uri,
        verdict=coverage.file_word(verdict),
        complete=coverage.is_complete(verdict),
        digest=verdict.target.digest,
        reasons=verdict.reasons,
        measures=verdict.measures,
        findings=tuple(findings),
    )


def _attack(trial: Trial, bundle: Bundle) -> AttackFacts:
    n = max(1, trial.inputs)
    cost = trial.cost
    return AttackFacts(
        trial=trial.id,
        attack=trial.attack,
        family=trial.family,
        target=trial.target.uri,
        target_digest=trial.target.digest,
        data=trial.data.uri,
        data_digest=trial.data.digest,
        state=trial.state,
        params=trial.params,
        seed=trial.seed,
        budget=trial.budget,
        norm=trial.norm,
        eps=trial.eps,
        inputs=trial.inputs,
        clean=trial.clean,
        robust=trial.robust,
        per_input=PerInput(
            forward=cost.forward / n, backward=cost.backward / n, queries=cost.queries / n
        ),
        cost=cost,
        successes=sum(1 for one in trial.outcomes if one.success),
        outcomes=trial.outcomes,
        measures=trial.measures,
        series=trial.series,
        adversarial=trial.adversarial,
        mitigations=tuple(one.id for one in mitigations(trial.attack)),
        command=bundle.commands.get(trial.id),
        notes=trial.notes,
    )
