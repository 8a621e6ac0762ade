"""CVSS 4.0: what a vector is worth, computed as the specification says, in whole numbers.

Source: FIRST, Common Vulnerability Scoring System v4.0, specification document, section 8 (macro
vectors and the interpolation between them); the table of scores is `scores/cvss-4.0.toml`.
"""

from __future__ import annotations

import functools
import tomllib
from typing import TYPE_CHECKING, cast

from casemate.catalog.loader import ROOT
from casemate.vuln import vectors

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PREFIX = "CVSS:4.0"
_VALUES = {
    "AV": "NALP", "AC": "LH", "AT": "NP", "PR": "NLH", "UI": "NPA",
    "VC": "HLN", "VI": "HLN", "VA": "HLN", "SC": "HLN", "SI": "HLN", "SA": "HLN",
    "E": "XAPU", "CR": "XHML", "IR": "XHML", "AR": "XHML",
    "MAV": "XNALP", "MAC": "XLH", "MAT": "XNP", "MPR": "XNLH", "MUI": "XNPA",
    "MVC": "XHLN", "MVI": "XHLN", "MVA": "XHLN", "MSC": "XHLN", "MSI": "XSHLN", "MSA": "XSHLN",
    "S": "XNP", "AU": "XNY", "R": "XAUI", "V": "XDC", "RE": "XLMH",
}  # fmt: skip
METRICS: dict[str, tuple[str, ...]] = {
    **{name: tuple(values) for name, values in _VALUES.items()},
    "U": ("X", "Clear", "Green", "Amber", "Red"),
}
"""Values by metric, `X` where it may be left out; in the order of the specification."""
_LEVELS = {
    "AV": "NALP", "PR": "NLH", "UI": "NPA", "AC": "LH", "AT": "NP", "VC": "HLN", "VI": "HLN",
    "VA": "HLN", "SC": "SHLN", "SI": "SHLN", "SA": "SHLN", "CR": "HML", "IR": "HML", "AR": "HML",
}  # fmt: skip
"""Values of each metric, worst first; the place is the severity distance in tenths."""
_OF = (
    ("AV", "PR", "UI"),
    ("AC", "AT"),
    ("VC", "VI", "VA", "CR", "IR", "AR"),
    ("SC", "SI", "SA"),
)
"""Metrics of the equivalence sets 1, 2, 3 with 6, and 4."""
_HIGHEST: tuple[dict[str, tuple[str, ...]], ...] = (
    {"0": ("NNN",), "1": ("ANN", "NLN", "NNP"), "2": ("PNN", "ALP")},
    {"0": ("LN",), "1": ("HN", "LP")},
    {
        "00": ("HHHHHH",),
        "01": ("HHLMMH", "HHHMMM"),
        "10": ("LHHHHH", "HLHHHH"),
        "11": ("LHLHMH", "LHHHMM", "HLHMHM", "HLLMHH", "LLHHHM"),
        "21": ("LLLHHH",),
    },
    {"0": ("HSS",), "1": ("HHH",), "2": ("LLL",)},
)
"""The highest vectors of each level, in the order of `_OF`."""
_DEPTH: tuple[dict[str, int], ...] = (
    {"0": 1, "1": 4, "2": 5},
    {"0": 1, "1": 2},
    {"00": 7, "01": 6, "10": 8, "11": 8, "21": 10},
    {"0": 6, "1": 5, "2": 4},
)
"""How many steps each level is deep."""
_COMMON = 840
"""A multiple of every depth, so that the arithmetic is exact."""


def score(vector: str) -> float:
    """Return the score of a vector, 0.0 to 10.0, with all of its metrics taken into account.

    Raises:
        UsageError: It is no CVSS 4.0 vector.
    """
    given = vectors.parse(vector, PREFIX, METRICS)
    values = _effective(given)
    if all(values[one] == "N" for one in ("VC", "VI", "VA", "SC", "SI", "SA")):
        return 0.0
    level = _macro(values)
    table = _table()
    top = table[level]
    one, two, three, four, five, six = tuple(level)
    below = (
        table.get(f"{int(one) + 1}{level[1:]}"),
        table.get(f"{one}{int(two) + 1}{level[2:]}"),
        _below_three_six(table, level),
        table.get(f"{one}{two}{three}{int(four) + 1}{five}{six}"),
    )
    parts = (one, two, three + six, four)
    total, lower = 0, 0
    for place, next_score in enumerate(below):
        if next_score is None:
            continue
        lower += 1
        away = _distance(values, _OF[place], _HIGHEST[place][parts[place]])
        total += (top - next_score) * away * (_COMMON // _DEPTH[place][parts[place]])
    if f"{one}{two}{three}{four}{int(five) + 1}{six}" in table:
        lower += 1  # this set has no distance within a level, but counts in the mean
    if not lower:
        return top / 10
    whole = _COMMON * lower
    # The mean distance is total / whole tenths; halves are rounded up.
    return max(0, (2 * (top * whole - total) + whole) // (2 * whole)) / 10


def _effective(given: Mapping[str, str]) -> dict[str, str]:
    found = {}
    for name in (*_LEVELS, "E"):
        value = given[name]
        changed = given.get(f"M{name}", "X")
        if changed != "X":
            value = changed
        if value == "X":
            value = "A" if name == "E" else "H"
        found[name] = value
    return found


def _macro(v: Mapping[str, str]) -> str:
    free = [v["AV"] == "N", v["PR"] == "N", v["UI"] == "N"]
    eq1 = 0 if all(free) else 1 if any(free) and v["AV"] != "P" else 2
    eq2 = 0 if v["AC"] == "L" and v["AT"] == "N" else 1
    high = [v[one] == "H" for one in ("VC", "VI", "VA")]
    eq3 = 0 if high[0] and high[1] else 1 if any(high) else 2
    safety = "S" in (v["SI"], v["SA"])
    eq4 = 0 if safety else 1 if "H" in (v["SC"], v["SI"], v["SA"]) else 2
    eq5 = "APU".index(v["E"])
    asked = any(
        v[need] == "H" and lost for need, lost in zip(("CR", "IR", "AR"), high, strict=True)
    )
    return f"{eq1}{eq2}{eq3}{eq4}{eq5}{0 if asked else 1}"


def _below_three_six(table: Mapping[str, int], level: str) -> int | None:
    one, two, three, four, five, six = tuple(level)
    next_three = f"{one}{two}{int(three) + 1}{four}{five}{six}"
    next_six = f"{one}{two}{three}{four}{five}{int(six) + 1}"
    if three == "0" and six == "0":
        return max(table[next_three], table[next_six])
    if three == "1" and six == "0":
        return table[next_six]
    return table.get(next_three)


def _distance(values: Mapping[str, str], metrics: Sequence[str], tops: Sequence[str]) -> int:
    """Return the steps from the first highest vector that is nowhere below the one scored."""
    for top in tops:
        steps = [
            _LEVELS[one].index(values[one]) - _LEVELS[one].index(best)
            for one, best in zip(metrics, top, strict=True)
        ]
        if min(steps) >= 0:
            return sum(steps)
    raise AssertionError(f"no highest vector above {values}")  # the levels are exhaustive


@functools.cache
def _table() -> dict[str, int]:
    body = tomllib.loads((ROOT / "scores" / "cvss-4.0.toml").read_text(encoding="utf-8"))
    return cast("dict[str, int]", body["macro"])
