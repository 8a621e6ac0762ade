"""What a session is: each type of incident weighed by what it needs and others do not show.

Weights are natural logarithms of how much likelier a session is under the type than under ordinary
use. What is counted (jumps back, turned labels) is weighed as a likelihood ratio; what a type is
known by otherwise adds a fixed weight. All of it was chosen on other models and seeds than the
figures in the documentation were measured on (bench/incidents.py).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from casemate.case.triage.population import kinds

if TYPE_CHECKING:
    from collections.abc import Callable

    from casemate.case.triage.population import Usual
    from casemate.case.triage.sessions import Session

EVASION = "adversarial-perturbation"
STEALING = "model-stealing"
MEMBERSHIP = "membership-inference"
INVERSION = "model-inversion"
REPROGRAMMING = "neural-net-reprogramming"
CLIENT = "benign"
ATTACKS = frozenset({EVASION, STEALING, MEMBERSHIP, INVERSION, REPROGRAMMING})
STRONG, FIRM = 4.0, 6.0
"""Weight from which on a session is named, and named firmly."""

MOST = 10.0
"""Beyond this a weight says no more: that the description itself is wrong is likelier."""
DOWN, UP = (0.15, 0.5), (0.12, 0.6)
"""Share of jumps that go back to the weakest, or the strongest, input so far: in other use, in a
search. A gradient estimated by pairs of probes (NES) goes back less often than a greedy one."""
SMALL = 0.75
"""Half the steps are nearer than this part of what the nearest quarter of usual inputs are: labels
that turn on so little turn on a border, where parts switched off turn them anywhere."""
OFTEN, FEW_EACH = 0.28, 3
"""... and on so many of them; and inputs of each of many, who then have one input in common."""
TURNED = (0.08, 0.35)
"""Share of steps on which the label turns: of an explanation or a film, on a border."""
BACK = (0.12, 0.4)
"""Share of steps off the way that go back to the last input of the other label, likewise."""
JUMPS, FALLS, HALVED = 8, 3, 4
"""Jumps, and times the label became weaker, that are more than chance; steps in a row, each half as
long as the last, that explanations hardly ever have."""
WHOLE = 0.3
"""Share of its steps in the stream that a step is typically in: one search, not many inputs."""
WORKED, LONG = 12, 30
"""Steps of the stream that a step is typically in: of an input that is worked on, and of one that
makes a search whatever the share."""
CLOUD, CLOUDS, AROUND = 10, 8, 0.7
"""Inputs around each of so many centres, and the share of all that they are: noise around records.
Explanations have fewer centres, people who try values in a form fewer inputs around each."""
APIECE = 0.3
"""Streams for each centre: the centres of a film are all of one stream."""
DOUBT = 1.5
"""Weight of what cannot be told from harmless use, and should still be thought of."""
CLIENT_WEIGHT = 3.0
"""Of a client that keeps asking for nearly the same, whatever for."""
APART = 0.85
"""Median distance to the nearest earlier input of inputs made up at random."""
SHARE = 0.3
"""Near-duplicates among the inputs of a client that is worth a question for them."""
ALL, FAR = 0.9, 0.5
"""Share of inputs whose size no usual input has: practically all, and most."""
SHIFT = 0.5
"""Stability index from which on inputs are unlike everybody's; 0.25 is called large."""
BUSY, VOLUME = 8.0, 500
"""Times what the busiest twentieth of principals ask for, and inputs, from which on a volume by
itself is worth a question."""
ALONE = 2.55
"""Most that a volume weighs: a batch job looks the same, so it never makes an attack by itself."""
EVEN = 0.42
"""Most that the lengths of steps vary where they are made by one step size."""


class Weighed(NamedTuple):
    """One session and what speaks for each type."""

    session: Session
    weights: dict[str, float]
    because: dict[str, str]
    labels: float
    """How many equally frequent labels the usual answers are as mixed as."""

    @property
    def weight(self) -> float:
        """Return how much speaks for the type that most speaks for."""
        return max(self.weights.values(), default=0.0)

    @property
    def strong(self) -> bool:
        """Say whether it is more than ordinary use."""
        return self.weight >= (STRONG if self.best in ATTACKS else 3.0)

    @property
    def best(self) -> str:
        """Return the type that most speaks for."""
        return max(self.weights, key=lambda one: self.weights[one], default=CLIENT)


