"""Frames are read back whole, and past damage."""

import random

from casemate.store.telemetry.frames import frames, read


def test_round_trip_and_resuming():
    payloads = [b"", b"x", bytes(1000), b"\xc5\xe7" * 50]
    data = frames(payloads)
    found = list(read(data))
    assert [payload for payload, _, _ in found] == payloads
    assert [p for p, _, _ in read(data, found[1][2])] == payloads[2:]
    assert found[-1][2] == len(data)


def test_hostile_bytes_neither_crash_nor_invent():
    rng = random.Random(1)
    payloads = [rng.randbytes(rng.randrange(80)) for _ in range(40)]
    whole = frames(payloads)
    for _ in range(2000):
        data = bytearray(whole)
        for _ in range(rng.randrange(1, 5)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        found = [p for p, _, _ in read(bytes(data)) if p is not None]
        at = iter(payloads)
        assert all(p in at for p in found)  # a part of them, in their order


def test_many_false_marks_take_linear_time():
    data = (b"\xc5\xe7" + (2000).to_bytes(4, "little") + bytes(4)) * 30_000
    assert list(read(data)) == []
