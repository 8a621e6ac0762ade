"""Words and figures as every format shows them, and text from outside made safe to carry.

File names, messages and excerpts come from hostile artifacts: what a format cannot carry is
replaced by a visible escape, never dropped.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, NamedTuple

from casemate.records.severity import Severity

if TYPE_CHECKING:
    from casemate.records.finding import Finding
    from casemate.records.trial import Measure

# Control characters, lone surrogates, the two non-characters of the plane, and the marks that
# reorder text on screen (CVE-2021-42574); tab and line feed stay.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)
NORMS = {"linf": "L∞", "l2": "L2", "l1": "L1", "l0": "L0"}
MEASURES = {
    "accuracy": "accuracy",
    "recall-at-fpr": "recall at the fixed false-positive rate",
    "fidelity": "fidelity",
}


class Reference(NamedTuple):
    """Where to read more."""

    label: str
    url: str


def clean(text: str) -> str:
    """Return `text` with control, surrogate and direction-changing characters escaped."""
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text.replace("\r\n", "\n"))


def shorten(text: str, limit: int) -> str:
    """Return `text` in at most `limit` characters."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def sentence(text: str) -> str:
    """Return `text` with a full stop where it ends without one."""
    text = text.strip()
    return text if text.endswith((".", "!", "?", "…")) else f"{text}."


def place(finding: Finding) -> str:
    """Return where a finding is: path, member, then line or byte offset."""
    where = finding.location
    if where is None:
        return finding.target.uri
    parts = [where.path]
    if where.member:
        parts.append(f" > {where.member}")
    if where.line is not None:
        parts.append(f", line {where.line}")
    elif where.offset is not None:
        parts.append(f", byte {where.offset:,}")
    return "".join(parts)


def percent(value: float | None) -> str:
    """Return a share as a percentage; 0 and 100 stand for exactly none and all."""
    if value is None:
        return "not measured"
    if 0 < value < 0.0005:
        return "< 0.1 %"
    if 0.9995 <= value < 1:
        return "> 99.9 %"
    return f"{100 * value:.1f}".removesuffix(".0") + " %"


def interval(measure: Measure) -> str:
    """Return the interval of a measure as `93.1–98.2 %`, empty where there is none."""
    if measure.low is None or measure.high is None:
        return ""
    return f"{100 * measure.low:.1f}–{100 * measure.high:.1f} %"


def number(value: float | None) -> str:
    """Return a figure in at most four significant digits, thousands separated."""
    if value is None:
        return "–"
    if not math.isfinite(value):
        return "missing" if math.isnan(value) else str(value)
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}"


def count(n: int, one: str, many: str | None = None) -> str:
    """Return `1 file`, `3 files`."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def seconds(value: float) -> str:
    """Return a duration a person reads at once."""
    if value < 1:
        return f"{value * 1000:.0f} ms"
    if value < 120:
        return f"{value:.1f} s"
    return f"{value / 60:.0f} min" if value < 7200 else f"{value / 3600:.1f} h"


def reference(ref: str) -> Reference | None:
    """Turn a catalog reference into a label and an address; None for a scheme without pages."""
    scheme, _, name = ref.partition(":")
    match scheme:
        case "arxiv":
            return Reference(f"arXiv {name}", f"https://arxiv.org/abs/{name}")
        case "atlas":
            kind = "mitigations" if name.startswith("AML.M") else "techniques"
            return Reference(f"ATLAS {name}", f"https://atlas.mitre.org/{kind}/{name}")
        case "cwe":
            return Reference(f"CWE-{name}", f"https://cwe.mitre.org/data/definitions/{name}.html")
        case "ghsa":
            ident = name if name.upper().startswith("GHSA-") else f"GHSA-{name}"
            return Reference(ident, f"https://github.com/advisories/{ident}")
        case "cve":
            ident = name if name.upper().startswith("CVE-") else f"CVE-{name}"
            return Reference(ident, f"https://nvd.nist.gov/vuln/detail/{ident}")
        case "url" if name.startswith(("https://", "http://")):
            return Reference(name.partition("://")[2], name)
        case _:
            return None


def references(refs: tuple[str, ...]) -> list[Reference]:
    """Return the references that have an address, in order."""
    return [found for ref in refs if (found := reference(ref)) is not None]


SCORES = {
    Severity.CRITICAL: 9.5,
    Severity.IMPORTANT: 8.0,
    Severity.MODERATE: 5.5,
    Severity.LOW: 2.0,
}
"""Severity as a number from 0 to 10, inside the bands code-scanning platforms use."""
