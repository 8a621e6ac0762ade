"""How bad a thing is, and how sure we are: two separate axes.

The severities are those of the published bug bar for machine learning (Kumar et al. 2020, after
Microsoft's "AI/ML Pivots to the Security Development Lifecycle Bug Bar").
"""

from __future__ import annotations

from enum import StrEnum


class Severity(StrEnum):
    """What it would mean if it were exploited, worst first."""

    CRITICAL = "critical"
    IMPORTANT = "important"
    MODERATE = "moderate"
    LOW = "low"

    @property
    def rank(self) -> int:
        """0 for the worst; a smaller rank is at or above a larger one."""
        return list(Severity).index(self)

    def at_least(self, bar: Severity) -> bool:
        """Say whether this is as severe as `bar`, or worse."""
        return self.rank <= bar.rank


class Confidence(StrEnum):
    """How sure the observer is that the thing is so, surest first."""

    CERTAIN = "certain"
    FIRM = "firm"
    TENTATIVE = "tentative"
