"""A session: what one caller, or several that work together, asked of one model, in figures.

With the whole of it at hand, unlike a rule near line: the near-duplicates are put into streams
(the steps around one input), and each stream is asked whether its steps go back to the best so far
(an optimiser), turn back whenever the label turns (a border search), or do neither (an
explanation, a film, noise).
"""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from casemate.case.triage.questions import LINKED

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from casemate.case.triage.questions import Row

ALONE = 0.8
"""Share of inputs nearest to one's own from which on a caller works on something of its own."""
HUB = 6
FEW = 4
"""Steps from which on a stream is more than chance."""
HALF = (0.38, 0.68)
"""A step is half as long as the one before when their ratio is in here."""


class Stream:
    """Steps around one input."""

    def __init__(self, base: Row | None, base_id: str) -> None:
        self.base, self.base_id = base, base_id
        self.steps: list[tuple[str, Row]] = []

    @property
    def rows(self) -> list[Row]:
        """Return its inputs, the first one included where it is known."""
        return [*([self.base] if self.base is not None else []), *(row for _, row in self.steps)]

    @property
    def labels(self) -> set[int]:
        """Return the labels that were answered."""
        return {row["label"] for row in self.rows if row["label"] is not None}


class Search(NamedTuple):
    """How the steps of all streams were chosen."""

    jumps: int
    """Steps that did not go on from the one before, once something better than the first input
    had been found: where a searcher shows what it goes back to."""
    downs: int
    """Jumps to the input whose first label was weakest so far."""
    climbs: int
    ups: int
    """The same for the strongest."""
    borders: int
    """Steps that did not go on from the one before, once two labels had been seen."""
    turns: int
    """Those that went to the last input of the other label."""
    pairs: int
    halvings: int
    run: int
    """Longest run of halvings."""
    falls: int
    """Times the first label became weaker than ever before in its stream."""
    rises: int


class Trend(NamedTuple):
    """Where the labels of long streams went, from their first quarter to their last."""

    streams: int
    sunk: int
    """Streams in which the first label lost most of its margin."""
    risen: int
    """Streams in which the last label gained it."""
    turned: int
    """Streams in which another label than the first was reached."""
    high: float
    """Mean margin of the last label in the last quarters; 0 where no margins are known."""


class Session(NamedTuple):
    """What was asked."""

    principals: tuple[str, ...]
    model: str
    rows: list[Row]
    steps: int
    repeats: int
    streams: list[Stream]
    search: Search
    deeper: int
    """Steps from an input that was itself a step."""
    flips: int
    broken: int
    spread: float
    """Standard deviation of the steps' lengths over their mean."""

    own: float
    """Share of inputs whose nearest earlier one is their own."""
    hubs: int
    """Own inputs that are the nearest to `HUB` others and more."""
    around: float
    """Share of inputs that are nearest to one of them."""
    length: float
    """Median distance to the nearest earlier input, in the guard's units; 1.4 is what unlike inputs
    have, 0 where it is not known."""
    trend: Trend

    @property
    def fresh(self) -> int:
        """Inputs that were neither repeats nor steps."""
        return len(self.rows) - self.repeats - self.steps

    @property
    def share(self) -> float:
        """Steps among different inputs, 0 to 1."""
        return self.steps / max(1, len(self.rows) - self.repeats)

    @property
    def long(self) -> list[Stream]:
        """Streams of more than a few steps."""
        return [one for one in self.streams if len(one.steps) >= FEW]

    @property
    def typical(self) -> float:
        """Steps of the stream that a step is in, on average."""
        return sum(len(one.steps) ** 2 for one in self.streams) / max(1, self.steps)


