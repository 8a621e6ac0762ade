"""Verdict: yes, no or cannot tell, and the measurements it rests on."""

from __future__ import annotations

from typing import Literal

import msgspec

from casemate.records.target import Target


class Verdict(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    tag_field="schema",
    tag="verdict/1",
    forbid_unknown_fields=True,
):
    """An answer to one question: made by scan (per file), gate and repair."""

    question: Literal["artifact-is-clean", "meets-the-bar", "repair-holds"]
    answer: Literal["yes", "no", "cannot-tell"]
    """`cannot-tell` is never shown as a pass: for a file it reads `incomplete`."""
    target: Target
    reasons: tuple[str, ...] = ()
    """One sentence each, the decisive ones first."""
    measures: dict[str, float | int | str | None] = {}
    """For a file: format, bytes, bytes_scanned, bytes_data, bytes_refused."""
    rests_on: tuple[str, ...] = ()
    """Fingerprints of findings and ids of trials."""
