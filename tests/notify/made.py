"""Detections for the tests of this folder."""

from casemate.catalog.entries import Detector
from casemate.records.detection import Detection
from casemate.records.make import make, new_id
from casemate.records.severity import Confidence, Severity

SECOND = 1_000_000
HOUR = 3600 * SECOND
NOW = 1_795_230_725 * SECOND  # 2026-11-21 03:12:05 UTC


def detection(**fields) -> Detection:
    given = {
        "id": new_id("det"),
        "rule": "test-border-walk",
        "conclusion": "attack",
        "severity": Severity.IMPORTANT,
        "confidence": Confidence.FIRM,
        "message": "312 queries close in on the border between two labels, halving the step.",
        "model": "fraud",
        "principals": ("eve",),
        "began": NOW - 14 * 60 * SECOND,
        "ended": NOW - 2 * SECOND,
        "made": NOW,
        "queries": 312,
        "first_query": 9,
        "score": 0.97,
        "bar": 0.5,
        "campaign": new_id("cam"),
    }
    return make(Detection, **{**given, **fields})


def entry(**fields) -> Detector:
    given = {
        "id": "test-border-walk",
        "kind": "detections",
        "title": "Queries walk along a decision border",
        "why": "It is how decision-based attacks find an adversarial example.",
        "misses": "Attacks that finish within a handful of queries.",
        "conclusion": "attack",
        "severity": Severity.IMPORTANT,
        "severity_why": "It ends in a misclassified input.",
        "confidence": Confidence.FIRM,
        "pages": True,
        "how": "Near-duplicates whose labels flip.",
        "benign": "An explanation library such as LIME asking about one input.",
        "next_steps": ("Ask whose account it is.", "Limit its rate.", "Look at the first query."),
    }
    return Detector(**{**given, **fields})
