"""Scores: a weakness in the words of four schemes, from the same facts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from casemate.records.vulnerability import Score
from casemate.vuln import bug_bar, cvss3, cvss4, ssvc, vectors
from casemate.vuln.metrics import metrics, of_v3

if TYPE_CHECKING:
    from casemate.records.vulnerability import Facts


def scores(threat: str, facts: Facts) -> tuple[Score, ...]:
    """Return the bug bar's, CVSS 4.0's, CVSS 3.1's and SSVC's answer.

    Raises:
        UsageError: The catalog has no such threat.
    """
    found = metrics(threat, facts)
    return (
        bug_bar.score(threat, facts),
        _four(vectors.written(found.values, cvss4.PREFIX, cvss4.METRICS), found.because),
        _three(vectors.written(of_v3(found.values), cvss3.PREFIX, cvss3.METRICS)),
        ssvc.score(facts, found.values),
    )


def from_vector(vector: str) -> Score:
    """Return the score of somebody else's vector, of CVSS 4.0, 3.1 or 3.0.

    Version 3.0 is scored as 3.1, whose base metrics are the same.

    Raises:
        UsageError: It is none of them.
    """
    because = ("as published",)
    if vector.startswith(cvss4.PREFIX):
        return _four(vector, because)
    if vector.startswith("CVSS:3.0/"):
        return _three(cvss3.PREFIX + vector[8:], ("as published, in version 3.0",))
    return _three(vector, because)


def _four(vector: str, because: tuple[str, ...]) -> Score:
    value = cvss4.score(vector)
    return Score(
        scheme="cvss-4.0",
        value=value,
        level=vectors.rating(value),
        vector=vector,
        because=because,
    )


def _three(vector: str, because: tuple[str, ...] = ("as CVSS 4.0",)) -> Score:
    value = cvss3.scores(vector).environmental
    return Score(
        scheme="cvss-3.1",
        value=value,
        level=vectors.rating(value),
        vector=vector,
        because=because,
    )