def weigh(session: Session, usual: Usual, busy: int) -> Weighed:
    """Weigh a session.

    Args:
        session: What was asked.
        usual: What is usual on the model.
        busy: Inputs that the busiest twentieth of principals ask for.
    """
    weights: dict[str, float] = {}
    because: dict[str, str] = {}

    def say(kind: str, weight: float, why: str) -> None:
        if weight > weights.get(kind, 0.0):
            weights[kind], because[kind] = min(MOST, weight), why

    search, n = session.search, len(session.rows)
    long = [one for one in session.streams if len(one.steps) >= 4]
    far = sum(not usual.sized(row) for row in session.rows) / max(1, n)
    # An optimiser with an honest aim may drive its inputs far off, but it does not begin there.
    made_up = far >= ALL or not usual.met(session.rows[0])
    one_search = session.typical >= min(LONG, WHOLE * session.steps) and session.steps >= 12
    turned = session.flips / max(1, session.steps)
    down = up = 0.0
    # In streams of a few steps each the best so far is soon the only other one.
    if search.jumps >= JUMPS and search.falls >= FALLS and session.typical >= WORKED:
        down = _ratio(search.downs, search.jumps, DOWN)
    if search.climbs >= JUMPS and search.rises >= FALLS:
        up = _ratio(search.ups, search.climbs, UP)
    back = _ratio(search.turns, search.borders, BACK)
    crowd = n < FEW_EACH * len(session.principals)
    small = 0 < session.length < SMALL * usual.apart[0] and turned >= OFTEN and not crowd
    felt = search.run >= HALVED or back > 0 or small
    moved = session.trend.sunk + session.trend.risen
    alone = session.own >= 0.8
    unlike = usual.unlike([row for row in session.rows if row["delta"] != 0])
    odd = max((unlike.get(name, 0.0) for name in ("norm", "margin", "label")), default=0.0)

    # Evasion: an optimiser that makes the label weaker, or a search along the border.
    if not made_up and down > 0:
        say(
            EVASION, 2 + down,
            f"{search.downs} of {search.jumps} tries went back to the input whose label was "
            f"weakest so far, which became weaker {search.falls} times",
        )  # fmt: skip
    border = _ratio(session.flips, session.steps, TURNED) if one_search else 0.0
    if border > 0:
        halved = f", after {search.run} steps each half as long as the last"
        halved *= search.run >= HALVED
        say(
            EVASION, border if felt else min(CLIENT_WEIGHT - 1, border),
            f"the label turned on {turned:.0%} of {session.steps} near-duplicates: they feel along "
            f"the border between two labels{halved}",
        )  # fmt: skip

    if one_search and alone and session.typical >= LONG and not crowd:
        say(EVASION, DOUBT, f"{session.steps} near-duplicates of one input may be a search")
    both = any(len(one.labels) > 1 for one in session.streams)
    if search.run > HALVED and both:
        say(
            EVASION, 2 + 1.5 * (search.run - HALVED),
            f"{search.run} steps in a row, each half as long as the one before, with two labels "
            "among them: a search for the point where the label turns",
        )  # fmt: skip

    # Inversion: climbs from nothing in particular to what the model is sure of.
    if made_up and alone and session.share >= SHARE and (moved or down > 0 or up > 0):
        say(
            INVERSION, 4 + max(0.0, min(4.0, max(down, up))) + (turned < 0.1),
            f"it began with inputs unlike any usual one and changed them {session.steps} times "
            "towards what the model is sure of",
        )  # fmt: skip

    elif up > 0 and alone:
        say(INVERSION, DOUBT, "it climbs to what the model is sure of, from usual inputs")

    # Membership: many centres, a cloud of noise around each.
    many = session.hubs >= CLOUDS and len(long) >= APIECE * session.hubs
    if many and session.around >= AROUND and turned <= 0.2 and not made_up:
        each = session.around * n / session.hubs
        say(
            MEMBERSHIP, 1 + 5 * (each >= CLOUD) - max(0.0, down),
            f"about {each:.0f} slightly changed copies of each of {session.hubs} inputs, on "
            f"{turned:.0%} of which the label turned",
        )  # fmt: skip

    elif (
        len(long) >= CLOUDS and CLOUD <= session.typical <= 6 * CLOUD and turned <= 0.2
        and not made_up
    ):  # fmt: skip
        say(
            MEMBERSHIP, DOUBT,
            f"{session.steps} slightly changed copies of {len(long)} inputs may ask how firmly the "
            "model holds each",
        )  # fmt: skip

    # Reprogramming: everything sent is one foreign thing with a small part that differs.
    if made_up and alone and session.length < APART and session.steps >= 0.5 * n and n >= 40:
        say(
            REPROGRAMMING, 5 - 2 * (moved > 0) - 3 * (border > 0) - max(0.0, down, up),
            f"{n} inputs that began unlike any usual one are alike among themselves and lead "
            "nowhere: another task in the place of the model's own",
        )  # fmt: skip

    _stealing(session, say, usual, far, odd, busy)

    # Everybody else who asks for nearly the same again and again.
    if (session.steps >= 8 and session.share >= SHARE) or (alone and n >= 20):
        declared = any(row["purpose"] for row in session.rows)
        climbs = not made_up and up > 0
        how = (
            f"{search.ups} of {search.climbs} tries went back to the input the model was surest of"
            if climbs
            else f"{session.steps} near-duplicates that follow no answer"
        )
        say(
            CLIENT, CLIENT_WEIGHT + 4 * declared + 3 * climbs - 2 * (down > 0 and not climbs),
            f"{how}: an explanation, a film or a test looks like this"
            + (", and the client is declared" if declared else ""),
        )  # fmt: skip
    return Weighed(session, weights, because, usual.kinds)


