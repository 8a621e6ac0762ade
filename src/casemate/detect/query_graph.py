"""A principal that keeps asking for nearly the same input: a search, an explanation or a film."""

from __future__ import annotations

from casemate.detect.rule import Limits, Rule, Seen, Sighting
from casemate.detect.words import powers, shown


def query_graph(limits: Limits, *, fewest: int) -> Rule:
    """See runs of near-duplicates that are rare among a model's principals.

    Args:
        limits: The budget.
        fewest: Near-duplicates before anything is said.
    """

    def step(seen: Seen) -> Sighting | None:
        account, model = seen.account, seen.model
        if account.near < _CHEAP or account.since < fewest or seen.event.purpose is not None:
            return None
        bar = limits.bar(model)
        if account.near < bar:
            return None
        parts = len(account.streams)
        return Sighting(
            subject=account.principal,
            message=(
                f"{shown(account.principal)} sent {account.since} inputs that are nearly, not "
                f"exactly, ones asked before, around {parts} base input{'s' * (parts != 1)}; "
                f"the label turned on {account.flips} of them. A search, an explanation of the "
                "model or a film looks like this; nothing yet says that it is an attack."
            ),
            principals=(account.principal,),
            began=account.onset,
            queries=account.since,
            events=account.evidence(),
            score=powers(account.near),
            bar=powers(bar),
            clusters=tuple(account.streams)[-8:],
        )

    return Rule(step=step)


_CHEAP = 5.0
