"""Bundle: what one report is made from, and the door to every format it can be written in.

Workflows gather a Bundle from the store; the catalog's `exports/` name the function that turns it
into bytes. Exporters decide nothing about the model: what follows from the records is worked out
here and in `coverage`, once for all formats.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, cast

from casemate.catalog import loader
from casemate.catalog.entries import Attack, Export, Mitigation, Rule
from casemate.errors import StoreError
from casemate.records.severity import Severity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from casemate.records.column import Column
    from casemate.records.finding import Finding
    from casemate.records.run import Run
    from casemate.records.system import System
    from casemate.records.threat import Threat
    from casemate.records.trial import Trial
    from casemate.records.verdict import Verdict


def _no_blob(digest: str) -> bytes:
    raise StoreError(f"payload {digest} was not kept")


class Bundle(NamedTuple):
    """The records of one run and what is needed to explain them."""

    run: Run
    verdicts: tuple[Verdict, ...] = ()
    """One per file scanned, and the gate's where it ran."""
    findings: tuple[Finding, ...] = ()
    trials: tuple[Trial, ...] = ()
    threats: tuple[Threat, ...] = ()
    system: System | None = None
    blob: Callable[[str], bytes] = _no_blob
    """Returns a payload by digest; raises StoreError when it is gone."""
    waived: Mapping[str, str] = MappingProxyType({})
    """Reason by fingerprint."""
    commands: Mapping[str, str] = MappingProxyType({})
    """The command that reproduces a trial (by id) or a finding (by fingerprint)."""
    bar: Severity = Severity.IMPORTANT
    """Findings at or above this count where the gate did not run."""
    columns: tuple[Column, ...] = ()
    """Of a tabular data set, in the order of its features."""
    classes: tuple[str, ...] = ()
    """Names of the labels, in order."""


def write(bundle: Bundle, format: str) -> bytes:  # noqa: A002 - the word on the command line
    """Return the report in a format of the catalog's `exports/`.

    Raises:
        UsageError: There is no such format; the hint names the nearest.
    """
    found = loader.entry("exports", format, Export)
    return cast("bytes", loader.load(found)(bundle))


def gate_verdict(bundle: Bundle) -> Verdict | None:
    """Return the gate's answer, None where it did not run."""
    return next((one for one in bundle.verdicts if one.question == "meets-the-bar"), None)


def file_verdicts(bundle: Bundle) -> tuple[Verdict, ...]:
    """Return the scan's answers, one per file."""
    return tuple(one for one in bundle.verdicts if one.question == "artifact-is-clean")


def open_findings(bundle: Bundle) -> list[Finding]:
    """Return the findings that are not waived, worst first, in a stable order."""
    kept = (one for one in bundle.findings if one.fingerprint not in bundle.waived)
    return sorted(kept, key=lambda one: (one.severity.rank, one.rule, one.target.uri, one.subject))


def by_file(findings: Iterable[Finding]) -> dict[str, list[Finding]]:
    """Group findings by the target they are in."""
    groups: dict[str, list[Finding]] = {}
    for one in findings:
        groups.setdefault(one.target.uri, []).append(one)
    return groups


def described(ident: str) -> Rule | Attack | None:
    """Return the catalog entry behind a finding's rule, None for an id this casemate lacks."""
    rule = loader.entries("rules", Rule).get(ident)
    return rule or loader.entries("attacks", Attack).get(ident)


def mitigations(ident: str) -> list[Mitigation]:
    """Return the catalog's mitigations for an attack; a rule carries its remedy instead."""
    entry = described(ident)
    if not isinstance(entry, Attack):
        return []
    known = loader.entries("mitigations", Mitigation)
    return [known[one] for one in entry.mitigations if one in known]
