"""From measured facts to the metrics of CVSS, with a sentence for every choice.

A metric that no fact decides takes the value that makes the score worst, and says so: silence is
not safety. The same facts always give the same metrics.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from casemate.vuln.limits import choices, impact

if TYPE_CHECKING:
    from casemate.records.vulnerability import Facts

_AV = {
    "network": ("N", "the attacker only needs to reach the interface"),
    "adjacent": ("A", "the attacker must be on the same network"),
    "local": ("L", "the attacker needs access to the machine"),
    "physical": ("P", "the attacker must be where the sensor or the machine is"),
    "supply-chain": ("L", "what the attacker made must be loaded on the machine"),
}
_MATURITY = {
    "active": ("A", "it has been exploited"),
    "proof-of-concept": ("P", "it was shown to work"),
    "no": ("U", "nobody is known to have tried it"),
}


class Say(Protocol):
    """Takes a sentence and the metrics it decides."""

    def __call__(self, sentence: str, **found: str) -> None:
        """Write them down."""


class Metrics(NamedTuple):
    """Values by metric of CVSS 4.0, and why."""

    values: dict[str, str]
    because: tuple[str, ...]


def metrics(threat: str, facts: Facts) -> Metrics:
    """Return the metrics of CVSS 4.0 that follow from facts about an attack of this type.

    Raises:
        UsageError: No impact is known for the type.
    """
    why: list[str] = []
    values: dict[str, str] = {}

    def say(sentence: str, **found: str) -> None:
        letters = "/".join(f"{name}:{value}" for name, value in found.items())
        why.append(f"{letters}: {sentence}")
        values.update(found)

    if facts.access is None:
        say("where the attacker stands is not known; the worst is assumed", AV="N")
    else:
        letter, sentence = _AV[facts.access]
        say(sentence, AV=letter)
    if facts.mitigated:
        say("a deployed mitigation was measured to hold and has to be evaded first", AC="H")
    elif facts.mitigated is None:
        say("no deployed mitigation was measured; none is assumed to hold", AC="L")
    else:
        say("a deployed mitigation was measured, and does not hold", AC="L")
    say(_conditions(facts)[1], AT=_conditions(facts)[0])
    if facts.authenticated is None:
        say("whether an account is needed is not known; none is assumed to be", PR="N")
    elif facts.authenticated:
        say("an ordinary account is needed", PR="L")
    else:
        say("no account is needed", PR="N")
    if facts.interaction:
        say("somebody has to load or use what the attacker made", UI="A")
    elif facts.interaction is None:
        say("whether somebody else must act is not known; nobody is assumed to have to", UI="N")
    else:
        say("nobody else has to act", UI="N")
    _impact(threat, facts, say)
    letter, sentence = _MATURITY[facts.exploited]
    say(sentence, E=letter)
    for name, assets in choices().requirement.items():
        touched = [one for one in facts.assets if one in assets]
        if touched:
            say(f"at stake: {', '.join(touched)}", **{f"{name}R": "H"})
    return Metrics(values, tuple(why))


def of_v3(values: dict[str, str]) -> dict[str, str]:
    """Return metrics of CVSS 4.0 in the words of 3.1, as near as it has them.

    Requirements of an attack (AT) become its complexity, harm beyond the system a changed scope.
    """
    beyond = any(values.get(one, "N") != "N" for one in ("SC", "SI", "SA"))
    found = {
        "AV": values["AV"],
        "AC": "H" if values["AC"] == "H" or values["AT"] == "P" else "L",
        "PR": values["PR"],
        "UI": "N" if values["UI"] == "N" else "R",
        "S": "C" if beyond else "U",
        "C": values["VC"],
        "I": values["VI"],
        "A": values["VA"],
        "E": {"A": "H", "P": "P", "U": "U"}[values["E"]],
    }
    return found | {one: values[one] for one in ("CR", "IR", "AR") if one in values}


def _conditions(facts: Facts) -> tuple[str, str]:
    limits = choices().limits
    if facts.success is not None and facts.success < limits.unreliable:
        return "P", f"{facts.success:.0%} of the attempts succeed: it depends on the input"
    if facts.knowledge == "gradients":
        return "P", "the attacker needs the weights of the model, or a copy of it"
    if facts.knowledge == "training-data":
        return "P", "the attacker needs a hand in the training data"
    if facts.queries is not None and facts.queries > limits.impractical:
        return "P", f"one success takes {facts.queries:,.0f} queries"
    if facts.success is None:
        return "N", "how often it succeeds was not measured; it is assumed to depend on nothing"
    return "N", f"{facts.success:.0%} of the attempts succeed"


def _impact(threat: str, facts: Facts, say: Say) -> None:
    row = impact(threat)
    raised = [one for one in facts.assets if one in row.raised_by]
    if row.strong == row.weak:
        lost, why = row.strong, f"what {threat} costs"
    elif raised:
        lost, why = row.strong, f"what {threat} costs, at stake: {', '.join(raised)}"
    elif facts.targeted:
        lost, why = row.strong, f"what {threat} costs where the attacker chooses the outcome"
    elif facts.success is None:
        lost, why = row.strong, f"what {threat} may cost; how often it succeeds was not measured"
    elif facts.success >= choices().limits.strong:
        lost, why = row.strong, f"what {threat} costs at {facts.success:.0%} success"
    else:
        lost, why = row.weak, f"what {threat} costs at {facts.success:.0%} success, no asset named"
    say(why, VC=lost.C, VI=lost.I, VA=lost.A)
    if "safety" in facts.hurt:
        say("people may come to harm", SC="N", SI="H", SA="N", MSI="S")
    elif "third-parties" in facts.hurt:
        say("others than the owner and the users are hurt", SC="N", SI="L", SA="N")
    else:
        say("nobody beyond owner and users is known to be hurt", SC="N", SI="N", SA="N")
