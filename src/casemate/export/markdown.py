"""`--format md`: the run as a comment on a pull request, at most 65,000 characters.

File names and messages come from hostile files: they are shown, and can neither format, link,
mention nor nest anything.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from casemate.export import advice, coverage
from casemate.export.report import Bundle, file_verdicts, gate_verdict, open_findings
from casemate.export.sightings import HEAD, sightings
from casemate.export.wording import (
    NORMS,
    clean,
    count,
    interval,
    number,
    percent,
    place,
    seconds,
    sentence,
    shorten,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from casemate.records.finding import Finding
    from casemate.records.trial import Trial

LIMIT = 65_000
"""Characters; a GitHub comment holds 65,536."""
_MARK = {"stop": "❌", "unsure": "⚠️", "pass": "✅"}
_SPECIAL = re.compile(r"([\\`*_\[\]|~$]|^[-+#=])")
_NUMBERED = re.compile(r"^(\d+)([.)])")
_JOIN = "\u2060"  # Invisible, and enough to stop a mention or a bare address from becoming a link.


def write(bundle: Bundle) -> bytes:
    """Return the summary; sections lose their last rows until it fits."""
    for rows in (200, 100, 50, 25, 10, 5, 2):
        text = _write(bundle, rows)
        if len(text) <= LIMIT:
            return text.encode()
    return (text[: LIMIT - 100] + "\n\n*Cut here; see the HTML or JSON report.*\n").encode()


def _write(bundle: Bundle, rows: int) -> str:
    head = advice.headline(bundle)
    parts = [f"## {_MARK[head.tone]} casemate: {head.words}"]
    parts.append("\n".join(f"- {safe(reason)}" for reason in head.reasons))
    parts += [
        _gate(bundle, rows),
        _steps(bundle),
        _sightings(bundle, rows),
        _attacks(bundle.trials, rows),
        _findings(bundle, rows),
        _files(bundle, rows),
        _gaps(bundle, rows),
        _facts(bundle),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def safe(text: str, limit: int = 500) -> str:
    """Return text from outside as inert Markdown on one line."""
    flat = " ".join(shorten(clean(text), limit).split())
    flat = flat.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    flat = _NUMBERED.sub(r"\1\\\2", _SPECIAL.sub(r"\\\1", flat))
    return (
        flat.replace("@", f"@{_JOIN}").replace("://", f":{_JOIN}//").replace("www.", f"www{_JOIN}.")
    )


def code(text: str, limit: int = 300) -> str:
    """Return text from outside as a code span that stays one, in a table too."""
    flat = " ".join(shorten(clean(text), limit).split()).replace("|", "\\|")
    longest = max((len(run) for run in re.findall("`+", flat)), default=0)
    fence = "`" * (longest + 1)
    pad = " " if longest or not flat else ""
    return f"{fence}{pad}{flat}{pad}{fence}"


def _table(head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *body]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _gate(bundle: Bundle, rows: int) -> str:
    verdict = gate_verdict(bundle)
    if verdict is None or not verdict.reasons:
        return ""
    shown = [f"- {safe(reason)}" for reason in verdict.reasons[: min(rows, 20)]]
    if len(verdict.reasons) > len(shown):
        shown.append(f"- and {count(len(verdict.reasons) - len(shown), 'more reason')}")
    return "### The bar\n\n" + "\n".join(shown)


def _steps(bundle: Bundle) -> str:
    steps = advice.first_steps(bundle)
    if not steps:
        return ""
    lines = [
        f"1. **{safe(sentence(one.what))}** {safe(sentence(one.how))} ({code(one.about, 120)})"
        for one in steps
    ]
    return "### Do this first\n\n" + "\n".join(lines)


def _sightings(bundle: Bundle, rows: int) -> str:
    found = sightings(bundle.trials)
    if not found:
        return ""
    body = [[code(row[0]), *(safe(cell) for cell in row[1:-1])] for row in found[:rows]]
    return (
        "### What the guard saw\n\n" + _table(HEAD, body) + _more(len(found) - len(body), "attack")
    )


def _attacks(trials: Iterable[Trial], rows: int) -> str:
    ordered = sorted(trials, key=_harm)
    if not ordered:
        return ""
    body = [_attack(one) for one in ordered[:rows]]
    head = (
        "attack",
        "within",
        "clean",
        "under attack",
        "95 % interval",
        "evaluations per input",
        "CPU",
    )
    text = "### Attacks\n\n" + _table(head, body)
    return text + _more(len(ordered) - len(body), "attack")


def _harm(trial: Trial) -> tuple[bool, float]:
    left = _left(trial)
    return left is None, left or 0.0


def _left(trial: Trial) -> float | None:
    """Return what an attack left; nothing for a search, which has no radius to be judged at."""
    searching = trial.family == "evasion" and trial.eps is None
    return None if trial.robust is None or searching else trial.robust.value


def _attack(trial: Trial) -> list[str]:
    within = NORMS.get(trial.norm or "", "–")
    within += f" {number(trial.eps)}" if trial.eps is not None else ""
    left, bounds = "–", "–"
    if trial.robust is not None and _left(trial) is not None:
        left, bounds = percent(trial.robust.value), interval(trial.robust) or "–"
    elif (median := advice.median_distance(trial)) is not None:
        left = f"half within {number(median)}"
    for one in trial.measures if trial.family == "extraction" else ():
        if one.name == "fidelity":
            left, bounds = f"copied to {percent(one.value)}", interval(one) or "–"
    spent = (trial.cost.forward + trial.cost.backward) / max(1, trial.inputs)
    unit = "" if trial.clean.name == "accuracy" else f" {trial.clean.name}"
    name = code(trial.attack) + ("" if trial.state == "complete" else f" ({trial.state})")
    return [
        name,
        within,
        percent(trial.clean.value) + unit,
        left,
        bounds,
        number(round(spent, 1)),
        seconds(trial.cost.cpu_s),
    ]


def _findings(bundle: Bundle, rows: int) -> str:
    found = open_findings(bundle)
    if not found:
        return ""
    body = [_finding(one, bundle) for one in found[:rows]]
    head = ("severity", "rule", "where", "what")
    text = f"### {count(len(found), 'finding')}\n\n" + _table(head, body)
    text += _more(len(found) - len(body), "finding")
    waived = len({one.fingerprint for one in bundle.findings} & set(bundle.waived))
    return text + (f"\n\n{count(waived, 'finding is', 'findings are')} waived." if waived else "")


def _finding(finding: Finding, bundle: Bundle) -> list[str]:
    what = safe(finding.message, 300)
    command = bundle.commands.get(finding.fingerprint)
    if command:
        what += f"<br>{code(command)}"
    return [finding.severity.value, code(finding.rule), code(place(finding), 160), what]


def _files(bundle: Bundle, rows: int) -> str:
    files = file_verdicts(bundle)
    if not files:
        return ""
    words = [coverage.file_word(one) for one in files]
    clean_files, found, unread = (words.count(one) for one in ("clean", "findings", "incomplete"))
    counts = f"{clean_files} clean, {found} with findings, {unread} incomplete"
    bad = [one for one in files if one.answer != "yes" or not coverage.is_complete(one)]
    text = f"### Files\n\n{count(len(files), 'file')} scanned: {counts}."
    if bad:
        body = [
            [
                coverage.file_word(one),
                code(one.target.uri, 160),
                safe("; ".join(one.reasons[:2]), 300),
            ]
            for one in bad[:rows]
        ]
        text += (
            "\n\n" + _table(("verdict", "file", "why"), body) + _more(len(bad) - len(body), "file")
        )
    return text


def _gaps(bundle: Bundle, rows: int) -> str:
    found = coverage.gaps(bundle)
    if not found:
        return ""
    lines = [
        f"- {code(gap.what) + ': ' if gap.what else ''}{safe(gap.why)}" for gap in found[:rows]
    ]
    return "### Not checked\n\n" + "\n".join(lines) + _more(len(found) - len(lines), "point")


def _facts(bundle: Bundle) -> str:
    run = bundle.run
    versions = ", ".join(f"{name} {version}" for name, version in sorted(run.versions.items()))
    lines = [f"{code(run.id)}, {run.verb}, {run.state}, seed {run.seed}"]
    if run.target:
        lines.append(f"target {code(run.target)}")
    if versions:
        lines.append(safe(versions))
    return "<sub>" + " · ".join(lines) + "</sub>"


def _more(left: int, what: str) -> str:
    return (
        f"\n\nand {count(left, f'more {what}')}, in the HTML and JSON reports." if left > 0 else ""
    )
