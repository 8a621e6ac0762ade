"""`--format junit`: the run as a test report, for CI servers that read nothing else.

A test case is a file, an attack or the gate. What stops the release fails; what could not be
checked is an error, never a pass; a threat no attack tried is skipped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from casemate.export import coverage
from casemate.export.advice import median_distance
from casemate.export.report import Bundle, by_file, file_verdicts, gate_verdict
from casemate.export.wording import clean, interval, number, percent, place, shorten

if TYPE_CHECKING:
    from casemate.records.finding import Finding
    from casemate.records.trial import Trial
    from casemate.records.verdict import Verdict

_LIMIT = 20_000
"""Characters of text in one test case."""


def write(bundle: Bundle) -> bytes:
    """Return the run as JUnit XML."""
    stops = coverage.deciding(bundle)
    suites = [_files(bundle, stops), _attacks(bundle, stops), _threats(bundle), _gate(bundle)]
    root = ET.Element("testsuites", name="casemate")
    for suite in suites:
        if len(suite):
            _total(suite, bundle)
            root.append(suite)
    for key in ("tests", "failures", "errors", "skipped"):
        root.set(key, str(sum(int(suite.get(key, "0")) for suite in root)))
    root.set("time", f"{sum(float(suite.get('time', '0')) for suite in root):.3f}")
    ET.indent(root)
    body: bytes = ET.tostring(root, "utf-8")
    return b'<?xml version="1.0" encoding="UTF-8"?>\n' + body + b"\n"


def _files(bundle: Bundle, stops: frozenset[str]) -> ET.Element:
    suite = ET.Element("testsuite", name="casemate.scan")
    of_file = by_file(bundle.findings)
    for verdict in file_verdicts(bundle):
        found = of_file.get(verdict.target.uri, [])
        case = _case(suite, "casemate.scan", verdict.target.uri, file=verdict.target.uri)
        decisive = [one for one in found if one.fingerprint in stops]
        if decisive:
            _failure(case, decisive, bundle)
        elif not coverage.is_complete(verdict):
            _child(case, "error", _why(verdict), "\n".join(verdict.reasons), "incomplete")
        rest = [one for one in found if one.fingerprint not in stops]
        if rest:
            _output(case, _listed(rest, bundle))
    return suite


def _attacks(bundle: Bundle, stops: frozenset[str]) -> ET.Element:
    suite = ET.Element("testsuite", name="casemate.attack")
    for trial in bundle.trials:
        found = [one for one in bundle.findings if one.trial == trial.id]
        case = _case(suite, "casemate.attack", _named(trial), time=trial.cost.wall_s)
        decisive = [one for one in found if one.fingerprint in stops]
        if decisive:
            _failure(case, decisive, bundle)
        elif trial.state in ("interrupted", "failed"):
            _child(
                case, "error", f"the attack was {trial.state}", "\n".join(trial.notes), "incomplete"
            )
        rest = [one for one in found if one.fingerprint not in stops]
        _output(case, "\n".join([_figures(trial), *trial.notes, _listed(rest, bundle)]).strip())
    return suite


def _threats(bundle: Bundle) -> ET.Element:
    suite = ET.Element("testsuite", name="casemate.threats")
    for threat in bundle.threats:
        case = _case(suite, "casemate.threats", f"{threat.attack} against {threat.component}")
        if not threat.covered_by:
            ET.SubElement(case, "skipped", message="no attack of this run tried it")
    return suite


def _gate(bundle: Bundle) -> ET.Element:
    suite = ET.Element("testsuite", name="casemate.gate")
    verdict = gate_verdict(bundle)
    if verdict is not None:
        case = _case(suite, "casemate.gate", "meets the bug bar")
        text = "\n".join(verdict.reasons)
        if verdict.answer == "no":
            _child(case, "failure", _why(verdict), text, "gate")
        elif verdict.answer == "cannot-tell":
            _child(case, "error", _why(verdict), text, "incomplete")
    if bundle.run.state != "complete":
        case = _case(suite, "casemate.run", "ran to its end")
        _child(
            case, "error", f"the run is {bundle.run.state}", "What was found is kept.", "incomplete"
        )
    return suite


def _case(
    suite: ET.Element, group: str, name: str, *, time: float = 0.0, file: str = ""
) -> ET.Element:
    case = ET.SubElement(suite, "testcase", classname=group, name=clean(name), time=f"{time:.3f}")
    if file:
        case.set("file", clean(file))
    return case


def _failure(case: ET.Element, findings: list[Finding], bundle: Bundle) -> None:
    worst = min(findings, key=lambda one: one.severity.rank)
    message = worst.message
    if len(findings) > 1:
        message += f" (and {len(findings) - 1} more)"
    _child(case, "failure", message, _listed(findings, bundle), worst.rule)


def _child(case: ET.Element, tag: str, message: str, text: str, kind: str) -> None:
    child = ET.SubElement(case, tag, message=clean(shorten(message, 500)), type=clean(kind))
    child.text = clean(shorten(text, _LIMIT))


def _output(case: ET.Element, text: str) -> None:
    if text:
        ET.SubElement(case, "system-out").text = clean(shorten(text, _LIMIT))


def _listed(findings: list[Finding], bundle: Bundle) -> str:
    blocks = []
    for one in findings:
        lines = [f"{one.severity} {one.rule} in {place(one)}", one.message, f"fix: {one.remedy}"]
        if one.fingerprint in bundle.waived:
            lines.append(f"waived: {bundle.waived[one.fingerprint]}")
        if one.fingerprint in bundle.commands:
            lines.append(f"reproduce: {bundle.commands[one.fingerprint]}")
        blocks.append("\n".join([*lines, one.fingerprint]))
    return "\n\n".join(blocks)


def _named(trial: Trial) -> str:
    name = trial.attack
    if trial.norm:
        name += f" {trial.norm}"
    if trial.eps is not None:
        name += f" eps={trial.eps:g}"
    return f"{name} on {trial.target.uri}"


def _figures(trial: Trial) -> str:
    text = f"{trial.clean.name}: {percent(trial.clean.value)}"
    if trial.robust is not None and (trial.eps is not None or trial.family != "evasion"):
        text += f", under attack {percent(trial.robust.value)} ({interval(trial.robust)})"
    if (median := median_distance(trial)) is not None:
        text += f", half fooled within {number(median)}"
    return f"{text}, {trial.inputs:,} inputs"


def _why(verdict: Verdict) -> str:
    return verdict.reasons[0] if verdict.reasons else "no reason given"


def _total(suite: ET.Element, bundle: Bundle) -> None:
    cases = list(suite)
    suite.set("tests", str(len(cases)))
    for key, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(key, str(sum(1 for case in cases if case.find(tag) is not None)))
    suite.set("time", f"{sum(float(case.get('time', '0')) for case in cases):.3f}")
    suite.set("timestamp", bundle.run.started.strftime("%Y-%m-%dT%H:%M:%S"))
