"""CVSS 3.1: what a vector is worth, computed as the specification says.

Source: FIRST, Common Vulnerability Scoring System v3.1, specification document, sections 7 and 8,
and its appendix A on rounding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from casemate.vuln import vectors

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX = "CVSS:3.1"
_VALUES = {
    "AV": "NALP", "AC": "LH", "PR": "NLH", "UI": "NR", "S": "UC", "C": "HLN", "I": "HLN",
    "A": "HLN", "E": "XHFPU", "RL": "XUWTO", "RC": "XCRU", "CR": "XHML", "IR": "XHML",
    "AR": "XHML", "MAV": "XNALP", "MAC": "XLH", "MPR": "XNLH", "MUI": "XNR", "MS": "XUC",
    "MC": "XHLN", "MI": "XHLN", "MA": "XHLN",
}  # fmt: skip
METRICS: dict[str, tuple[str, ...]] = {name: tuple(values) for name, values in _VALUES.items()}
"""Values by metric, `X` where it may be left out; in the order of the specification."""
_AV = {"N": 0.85, "A": 0.62, "L": 0.55, "P": 0.2}
_AC = {"L": 0.77, "H": 0.44}
_PR = {"U": {"N": 0.85, "L": 0.62, "H": 0.27}, "C": {"N": 0.85, "L": 0.68, "H": 0.5}}
_UI = {"N": 0.85, "R": 0.62}
_LOST = {"H": 0.56, "L": 0.22, "N": 0.0}
_NEED = {"X": 1.0, "H": 1.5, "M": 1.0, "L": 0.5}
_E = {"X": 1.0, "H": 1.0, "F": 0.97, "P": 0.94, "U": 0.91}
_RL = {"X": 1.0, "U": 1.0, "W": 0.97, "T": 0.96, "O": 0.95}
_RC = {"X": 1.0, "C": 1.0, "R": 0.96, "U": 0.92}


class Scores(NamedTuple):
    """The three scores of a vector, each 0.0 to 10.0."""

    base: float
    temporal: float
    environmental: float
    """The one that takes everything in the vector into account."""


def scores(vector: str) -> Scores:
    """Return the scores of a vector.

    Raises:
        UsageError: It is no CVSS 3.1 vector.
    """
    v = vectors.parse(vector, PREFIX, METRICS)
    after = _E[v["E"]] * _RL[v["RL"]] * _RC[v["RC"]]
    left = 1 - (1 - _LOST[v["C"]]) * (1 - _LOST[v["I"]]) * (1 - _LOST[v["A"]])
    changed = 7.52 * (left - 0.029) - 3.25 * (left - 0.02) ** 15
    impact = 6.42 * left if v["S"] == "U" else changed
    base = _joined(impact, _exploitability(v), v["S"])
    return Scores(base, _up(base * after), _environmental(v, after))


def _environmental(v: Mapping[str, str], after: float) -> float:
    modified = {
        name: v[name] if v[f"M{name}"] == "X" else v[f"M{name}"]
        for name in ("AV", "AC", "PR", "UI", "S", "C", "I", "A")
    }
    kept = 1.0
    for name in ("C", "I", "A"):
        kept *= 1 - _LOST[modified[name]] * _NEED[v[f"{name}R"]]
    left = min(1 - kept, 0.915)
    changed = 7.52 * (left - 0.029) - 3.25 * (left * 0.9731 - 0.02) ** 13
    impact = 6.42 * left if modified["S"] == "U" else changed
    return _up(_joined(impact, _exploitability(modified), modified["S"]) * after)


def _exploitability(v: Mapping[str, str]) -> float:
    return 8.22 * _AV[v["AV"]] * _AC[v["AC"]] * _PR[v["S"]][v["PR"]] * _UI[v["UI"]]


def _joined(impact: float, exploitability: float, scope: str) -> float:
    if impact <= 0:
        return 0.0
    both = impact + exploitability
    return _up(min(both if scope == "U" else 1.08 * both, 10.0))


def _up(value: float) -> float:
    """Return the smallest number with one decimal that is not below `value` (appendix A)."""
    whole = round(value * 100_000)
    return whole / 100_000 if whole % 10_000 == 0 else (whole // 10_000 + 1) / 10.0
