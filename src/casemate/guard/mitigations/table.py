"""Every mitigation by the name its orders use, and which of several counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from casemate.guard.mitigations.block import Block
from casemate.guard.mitigations.cluster_answer import ClusterAnswer
from casemate.guard.mitigations.coarsen import Coarsen
from casemate.guard.mitigations.contract import Contract
from casemate.guard.mitigations.decoy import Decoy
from casemate.guard.mitigations.delay import Delay
from casemate.guard.mitigations.information import Information
from casemate.guard.mitigations.rate import Rate
from casemate.guard.mitigations.review import Review
from casemate.guard.mitigations.route import Route
from casemate.guard.mitigations.step_up import StepUp

if TYPE_CHECKING:
    from collections.abc import Mapping

    from casemate.guard.keys import Keys
    from casemate.guard.mitigations.step import Mitigation
    from casemate.records.event import Decision

STRENGTH: Mapping[Decision, int] = {
    "pass": 0,
    "review": 1,
    "delay": 2,
    "coarsen": 3,
    "cluster-answer": 4,
    "route": 5,
    "decoy": 6,
    "step-up": 7,
    "refuse": 8,
}
"""Which decision is recorded when several are taken."""

NOT_THE_MODELS_OWN = frozenset({"cluster-answer", "decoy"})
"""Actions that need a named approver, in the order and on the route."""


def mitigations(keys: Keys) -> Mapping[str, Mitigation]:
    """Return a fresh one of each."""
    return {
        "rate": Rate(),
        "information": Information(),
        "coarsen": Coarsen(),
        "contract": Contract(),
        "delay": Delay(),
        "review": Review(),
        "step-up": StepUp(keys),
        "block": Block(),
        "route": Route(),
        "cluster-answer": ClusterAnswer(),
        "decoy": Decoy(),
    }