def _stealing(
    session: Session,
    say: Callable[[str, float, str], None],
    usual: Usual,
    far: float,
    odd: float,
    busy: int,
) -> None:
    n, fresh = len(session.rows), session.fresh
    seen: dict[int, int] = {}
    for row in session.rows:
        if row["label"] is not None:
            seen[row["label"]] = seen.get(row["label"], 0) + 1
    covers = kinds(seen) >= max(1.5, 0.5 * usual.kinds)
    times = n / max(1, busy)
    if (far >= FAR or odd >= 4 * SHIFT) and session.length >= APART and n >= 12:
        say(
            STEALING, 6.0,
            f"{n} inputs unlike any usual one and unlike each other: made up to solve for the "
            "model's parameters",
        )  # fmt: skip
    rounds = session.steps >= 20 and len(session.streams) >= 12 and session.typical <= 40
    rounds = rounds and session.around < 0.3 and n >= 50
    if rounds and session.steps >= 0.15 * n and covers:
        near = not usual.length or session.length < usual.length
        even = session.spread <= EVEN and near
        say(
            STEALING, (4.5 if even else DOUBT) + min(1.0, max(0.0, math.log(times))),
            f"{session.steps} neighbours of {len(session.streams)} inputs over {len(seen)} labels"
            + (", all by steps of one size" if even else "")
            + ": inputs made to learn how the model answers between those asked before",
        )  # fmt: skip
    if times >= BUSY and fresh + session.steps >= VOLUME and covers and odd < SHIFT:
        say(
            STEALING, min(ALONE, 2.2 + math.log(times / BUSY)),
            f"{n} different inputs, {times:.0f} times what the busiest callers ask for, over "
            f"{len(seen)} labels: enough to copy the model by, if it is no batch job",
        )  # fmt: skip
    gathered = fresh >= 50 and session.steps + session.repeats < 0.5 * n
    if odd >= SHIFT and covers and gathered and times >= 1:
        say(
            STEALING, ALONE if session.own >= 0.8 else 3.0 + min(2.0, math.log(times)),
            f"{fresh} inputs that are unlike everybody's (stability index {odd:.1f}; 0.25 is "
            f"called large) over {len(seen)} labels: gathered elsewhere, as for a copy",
        )  # fmt: skip


def _ratio(yes: int, of: int, bet: tuple[float, float]) -> float:
    """Return the log likelihood ratio of so many hits, in nats."""
    usual, search = bet
    return yes * math.log(search / usual) + (of - yes) * math.log((1 - search) / (1 - usual))
