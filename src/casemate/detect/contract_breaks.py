"""A principal that sends what no honest client of the model can have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from casemate.detect.rule import Limits, Rule, Sighting
from casemate.detect.words import powers, shown

if TYPE_CHECKING:
    from casemate.detect.accounts import Account
    from casemate.detect.models import Model
    from casemate.records.event import Event


def contract_breaks(limits: Limits, *, fewest: int) -> Rule:
    """See inputs that break the learned contract oftener than those of the others.

    Args:
        limits: The budget.
        fewest: Broken inputs before anything is said.
    """

    def each(event: Event, account: Account, model: Model) -> Sighting | None:
        if not event.measures.broken or account.spoilt < fewest:
            return None
        bar = limits.bar(model)
        if account.broken < bar:
            return None
        why = event.measures.broken_by
        return Sighting(
            subject=account.principal,
            message=(
                f"{account.spoilt} of {account.asked} inputs of {shown(account.principal)} break "
                f"the input contract{f', the last one: {why}' if why else ''}. Equations are "
                "solved with such inputs, and limits are felt for; or a client is broken."
            ),
            principals=(account.principal,),
            began=account.began,
            queries=account.asked,
            events=(*account.ids(), f"{event.writer}:{event.sequence}"),
            score=powers(account.broken),
            bar=powers(bar),
        )

    return Rule(input=each)
