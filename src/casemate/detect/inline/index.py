"""The bounded index: earlier inputs by their marks, verified by their sketches, in constant memory.

Marks lead to candidates through a set-associative table (a bucket keeps its newest sixteen), the
candidates' sketches say how far they are, and linked inputs form clusters. A ring of `capacity`
inputs; the oldest leaves. Repeats are not stored again, and of a cluster that grows beyond 64
only every eighth input takes a new place, beyond 512 every 64th, so that one campaign cannot flush
everybody's history.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from casemate.detect.inline.compiling import kernel
from casemate.detect.inline.keyed import MARKS, PRINT

if TYPE_CHECKING:
    import numpy.typing as npt

    U64 = npt.NDArray[np.uint64]
    I64 = npt.NDArray[np.int64]

WAYS = 16
FAMILIES = 4
LINKED = 0.5
"""`near` from which on an input belongs to the nearest one's cluster."""
# Columns of the table of clusters.
SIZE, LAST, BEFORE, TOUCHED, FIRST = 0, 1, 2, 3, 4
# Columns of an input's own numbers.
OWN, OWN_COARSE = 0, 1
# Columns of its place on record; the event's sequence stands beside them.
WRITER, LINE, WHO, LABEL, PARENT = 0, 1, 2, 3, 4
# Columns of a kernel's answer in numbers.
NEAR, DELTA, COARSE_DELTA, TURN = 0, 1, 2, 3
# ... and in whole numbers.
FOUND, PLACE, GROWN, WHEN, FROM, BY = 0, 1, 2, 3, 4, 5


