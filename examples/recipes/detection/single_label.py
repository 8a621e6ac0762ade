"""A principal whose different inputs all get one label: it may have found a hole in the model."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from casemate.detect.rule import Limits, Rule, Sighting
from casemate.detect.words import powers, shown

if TYPE_CHECKING:
    from casemate.detect.accounts import Account
    from casemate.detect.models import Model
    from casemate.records.event import Event


def single_label(limits: Limits, *, fewest: int) -> Rule:
    """See a principal that gets a label which others rarely get, and no other.

    Args:
        limits: The budget of false pages; `limits.bar(model)` is the evidence a test needs.
        fewest: Different inputs before anything is said.
    """

    def each(_event: Event, account: Account, model: Model) -> Sighting | None:
        if account.fresh < fewest or len(account.labels) != 1:
            return None
        (label,) = account.labels
        usual = model.baseline.labels.get(label, 0) + 1
        evidence = account.labels[label] * math.log((model.baseline.seen + 1) / usual)
        bar = limits.bar(model)
        if evidence < bar:
            return None
        return Sighting(
            subject=account.principal,
            message=f"All {account.fresh} inputs of {shown(account.principal)} got label {label}, "
            f"which {usual / (model.baseline.seen + 1):.0%} of usual inputs get.",
            principals=(account.principal,),
            began=account.began,
            queries=account.asked,
            events=account.ids(),
            score=powers(evidence),
            bar=powers(bar),
        )

    return Rule(input=each)
