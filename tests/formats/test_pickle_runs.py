"""The short cut gives what going opcode by opcode gives."""

import pickle
import random

import pytest

from casemate.formats.pickle_machine import Machine
from casemate.formats.pickle_steps import STEPS
from casemate.formats.pickle_trace import Limits
from casemate.formats.source import BytesSource
from tests.corpus.pickles import call


def run(data, *, short_cut):
    machine = Machine(BytesSource(data), 0, Limits())
    machine.pure = short_cut
    return machine, machine.run(STEPS)


def thing(rng, depth=0):
    kind = rng.randrange(9 if depth < 4 else 5)
    if kind == 0:
        return rng.choice((None, True, False, rng.random(), rng.randrange(-(2**40), 2**40)))
    if kind == 1:
        return rng.randrange(256)
    if kind in (2, 3):
        return "k" + str(rng.randrange(400)) * rng.randrange(1, 3)
    if kind == 4:
        return "x" * rng.choice((3, 300)) if rng.random() < 0.3 else rng.randrange(70000)
    items = [thing(rng, depth + 1) for _ in range(rng.randrange(5))]
    if kind == 5:
        return tuple(items)
    if kind == 6:
        return {f"k{n}": item for n, item in enumerate(items)}
    return items


def texts(machine):
    """Return the memo, with a mark for what the two ways keep differently: tuples."""
    first = machine.first_symbol
    return [code if code < min(first, 0x7FFFFFFF) else None for code in machine.memo]


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_both_ways_agree_on_plain_data(seed, protocol):
    rng = random.Random(seed)
    data = pickle.dumps([thing(rng) for _ in range(rng.choice((20, 1500)))], protocol)
    short, found = run(data, short_cut=True)
    long, expected = run(data, short_cut=False)
    assert found.complete
    assert (found.end, found.troubles, found.uses) == (expected.end, expected.troubles, ())
    assert len(short.memo) == len(long.memo)
    for one, other in zip(texts(short), texts(long), strict=True):
        assert one == other or None in (one, other)


@pytest.mark.parametrize("seed", range(200))
def test_both_ways_agree_on_damaged_data(seed):
    rng = random.Random(seed)
    data = bytearray(pickle.dumps([thing(rng) for _ in range(60)], 4))
    for _ in range(rng.randrange(1, 4)):
        at = rng.randrange(len(data))
        data[at : at + rng.randrange(2)] = rng.choice(
            (b"", b"R", b"\x93", b"(", b"e", b"cos\nsystem\n", b"\x94", bytes([rng.randrange(256)]))
        )
    data = bytes(data) + call("os", "system", "x")
    _, found = run(data, short_cut=True)
    _, expected = run(data, short_cut=False)
    assert {name[:2] for name in expected.names} <= {name[:2] for name in found.names}
    assert {use.kind for use in expected.uses} <= {use.kind for use in found.uses}


def test_a_name_from_the_memo_is_the_same_after_the_short_cut():
    words = [f"word{n}" for n in range(900)] + ["os", "system"]
    plain = pickle.dumps(words, 3)[:-1]
    index = {word: 1 + n for n, word in enumerate(words)}
    end = b"".join(b"j" + index[word].to_bytes(4, "little") for word in ("os", "system"))
    _, found = run(plain + b"0" + end + b"\x93.", short_cut=True)
    assert found.names[0][:2] == ("os", "system")
