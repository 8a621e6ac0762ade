"""Events as a guard makes them."""

import random

from casemate.records.event import Event, Measures

WRITER = "w-0123456789abcdef"
START = 1_760_000_000_000_000


def events(count, first=0, writer=WRITER, seed=0, users=50, start=START):
    rng = random.Random(seed + first)
    return [_event(rng, number, writer, users, start) for number in range(first, first + count)]


def _event(rng, number, writer, users, start):
    measures = Measures(
        marks=tuple(sorted(rng.getrandbits(64) for _ in range(16))),
        near=rng.random(),
        near_to=f"{writer}:{number - 1}" if number else None,
        near_same=bool(number % 2),
        cluster=rng.getrandbits(64),
        size=number % 7 + 1,
        delta=rng.random(),
        turn=None if number % 3 else -0.25,
        asked=number % 100,
        bits=3.5 * number,
        norm=rng.random(),
        label=number % 10,
        label_name="cat" if number % 2 else None,
        confidence=rng.random(),
        margin=rng.random(),
        flipped=number % 5 == 0,
        signs=("query-burst",) if number % 11 == 0 else (),
    )
    return Event(
        writer=writer,
        sequence=number,
        at=start + number * 1000,
        principal=f"user-{number % users}",
        session=None if number % 4 else "söss\0ion",
        model="mnist",
        version="3",
        route="infer",
        protocol="oip",
        request=str(number),
        status=200,
        took=1234 + number % 100,
        bytes_in=7000,
        bytes_out=120,
        input_digest=rng.randbytes(16).hex(),
        output_digest=rng.randbytes(16).hex(),
        measures=measures,
        components=("api", "model"),
        trained=START - 10**9,
    )
