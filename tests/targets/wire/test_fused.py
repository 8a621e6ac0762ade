"""The quick reader of numbers agrees with the careful one bit for bit, or leaves the work to it."""

import json
import random
import struct

import numpy as np
import pytest

from casemate.errors import CasemateError
from casemate.targets.wire import fused, numbers

pytest.importorskip("numba")


@pytest.fixture(autouse=True)
def warm():
    assert fused.warm()


def careful(body):
    """What numbers.array says without the quick reader; None where it refuses."""
    loaded = fused._loaded[:]
    fused._loaded.clear()
    try:
        return numbers.array(body)
    except CasemateError:
        return None
    finally:
        fused._loaded.extend(loaded)


def agree(body):
    """Check both readers on one body; say whether the quick one read it."""
    try:
        quick = fused.read(body, numbers.depth(body))
    except CasemateError:
        quick = None
    if quick is None:
        return False
    slow = careful(body)
    assert slow is not None, body[:200]
    assert quick.dtype == slow.dtype, body[:200]
    assert quick.shape == slow.shape, body[:200]
    assert quick.tobytes() == slow.tobytes(), body[:200]
    return True


@pytest.mark.parametrize(
    "body",
    [
        b"[1,2]", b" [ 1 , -2 ]\n", b"[[1,2],[3,4.5]]", b"[-0.0]", b"[0.0]", b"[1e3]", b"[1E+3]",
        b"[-1.5e-3]", b"[[[1]],[[2]]]", b"[999999999999999]", b"[0.30000000000000004]",
        b"[1.7976931348623157e8, 5e-60]", b"[\t1\r\n]", b"[123456789.123456789]",
    ],
)  # fmt: skip
def test_reads_what_is_plain(body):
    assert agree(body)


@pytest.mark.parametrize(
    "body",
    [
        b"[]", b"[[],[]]", b"[true]", b"[01]", b"[-01]", b"[1.]", b"[.5]", b"[+1]", b"[1e]",
        b"[1e+]", b"[1e400]", b"[[1],2]", b"[[1,2],[3]]", b"[1] x", b"[1,]", b"[,1]", b"[1 2]",
        b"[1]]", b"[1", b"[[1]][1]", b"[-]", b"[-0]", b"[null]", b"[NaN]", b'["1"]', b"[1e-400]",
        b"[9007199254740993]", b"[18446744073709551615]", b"[12345678901234567890.5]", b"[[1]",
        b"[1][", b"[1]\x00", b"[1\x0b]", b"[0x1]", b"[1,[2]]", b"[[1],[[2]]]",
    ],
)  # fmt: skip
def test_leaves_all_else_to_the_careful_reader(body):
    assert fused.read(body, max(1, numbers.depth(body))) is None


def spell(rng):
    kind = rng.randrange(6)
    if kind == 0:
        return repr(rng.random())
    if kind == 1:
        return repr(float(np.float32(rng.gauss(0, 1))))
    if kind == 2:
        return f"{rng.randrange(10 ** rng.randrange(1, 19))}e{rng.randrange(-40, 40)}"
    if kind == 3:
        return f"{rng.randrange(10**9)}.{rng.randrange(10**9):09d}"
    if kind == 4:
        return str(rng.randrange(-300, 300))
    # Half-way between two doubles, where rounding to even shows.
    return f"{rng.randrange(1 << 52, 1 << 53)}.5"


def test_rounds_as_the_standard_says():
    rng = random.Random(3)
    read = 0
    for _ in range(20_000):
        text = spell(rng)
        text = "-" + text if rng.random() < 0.2 and text[0] != "-" else text
        found = fused.read(f"[{text}, 0.5]".encode(), 1)
        if found is not None:
            read += 1
            assert struct.pack("<d", found[0]) == struct.pack("<d", float(text)), text
    assert read > 19_000


def mutate(body, rng):
    out = bytearray(body)
    for _ in range(rng.randrange(1, 4)):
        at = rng.randrange(len(out) + 1)
        kind = rng.randrange(3)
        if kind == 0 and out:
            del out[min(at, len(out) - 1)]
        elif kind == 1:
            out.insert(at, rng.choice(b'[]-+.,eE0123456789 \t\n"ntx\x00\xff'))
        elif out:
            out[min(at, len(out) - 1)] = rng.choice(b"[]-+.,eE0123456789 ntu{}")
    return bytes(out)


def fuzz(count, seed):
    rng = random.Random(seed)
    read = 0
    for _ in range(count):
        shape = [rng.randrange(1, 4) for _ in range(rng.randrange(1, 4))]
        total = int(np.prod(shape))
        values = [json.loads(spell(rng)) for _ in range(total)]
        nested = np.array(values, dtype=object).reshape(shape).tolist()
        read += agree(mutate(json.dumps(nested).encode(), rng))
    return read


def test_mutations_are_read_alike():
    assert fuzz(5_000, 1) > 500


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_million_mutations_are_read_alike():
    assert fuzz(1_000_000, 2) > 100_000


def test_large_bodies_go_the_quick_way():
    x = np.random.default_rng(0).random((30, 40)).round(5)
    body = json.dumps(x.tolist()).encode()
    assert len(body) > fused.WORTH
    assert agree(body)
    np.testing.assert_array_equal(numbers.array(body), x)


def test_it_is_not_compiled_unasked(monkeypatch):
    monkeypatch.setattr(fused, "_loaded", [])
    assert fused.read(b"[1]", 1) is None
    np.testing.assert_array_equal(numbers.array(b"[" + b"1," * 3000 + b"1]"), np.ones(3001))
