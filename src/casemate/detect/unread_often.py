"""A principal whose inputs the model answers and the guard cannot read: a way round every judge.

Who writes requests that only the model server understands, or that make a judge fail, is on record
as `bypassed` and in no measure. Held against what is usual for the others on the route just then,
so that a guard that reads nothing, or a route it does not know, is nobody's doing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from casemate.detect import odds
from casemate.detect.rule import Limits, Rule, Sighting
from casemate.detect.words import powers, shown

if TYPE_CHECKING:
    from casemate.detect.accounts import Account
    from casemate.detect.models import Model
    from casemate.records.event import Event

NO_PATH = "no known inference path"
ROUTES, CALLERS, OTHERS, PEERS = 1000, 10_000, 64, 2
"""Routes, and callers of one, held; the latest others it is compared with, and the fewest."""
LATEST = 16
"""Inputs of each of them that stand for the present."""
OUTAGE = 0.2
"""Share of the others' inputs from which on it is the guard that cannot read."""
FIRST, LAST = 24, 40


class _Caller:
    __slots__ = ("asked", "began", "evidence", "first", "last", "latest", "unread")

    def __init__(self) -> None:
        self.asked = self.unread = self.began = 0
        self.evidence = 0.0
        self.latest = 0
        """One bit an input, the last one lowest: 1 for unread."""
        self.first: list[str] = []
        self.last: list[str] = []

    def count(self, unread: bool) -> None:
        self.asked += 1
        self.latest = (self.latest << 1 | unread) & ((1 << LATEST) - 1)

    @property
    def share(self) -> float:
        return self.latest.bit_count() / min(LATEST, self.asked)


class _Route:
    __slots__ = ("_callers", "began", "looks")

    def __init__(self, at: int) -> None:
        self.began, self.looks = at, 0
        self._callers: dict[str, _Caller] = {}

    def caller(self, principal: str) -> _Caller:
        """Return a caller, who is from now on the latest."""
        found = self._callers.pop(principal, None)
        if found is None:
            found = _Caller()
            if len(self._callers) >= CALLERS:
                del self._callers[next(iter(self._callers))]
        self._callers[principal] = found
        return found

    def usual(self, caller: _Caller) -> float | None:
        """Return the mean share unread of the latest others, the highest quarter left out."""
        shares = []
        for other in reversed(self._callers.values()):
            if other is not caller:
                shares.append(other.share)
                if len(shares) == OTHERS:
                    break
        if len(shares) < PEERS:
            return None
        lower = sorted(shares)[: max(1, 3 * len(shares) // 4)]
        return sum(lower) / len(lower)


def unread_often(limits: Limits, *, fewest: int) -> Rule:
    """See a principal that is answered what the guard cannot read, oftener than the others are.

    Args:
        limits: The budget.
        fewest: Inputs answered unread before anything is said.
    """
    routes: dict[tuple[str, str | None], _Route] = {}

    def route_of(event: Event) -> _Route:
        found = routes.get((event.route, event.marked))
        if found is None:
            if len(routes) >= ROUTES:
                del routes[next(iter(routes))]
            found = routes[event.route, event.marked] = _Route(event.at)
        found.looks += 1
        return found

    def read(event: Event, account: Account, model: Model) -> Sighting | None:
        del account, model
        caller = route_of(event).caller(event.principal)
        caller.count(False)
        if caller.evidence > 0:
            caller.evidence = max(0.0, caller.evidence + odds.bet(0.02, 0.6).no)
        return None

    def unread(event: Event) -> Sighting | None:
        if event.kind != "bypassed" or not 200 <= event.status < 300 or not event.principal:
            return None
        if event.note == NO_PATH:
            return None
        route = route_of(event)
        caller = route.caller(event.principal)
        caller.count(True)
        caller.unread += 1
        caller.began = caller.began or event.at
        ident = f"{event.writer}:{event.sequence}"
        if len(caller.first) < FIRST:
            caller.first.append(ident)
        else:
            caller.last = [*caller.last[-LAST + 1 :], ident]
        usual = route.usual(caller)
        if usual is None or usual > OUTAGE:
            return None
        share = max(0.02, min(0.6, 3 * usual))
        caller.evidence += odds.bet(share, max(0.6, share + 0.3)).yes
        tests, budget = limits.paging, limits.budget
        span = max(0, event.at - route.began)
        bar = odds.bar(route.looks, span, budget.pages, tests, budget.floor)
        if caller.unread < fewest or caller.evidence < bar:
            return None
        why = f" ({event.note})" if event.note else ""
        return Sighting(
            subject=f"{event.route} {event.principal}",
            message=(
                f"{caller.unread} of {caller.asked} requests of {shown(event.principal)} were "
                f"answered although the guard could not look at them{why}; of the others' "
                f"requests {usual:.0%}. What is in them is unknown, and no other rule sees it."
            ),
            principals=(event.principal,),
            began=caller.began,
            queries=caller.unread,
            events=(*caller.first, *caller.last),
            score=powers(caller.evidence),
            bar=powers(bar),
        )

    return Rule(input=read, other=unread)
