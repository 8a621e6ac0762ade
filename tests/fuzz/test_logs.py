"""Readers of logs under mutation: each line is read or counted, and nothing else ever happens."""

import random

import pytest

from casemate.catalog.entries import LogFormat
from casemate.catalog.loader import entry, load
from casemate.guard.logs.documents import documents
from casemate.guard.logs.lines import lines
from casemate.guard.logs.reading import Lines
from casemate.guard.logs.record import Logged, Row
from casemate.guard.logs.tally import Tally
from tests.guard.logs import samples as s

SEEDS = {
    "kserve": [
        s.kserve_structured(), s.kserve_binary(), s.kserve_stored(), s.kserve_row(),
        s.kserve_structured(s.RESPONSE, s.GIVEN), s.kserve_row(s.RESPONSE, s.GIVEN, snake=True),
    ],
    "sagemaker": [s.sagemaker("CSV"), s.sagemaker("JSON"), s.sagemaker("BASE64")],
    "mlflow": [s.line(s.gateway_row()), s.line(s.endpoint_row())],
    "envoy": [s.line(s.envoy_access()), s.line(s.envoy_tap()), s.line(s.envoy_tap(as_string=True))],
    "oip": [s.line(s.OIP_ASKED), s.line({"request": s.OIP_ASKED, "response": s.OIP_GIVEN})],
    "jsonl": [s.line({"request": s.ASKED, "response": s.GIVEN, "time": s.AT, "id": "a"})],
}  # fmt: skip
BITS = (
    b"{", b"}", b"[", b"]", b'"', b",", b":", b"\\", b"null", b"true", b"1e999", b"-0", b"NaN",
    b"\xff", b"\0", b"\\ud800", b"[" * 200, b'{"a":' * 200, b"9" * 40, b'"data":', b'"time":"x"',
)  # fmt: skip


def mutated(rng, body):
    made = bytearray(body)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(made) + 1)
        match rng.randrange(5):
            case 0:
                made[at:at] = rng.choice(BITS)
            case 1:
                del made[at : at + rng.randint(1, 12)]
            case 2 if at < len(made):
                made[at] = rng.randrange(256)
            case 3:
                other = rng.randrange(len(made) + 1)
                made[at:at] = made[other : other + rng.randint(1, 40)]
            case _:
                made = made[: max(1, at)] if rng.random() < 0.2 else made
    return bytes(made)


def torment(kind, rounds, seed):
    rng = random.Random(seed)
    tally = Tally()
    reader = Lines(load(entry("logs", kind, LogFormat)), {}, tally)
    read = 0
    for number in range(rounds):
        body = mutated(rng, rng.choice(SEEDS[kind])).replace(b"\n", b" ")
        found = reader.read(Row(number, body, 0), "f")
        assert found is None or isinstance(found, Logged)
        if found is not None:
            read += 1
            for half in (found.call, found.reply):
                assert half is None or isinstance(half.body, bytes)
            assert found.at is None or 10**14 <= found.at < 10**17
    counted = sum(
        c.times for c in tally.counts if not c.reason.startswith("a line that is not UTF")
    )
    cuts = ("a body too large to log", "a body the tap cut off")  # read, and counted besides
    cut = sum(c.times for c in tally.counts if c.reason in cuts)
    assert read + counted - cut == rounds


@pytest.mark.parametrize("kind", SEEDS)
def test_every_mutation_is_read_or_counted(kind):
    torment(kind, 3_000, 0)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", SEEDS)
def test_a_million_mutations(kind):
    torment(kind, 1_000_000 // len(SEEDS), 1)


@pytest.mark.parametrize("seed", range(5))
def test_any_bytes_are_lines_and_objects_in_whatever_blocks_they_come(seed):
    rng = random.Random(seed)
    body = b"".join(rng.choice((*BITS, b"\n", b" ", b"x")) for _ in range(400))
    found = []
    for size in (487, 997, len(body)):
        parts = [body[at : at + size] for at in range(0, len(body), size)]
        tally = Tally()
        rows = [(row.number, row.body) for row in lines(parts, "f", tally)]
        whole = [row.body for row in documents(parts, "f", Tally())]
        found.append((rows, tally.counts, whole))
    assert found[0] == found[1] == found[2]