def read(
    principals: Sequence[str], model: str, rows: Sequence[Row], apart: tuple[float, float]
) -> Session:
    """Return the session of principals on a model.

    Args:
        principals: Who.
        model: Name of the model.
        rows: Their events in order of time.
        apart: Distance below which an input whose nearest earlier one is their own is a step,
            although the guard did not link the two; and the same for those who hardly ever send
            what is nearest to somebody else's.
    """
    streams: dict[str, Stream] = {}
    by_cluster: dict[tuple[str, int], Stream] = {}
    by_id = {identity(row): row for row in rows}
    children = Counter(row["near_to"] for row in rows if row["near_to"] in by_id)
    own = sum(children.values()) / max(1, len(rows))
    bar = apart[1] if own >= ALONE and len(rows) >= 4 * FEW else apart[0]
    hubs = {ident: n for ident, n in children.items() if n >= HUB}
    away = sorted(row["delta"] for row in rows if row["delta"])
    repeats = steps = deeper = flips = broken = 0
    lengths: list[float] = []
    for row in rows:
        broken += row["broken"] > 0
        if row["delta"] == 0 or (row["near"] == 1 and row["delta"] is None):
            repeats += 1
            continue
        mine = row["near_to"] in by_id
        if not (is_linked(row) or (mine and row["delta"] is not None and row["delta"] < bar)):
            continue
        steps += 1
        flips += bool(row["flipped"])
        if row["delta"]:
            lengths.append(row["delta"])
        parent = row["near_to"] or ""
        key = (row["writer"], row["cluster"])
        deeper += parent in streams and streams[parent].base_id != parent
        stream = streams.get(parent) or (by_cluster.get(key) if row["cluster"] else None)
        if stream is None:
            stream = Stream(by_id.get(parent), parent)
            streams[parent] = stream
        by_cluster.setdefault(key, stream)
        ident = identity(row)
        stream.steps.append((ident, row))
        streams[ident] = stream
    found = list({id(one): one for one in streams.values()}.values())
    mean = sum(lengths) / len(lengths) if lengths else 0.0
    variance = sum((one - mean) ** 2 for one in lengths) / len(lengths) if lengths else 0.0
    return Session(
        tuple(principals), model, list(rows), steps, repeats, found, _search(found), deeper, flips,
        broken, math.sqrt(variance) / mean if mean else 0.0, own, len(hubs),
        sum(hubs.values()) / max(1, len(rows)), away[len(away) // 2] if away else 0.0,
        _trend(found),
    )  # fmt: skip


def _trend(streams: Iterable[Stream]) -> Trend:
    long = sunk = risen = turned = 0
    ends: list[float] = []
    for stream in streams:
        rows = [row for row in stream.rows if row["label"] is not None]
        if len(rows) < 2 * FEW:
            continue
        long += 1
        first, last = rows[0]["label"], rows[-1]["label"]
        turned += len(stream.labels) > 1
        quarter = len(rows) // 4
        down = [v for v in (_signed(row, first) for row in rows) if v is not None]
        up = [v for v in (_signed(row, last) for row in rows) if v is not None]
        if len(down) < len(rows):
            continue
        begin, end = _mean(down[:quarter]), _mean(down[-quarter:])
        sunk += begin > 0 and end < begin / 2 and down[0] > 0
        begin, end = _mean(up[:quarter]), _mean(up[-quarter:])
        risen += end - begin > max(0.1, abs(begin) / 4)
        ends.append(end)
    return Trend(long, sunk, risen, turned, _mean(ends))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def identity(row: Mapping[str, Any]) -> str:
    """Return the id of an event."""
    return f"{row['writer']}:{row['sequence']}"


def is_linked(row: Row) -> bool:
    """Say whether the guard took an input for nearly, not exactly, an earlier one."""
    near, delta = row["near"], row["delta"]
    return near is not None and near >= LINKED and (delta is None or delta > 0)


def _search(streams: Iterable[Stream]) -> Search:
    total = [0] * len(Search._fields)
    longest = 0
    for stream in streams:
        part = _stream(stream)
        total = [a + b for a, b in zip(total, part, strict=True)]
        longest = max(longest, part.run)
    return Search(*total)._replace(run=longest)


def _stream(stream: Stream) -> Search:
    """Count what the steps of a stream go back to."""
    rows = stream.rows
    first = rows[0]["label"]
    ids = [*([stream.base_id] if stream.base is not None else []), *(i for i, _ in stream.steps)]
    best = worst = previous = ids[0]
    margin = _signed(rows[0], first)
    low = high = margin
    jumps = downs = climbs = ups = borders = turns = pairs = halvings = run = longest = 0
    falls = rises = 0
    last: dict[int, str] = {} if first is None else {first: ids[0]}
    before = first
    length: float | None = None
    pivot = best
    for ident, row in list(zip(ids, rows, strict=True))[1:]:
        parent, label, signed = row["near_to"], row["label"], _signed(row, first)
        if parent != previous:
            if low is not None and best != ids[0] and previous != best:
                jumps += 1
                downs += parent in (best, pivot) and parent != ids[0]
            if high is not None and worst != ids[0] and previous != worst:
                climbs += 1
                ups += parent == worst
            if len(last) > 1 and before is not None:
                borders += 1
                turns += any(parent == there for kind, there in last.items() if kind != before)
        elif parent == best:
            pivot = best
        if parent == best:
            pivot = best
        if signed is not None:
            if low is None or signed < low:
                falls += low is not None
                best, low = ident, signed
            if high is None or signed > high:
                rises += high is not None
                worst, high = ident, signed
        if label is not None:
            last[label] = ident
            before = label
        if row["delta"]:
            if length is not None:
                pairs += 1
                if HALF[0] <= row["delta"] / length <= HALF[1]:
                    halvings += 1
                    run += 1
                    longest = max(longest, run)
                else:
                    run = 0
            length = row["delta"]
        previous = ident
    return Search(jumps, downs, climbs, ups, borders, turns, pairs, halvings, longest, falls, rises)


def _signed(row: Row, label: int | None) -> float | None:
    margin = row["margin"]
    if margin is None or label is None:
        return None
    return float(margin if row["label"] == label else -margin)
