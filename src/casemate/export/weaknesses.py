"""Findings as a reader meets them: grouped by weakness, each mitigation told once.

Used by the HTML report, for the model and for each file scanned.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from casemate.catalog import loader
from casemate.errors import UsageError
from casemate.export import coverage
from casemate.export.report import Bundle, described, file_verdicts, mitigations

if TYPE_CHECKING:
    from casemate.catalog.entries import Attack, Mitigation, Rule
    from casemate.records.finding import Finding
    from casemate.records.severity import Severity
    from casemate.records.trial import Trial
    from casemate.records.verdict import Verdict


class Sighting(NamedTuple):
    """One finding of a weakness."""

    finding: Finding
    command: str | None
    trial: Trial | None


class Weakness(NamedTuple):
    """Findings of one rule in one place, with what the catalog knows of it."""

    rule: str
    entry: Rule | Attack | None
    ways: list[Mitigation]
    remedies: list[str]
    sightings: list[Sighting]

    @property
    def severity(self) -> Severity:
        """The worst of its findings."""
        return min((one.finding.severity for one in self.sightings), key=lambda one: one.rank)


class FilePart(NamedTuple):
    """A file and what was found in it."""

    verdict: Verdict
    word: str
    complete: bool
    weaknesses: list[Weakness]


def weaknesses_of(bundle: Bundle, findings: list[Finding]) -> list[Weakness]:
    """Group findings by rule, worst first."""
    trials = {one.id: one for one in bundle.trials}
    groups: dict[str, Weakness] = {}
    for one in findings:
        ways = mitigations(one.rule)
        group = groups.setdefault(one.rule, Weakness(one.rule, described(one.rule), ways, [], []))
        command = bundle.commands.get(one.fingerprint) or bundle.commands.get(one.trial or "")
        group.sightings.append(Sighting(one, command, trials.get(one.trial or "")))
        if one.remedy not in group.remedies and not ways:
            group.remedies.append(one.remedy)
    return sorted(groups.values(), key=lambda one: one.severity.rank)


def ways(weaknesses: list[Weakness]) -> list[tuple[Mitigation, list[str]]]:
    """Return each mitigation once, with the weaknesses it answers."""
    answers: dict[str, tuple[Mitigation, list[str]]] = {}
    for one in weaknesses:
        for way in one.ways:
            answers.setdefault(way.id, (way, []))[1].append(title_of(one.rule))
    return sorted(answers.values(), key=lambda pair: -len(pair[1]))


def files_of(bundle: Bundle, of_file: dict[str, list[Finding]]) -> list[FilePart]:
    """Return the files scanned, the worst first, each with its weaknesses."""
    parts = [
        FilePart(
            one,
            coverage.file_word(one),
            coverage.is_complete(one),
            weaknesses_of(bundle, of_file.get(one.target.uri, [])),
        )
        for one in file_verdicts(bundle)
    ]
    order = {"findings": 0, "incomplete": 1, "clean": 2}
    return sorted(
        parts,
        key=lambda one: (
            min((weak.severity.rank for weak in one.weaknesses), default=4),
            order[one.word],
            one.verdict.target.uri,
        ),
    )


def title_of(ident: str) -> str:
    """Return the title of a catalog id, the id itself where this casemate lacks it."""
    try:
        return loader.find(ident).title
    except UsageError:
        return ident