@kernel
def cluster_at(ids: U64, state: I64, cluster: Any, clock: int, make: bool) -> Any:
    """Return the row of a cluster, -1 where it has none; `make` takes the stalest of its family."""
    first: Any = np.int64(cluster % np.uint64(len(ids) // 4)) * 4
    stalest = first
    for row in range(first, first + 4):
        if ids[row] == cluster and state[row, 0] > 0:
            return row
        if state[row, 3] < state[stalest, 3]:
            stalest = row
    if not make:
        return -1
    ids[stalest] = cluster
    state[stalest, 0] = 0
    state[stalest, 1] = -1
    state[stalest, 2] = -1
    state[stalest, 3] = clock
    state[stalest, 4] = -1
    return stalest


@kernel
def distance(a: Any, b: Any, start: int, stop: int, cap: float) -> float:
    """Return the root mean square difference of two sketches' numbers, each capped."""
    most = np.int64(cap)
    total = np.int64(0)
    for j in range(start, stop):
        d = min(abs(np.int64(a[j]) - np.int64(b[j])), most)
        total += d * d
    return float(np.sqrt(total / max(1, stop - start)) / 1024.0)


@kernel
def score(
    shared: int,
    have: int,
    delta: float,
    coarse: float,
    recent: float,
    limits: npt.NDArray[Any],
) -> float:
    """Return how near, 0 to 1, LINKED where any of three proofs of nearness is just met.

    A small distance; a larger one with window marks in common; most window marks in common.

    Args:
        shared: Window marks in common.
        have: Window marks there are.
        delta: Relative distance.
        coarse: Relative distance of the block means.
        recent: 1 for the caller's last inputs, 1/2 for those before them, 0 for all others.
        limits: Distance, what a whole share of marks adds to it, share from which on it does,
            share that is proof by itself, coarse distance, largest distance for the last two;
            sixth the cap of a sketch's difference, seventh the distance for the caller's own last
            inputs: few, so that chance has few tries.
    """
    share = shared / have if have >= 4 else 0.0
    reach = limits[0] + recent * (limits[7] - limits[0]) + limits[1] * max(0.0, share - limits[2])
    best = 1.0 - 0.5 * delta / reach if delta <= reach else 0.5 * reach / delta
    if delta <= limits[5]:
        if share >= limits[3]:
            best = max(best, 0.5 + 0.5 * (share - limits[3]) / max(1e-9, 1.0 - limits[3]))
        if limits[4] > 0.0:
            best = max(best, 1.0 - 0.5 * coarse / limits[4])
    return float(min(best, 0.999999))


@kernel
def seek(
    marks: U64,
    sketch: npt.NDArray[np.int16],
    own: npt.NDArray[np.float32],
    line: int,
    shape: npt.NDArray[np.int64],
    limits: npt.NDArray[Any],
    before: npt.NDArray[np.int32],
    table: npt.NDArray[np.uint32],
    sketches: npt.NDArray[np.int16],
    owns: npt.NDArray[np.float32],
    exact: U64,
    places: npt.NDArray[np.int32],
    numbers: npt.NDArray[Any],
) -> int:
    """Return the place of the nearest earlier input of the line, -1 for none; fill `numbers`.

    Args:
        marks: Of the input; 0 where there is none.
        sketch: Of the input.
        own: Its own spread, and that of its block means.
        line: Which model and shape it belongs to.
        shape: Fine numbers, coarse numbers, first and last window mark.
        limits: See `score`; and the cap of a sketch's difference.
        before: Places to look at in any case: the caller's last inputs; -1 for none.
        table: Buckets of places and tags.
        sketches: By place.
        owns: By place.
        exact: First mark by place.
        places: By place.
        numbers: NEAR, DELTA, COARSE_DELTA.
    """
    candidates = np.empty(288, np.int64)
    shares = np.empty(288, np.int64)
    weights = np.empty(288, np.int64)
    recents = np.zeros(288)
    slots = np.zeros(1024, np.int16)
    count = 0
    buckets = np.uint64(len(table))
    have = 0
    for m in range(len(marks)):
        if marks[m] == np.uint64(0):
            continue
        window = shape[2] <= m < shape[3]
        have += window
        tag = np.uint32(marks[m] & np.uint64(0xFF))
        bucket = np.int64((marks[m] >> np.uint64(8)) % buckets)
        for way in range(16):
            slot = table[bucket, way]
            if slot == np.uint32(0) or (slot & np.uint32(0xFF)) != tag:
                continue
            place = np.int64(slot >> np.uint32(8)) - 1
            h = (place * 40503) & 1023
            while slots[h] != 0 and candidates[slots[h] - 1] != place:
                h = (h + 1) & 1023
            at: Any = np.int64(slots[h]) - 1
            if at < 0:
                if count == 256 or places[place, 1] != line:
                    continue
                at = count
                count += 1
                slots[h] = np.int16(count)
                candidates[at] = place
                shares[at] = 0
                weights[at] = 0
            shares[at] += window
            weights[at] += 1 if window else 2
    for b in range(len(before)):
        place = np.int64(before[b])
        if place < 0 or places[place, 1] != line:
            continue
        h = (place * 40503) & 1023
        while slots[h] != 0 and candidates[slots[h] - 1] != place:
            h = (h + 1) & 1023
        at = np.int64(slots[h]) - 1
        if at < 0:
            at = count
            count += 1
            slots[h] = np.int16(count)
            candidates[at] = place
            shares[at] = 0
        weights[at] = 2
        recents[at] = 1.0 if b < 8 else 0.5
    # One window in common is the rule among natural inputs: look at some of those, newest first.
    spare = 24
    best = -1
    fine = shape[0]
    both = shape[0] + shape[1]
    for c in range(count):
        if weights[c] < 2:
            spare -= 1
            if spare < 0:
                continue
        place = candidates[c]
        delta = distance(sketch, sketches[place], 0, fine, limits[6])
        delta /= max(own[0], owns[place, 0])
        coarse = 1e9
        if both > fine:
            coarse = distance(sketch, sketches[place], fine, both, limits[6])
            coarse /= max(own[1], owns[place, 1])
        near = score(shares[c], have, delta, coarse, recents[c], limits)
        if exact[place] == marks[0]:
            near = 1.0
            delta = 0.0
            coarse = 0.0
        elif delta == 0.0:
            delta = 1e-6
        linked = near >= 0.5
        before_linked = numbers[0] >= 0.5
        if best < 0 or (linked and not before_linked):
            better = True
        else:
            better = linked == before_linked and delta < numbers[1]
        if better:
            best = place
            numbers[0] = near
            numbers[1] = delta
            numbers[2] = coarse
    return best


@kernel
def nearer(
    place: int,
    marks: U64,
    sketch: npt.NDArray[np.int16],
    own: npt.NDArray[np.float32],
    fine: int,
    cap: float,
    slack: float,
    sketches: npt.NDArray[np.int16],
    owns: npt.NDArray[np.float32],
    exact: U64,
    numbers: npt.NDArray[Any],
) -> bool:
    """Say whether a place is nearer than the nearest so far, and note its distance if so."""
    if exact[place] == marks[0]:
        delta = 0.0
    else:
        delta = distance(sketch, sketches[place], 0, fine, cap) / max(own[0], owns[place, 0])
        delta = max(delta, 1e-6)
    if delta >= slack * numbers[1]:
        return False
    numbers[1] = delta
    if delta == 0.0:
        numbers[0] = 1.0
    return True


@kernel
def cosine(a: Any, b: Any, c: Any, size: int) -> float:
    """Return the cosine between the steps b -> a and c -> b; NaN where rounding would tell."""
    dot = 0.0
    one = 0.0
    two = 0.0
    for j in range(size):
        now = np.float64(a[j]) - np.float64(b[j])
        then = np.float64(b[j]) - np.float64(c[j])
        dot += now * then
        one += now * now
        two += then * then
    if min(one, two) <= 2.5 * size:
        return float(np.nan)
    return float(min(1.0, max(-1.0, dot / np.sqrt(one * two))))


@kernel
def store(table: npt.NDArray[np.uint32], marks: U64, place: int) -> None:
    """Enter a place under each of its marks; the oldest of a full bucket leaves."""
    buckets = np.uint64(len(table))
    for m in range(len(marks)):
        if marks[m] == np.uint64(0):
            continue
        slot = (np.uint32(place + 1) << np.uint32(8)) | np.uint32(marks[m] & np.uint64(0xFF))
        bucket = np.int64((marks[m] >> np.uint64(8)) % buckets)
        end = 15
        for way in range(16):
            if table[bucket, way] == slot:
                end = way
                break
        for way in range(end, 0, -1):
            table[bucket, way] = table[bucket, way - 1]
        table[bucket, 0] = slot


@kernel
def enter(
    marks: U64,
    sketch: npt.NDArray[np.int16],
    own: npt.NDArray[np.float32],
    record: I64,
    shape: I64,
    limits: npt.NDArray[Any],
    before: npt.NDArray[np.int32],
    table: npt.NDArray[np.uint32],
    sketches: npt.NDArray[np.int16],
    owns: npt.NDArray[np.float32],
    exact: U64,
    sequences: I64,
    places: npt.NDArray[np.int32],
    members: U64,
    ids: U64,
    state: I64,
    clock: I64,
    numbers: npt.NDArray[Any],
    whole: I64,
) -> Any:
    """Find the nearest earlier input, join its cluster, and store this one.

    Args:
        marks: Of the input.
        sketch: Of the input.
        own: Its spreads.
        record: Sequence of its event, then WRITER, LINE, WHO.
        shape: See `seek`.
        limits: See `seek`.
        before: See `seek`.
        table: See `seek`.
        sketches: See `seek`.
        owns: See `seek`.
        exact: See `seek`.
        sequences: Sequence of the event by place.
        places: See `seek`.
        members: Cluster by place.
        ids: Clusters with more than one member.
        state: Their SIZE, LAST, BEFORE, TOUCHED, FIRST.
        clock: Inputs stored so far, and inputs seen.
        numbers: NEAR, DELTA, COARSE_DELTA, TURN.
        whole: FOUND (place of the nearest), PLACE (its own), GROWN (size of its cluster); WHEN,
            FROM, BY: sequence, writer and principal of the nearest.

    Returns:
        The cluster.
    """
    numbers[0] = -1.0
    numbers[1] = np.nan
    numbers[2] = np.nan
    numbers[3] = np.nan
    found = seek(
        marks, sketch, own, record[2], shape, limits, before,
        table, sketches, owns, exact, places, numbers,
    )  # fmt: skip
    if found >= 0 and numbers[0] >= 0.5:
        # A crowded bucket may have lost the base of many tries; its children know it.
        row = cluster_at(ids, state, members[found], clock[1], False)
        for step in range(6):
            if step < 3:
                place = -1 if row < 0 else state[row, 4 if step == 0 else step]
            else:
                place = places[found, 4]
            if place < 0 or place == found or places[place, 1] != record[2]:
                continue
            # Of tries around one base the base is the nearest, but for a sketch's noise.
            slack = 1.15 if step == 3 else 1.0
            if members[place] == members[found] and nearer(
                place,
                marks,
                sketch,
                own,
                shape[0],
                limits[6],
                slack,
                sketches,
                owns,
                exact,
                numbers,
            ):
                found = place
    whole[0] = found
    if found >= 0:
        whole[3] = sequences[found]
        whole[4] = places[found, 0]
        whole[5] = places[found, 2]
    clock[1] += 1
    capacity = len(sketches)
    cluster = marks[0]
    place = -1
    row = -1
    if found >= 0 and numbers[0] >= 0.5:
        cluster = members[found]
        row = cluster_at(ids, state, cluster, clock[1], True)
        if state[row, 0] == 0:
            state[row, 0] = 1
            state[row, 1] = found
            state[row, 4] = found
        state[row, 0] += 1
        state[row, 3] = clock[1]
        last = state[row, 1]
        then = state[row, 2]
        if last >= 0 and then >= 0 and members[last] == cluster and members[then] == cluster:
            numbers[3] = cosine(sketch, sketches[last], sketches[then], shape[0])
        if exact[found] == marks[0]:
            place = found
        elif (
            state[row, 0] > 64
            and state[row, 0] % (8 if state[row, 0] < 512 else 64) != 0
            and then >= 0
            and then != found
        ):
            place = then
    whole[2] = 1 if row < 0 else state[row, 0]
    if found < 0 or place != found:
        if place < 0:
            place = clock[0] % capacity
            clock[0] += 1
        exact[place] = marks[0]
        members[place] = cluster
        for j in range(len(sketch)):
            sketches[place, j] = sketch[j]
        owns[place, 0] = own[0]
        owns[place, 1] = own[1]
        sequences[place] = record[0]
        for j in range(3):
            places[place, j] = record[1 + j]
        places[place, 3] = -1
        places[place, 4] = found if row >= 0 else -1
        store(table, marks, place)
    if row >= 0 and state[row, 1] != place:
        state[row, 2] = state[row, 1]
        state[row, 1] = place
    whole[1] = place
    return cluster


class Index:
    """Arrays of the index; the judge passes them to `enter`.

    Args:
        capacity: Inputs remembered, at most 2**24 - 2.
    """

    def __init__(self, capacity: int) -> None:
        if not 1 <= capacity <= (1 << 24) - 2:
            raise ValueError(f"a capacity of {capacity}; 1 to {(1 << 24) - 2}")
        buckets = max(1, -(-capacity * MARKS * 4 // (3 * WAYS)))
        self.table = np.zeros((buckets, WAYS), np.uint32)
        self.sketches = np.zeros((capacity, PRINT), np.int16)
        self.owns = np.zeros((capacity, 2), np.float32)
        self.exact = np.zeros(capacity, np.uint64)
        self.sequences = np.zeros(capacity, np.int64)
        self.places = np.full((capacity, 5), -1, np.int32)
        self.members = np.zeros(capacity, np.uint64)
        families = max(1, -(-capacity // (4 * FAMILIES)))
        self.ids = np.zeros(families * FAMILIES, np.uint64)
        self.state = np.zeros((families * FAMILIES, 5), np.int64)
        self.clock = np.zeros(2, np.int64)
        self.numbers = np.zeros(4)
        self.whole = np.zeros(6, np.int64)

    @property
    def size(self) -> int:
        """Return the bytes of memory it holds, now and always."""
        arrays: tuple[Any, ...] = (
            self.table, self.sketches, self.owns, self.exact, self.sequences, self.places,
            self.members, self.ids, self.state,
        )  # fmt: skip
        return sum(one.nbytes for one in arrays)
