"""From the trace of a pickle stream to findings: the allow-list decides, by effect.

This is the door of the pickle rules: `judge` takes what `casemate.formats.pickle.trace` returns.
Each name gives one finding per rule, the worst of its uses, with the source that would run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from casemate.catalog.entries import Rule
from casemate.catalog.loader import entry
from casemate.formats.pickle import render
from casemate.formats.pickle_opcodes import NAMES
from casemate.formats.pickle_values import Global
from casemate.records.evidence import Evidence
from casemate.records.finding import Finding
from casemate.records.fingerprint import fingerprint
from casemate.records.location import Location
from casemate.records.make import make
from casemate.records.severity import Confidence, Severity
from casemate.scan.effects import RULES
from casemate.scan.pickle_uses import Judgement, judge_use, kept

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from casemate.formats.pickle_trace import PickleTrace, Trouble, Use
    from casemate.records.target import Target

EXCERPT_LINES = 6
FINDINGS_KEPT = 200
TRUSTABLE = frozenset({"pickle-imports-unknown", "pickle-calls-unknown"})
TROUBLES = {
    "unresolved": ("pickle-name-unresolved", Severity.CRITICAL),
    "shifted": ("pickle-parsers-disagree", Severity.CRITICAL),
    "disagree": ("pickle-parsers-disagree", Severity.IMPORTANT),
    "extension": ("pickle-extension-code", Severity.IMPORTANT),
    "malformed": ("pickle-malformed", Severity.MODERATE),
}
"""Truncated streams and bounds that were reached make the verdict incomplete, with no finding."""


def judge(
    found: PickleTrace,
    *,
    target: Target,
    member: str | None = None,
    trusted: Mapping[str, str] = {},
) -> list[Finding]:
    """Return what is wrong with a pickle stream, worst first.

    Args:
        found: The trace of the stream.
        target: The file it is in; findings carry its uri as their path.
        member: The archive member it is in.
        trusted: Import names a person vouches for, and why. They are left out of the rules about
            unknown names, and of no other.
    """
    worst: dict[tuple[str, str], tuple[Judgement, list[str], int, int]] = {}
    for trace in (found, *found.inner):
        for judgement, offset, line, count in _judgements(trace):
            if judgement.rule in TRUSTABLE and judgement.subject in trusted:
                continue
            if trace.shifted and judgement.rule not in RULES.values():
                continue
            key = (judgement.rule, judgement.subject)
            known = worst.get(key)
            if known is None:
                worst[key] = (judgement, [line] if line else [], offset, count)
                continue
            lines = known[1]
            if line and line not in lines and len(lines) < EXCERPT_LINES:
                lines.append(line)
            heavier = judgement.severity.rank < known[0].severity.rank
            worst[key] = (
                judgement if heavier else known[0],
                lines,
                offset if heavier else known[2],
                known[3] + count,
            )
    named = {key[1] for key in worst if key[0] not in TRUSTABLE}
    findings = [
        _finding(judgement, lines, offset, count, target, member)
        for (rule, subject), (judgement, lines, offset, count) in worst.items()
        if not (
            rule == "pickle-imports-unknown"
            and (subject in named or ("pickle-calls-unknown", subject) in worst)
        )
    ]
    findings.sort(key=lambda each: (each.severity.rank, each.rule, each.subject))
    return findings[:FINDINGS_KEPT]


def _judgements(trace: PickleTrace) -> Iterator[tuple[Judgement, int, str, int]]:
    for use in trace.uses:
        judgement = judge_use(trace, use)
        if judgement is not None:
            # An import that a call follows is not one more time.
            yield judgement, use.offset, _line(trace, use), 0 if use.kind == "import" else use.times
        if use.kind == "import" and isinstance(use.target, Global) and use.target.uses > 0:
            judgement = kept(use.target)
            if judgement is not None:
                yield judgement, use.offset, _line(trace, use), 0
    for trouble in trace.troubles:
        if trouble.kind in TROUBLES:
            yield _troubled(trouble), trouble.offset, "", 1


def _line(trace: PickleTrace, use: Use) -> str:
    text = render(trace, use)
    verb = "import " if use.kind == "import" else ""
    return f"{verb}{text}  # {NAMES.get(use.opcode, 'opcode')} at {use.offset}"


def _troubled(trouble: Trouble) -> Judgement:
    rule, severity = TROUBLES[trouble.kind]
    return Judgement(rule, trouble.message, severity, Confidence.CERTAIN, trouble.message)


def _finding(
    judgement: Judgement,
    lines: list[str],
    offset: int,
    count: int,
    target: Target,
    member: str | None,
) -> Finding:
    rule = entry("rules", judgement.rule, Rule)
    location = make(Location, path=target.uri, member=member, offset=offset)
    times = f" ({count} times)" if count > 1 else ""
    evidence = make(
        Evidence,
        by=judgement.rule,
        how="symbolic pickle machine",
        location=location,
        excerpt=_printable("\n".join(lines))[:2000] or None,
    )
    return make(
        Finding,
        rule=judgement.rule,
        target=target,
        severity=judgement.severity,
        confidence=judgement.confidence,
        message=_printable(judgement.sentence[:600]) + times,
        remedy=rule.remedy,
        fingerprint=fingerprint(judgement.rule, target.uri, member, judgement.subject),
        subject=_printable(judgement.subject[:600]),
        location=location,
        evidence=(evidence,),
    )


def _printable(text: str) -> str:
    """Return text that is safe to store and show: no surrogates, no control characters."""
    return "".join(
        each
        if each.isprintable() or each == "\n"
        else each.encode("unicode_escape", "surrogatepass").decode("ascii")
        for each in text
    )
