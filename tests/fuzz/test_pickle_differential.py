"""Whatever CPython's unpicklers import or call in a stream, the machine has seen and judged.

Each stream is read three times: by our machine, by the C unpickler and by the Python one. The two
real ones get a `find_class` that hands out inert recorders: nothing is imported, nothing runs.
`CASEMATE_FUZZ` sets the number of streams; 8,000 is the default, a million were run once.
"""

from __future__ import annotations

import _pickle
import collections
import contextlib
import datetime as dt
import io
import os
import pickle
import random
import warnings

import pytest

from casemate.formats.pickle import PickleTrace, trace
from casemate.formats.pickle_names import resolve
from casemate.formats.pickle_values import Attribute, Global, Made, Partial
from casemate.formats.source import BytesSource
from casemate.records.make import make
from casemate.records.severity import Severity
from casemate.records.target import Target
from casemate.scan.pickle_uses import grade
from casemate.scan.pickles import judge

STREAMS = int(os.environ.get("CASEMATE_FUZZ", "8000"))
PARTS = 4
TARGET = make(Target, kind="artifact", uri="fuzz.pkl")
PASSES = ("class", "state", "function", "reference")


class Recorder:
    """What both unpicklers get for every name: takes anything, does nothing, remembers."""

    log: list[tuple[str, str, str]]
    names: tuple[str, str]

    def __new__(cls, *args, **kwargs):
        cls.log.append(("made", *cls.names))
        return object.__new__(cls)

    def __init__(self, *args, **kwargs) -> None: ...
    def __call__(self, *args, **kwargs):
        self.log.append(("result", *self.names))
        return self

    def __setstate__(self, state) -> None: ...
    def __setitem__(self, key, value) -> None: ...
    def append(self, value) -> None: ...
    def extend(self, values) -> None: ...
    def add(self, value) -> None: ...


def _find_class(log: list):
    def find_class(self, module, name):
        log.append(("import", module, name))
        return type("R", (Recorder,), {"log": log, "names": (module, name)})

    return find_class


def replay(data: bytes, base: type) -> list[tuple[str, str, str]]:
    """Return what one of CPython's unpicklers does with the stream."""
    log: list[tuple[str, str, str]] = []
    unpickler = type("U", (base,), {"find_class": _find_class(log)})
    with contextlib.suppress(Exception):  # an error ends the stream; what came before counts
        unpickler(io.BytesIO(data)).load()
    return log


def root(value: object) -> Global | None:
    for _ in range(100):
        if isinstance(value, Attribute):
            value = value.of
        elif isinstance(value, Made):
            value = value.by
        elif isinstance(value, Partial):
            value = value.function
        else:
            break
    return value if isinstance(value, Global) else None


def check(data: bytes) -> PickleTrace:
    """Compare the three readings of one stream."""
    found = trace(BytesSource(data))
    findings = judge(found, target=TARGET)
    imported = {(module, name) for module, name, _ in found.names}
    acted = {
        (of.module, of.name)
        for use in found.uses
        if use.kind in ("call", "new", "attribute") and (of := root(use.target)) is not None
    }
    if any(trouble.kind == "shifted" for trouble in found.troubles):
        assert findings[0].severity is Severity.CRITICAL
        return found  # C takes other bytes for opcodes when it reads from a file
    bases = [pickle._Unpickler]
    if not found.machine.sparse:  # the C one allocates whatever a memo index asks for
        bases.append(_pickle.Unpickler)
    for base in bases:
        for kind, module, name in replay(data, base):
            if not module:
                continue  # __import__("") raises: there is nothing to import
            forms = {resolve(module, name, protocol) for protocol in (0, 4)}
            assert forms & imported, (base, kind, module, name, data)
            if not any(grade(Global(*form)).grade in PASSES for form in forms & imported):
                assert findings, (base, kind, module, name, data)
            if kind == "made":
                held = any(of for of in forms & imported if of in acted or _operand(of))
                assert held, (base, kind, module, name, data)
    return found


def _operand(names: tuple[str, str]) -> bool:
    from casemate.formats.pickle_calls import operand_of

    return operand_of(Global(*names)) is not None


NAMES = (
    ("os", "system"),
    ("builtins", "eval"),
    ("builtins", "getattr"),
    ("functools", "partial"),
    ("collections", "OrderedDict"),
    ("datetime", "datetime"),
    ("copyreg", "_reconstructor"),
    ("__builtin__", "apply"),
    ("operator", "methodcaller"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy", "dtype"),
    ("uuid", "os.system"),
    ("unheard.of", "thing"),
)


def seeds() -> list[bytes]:
    """Return streams to mutate: ordinary ones, and calls in every spelling."""
    things = [
        [1, 2.5, None, True, "text", b"bytes", (1, 2), {"a": [1]}, {1, 2}, frozenset([3])],
        collections.OrderedDict(a=1, b=[2]),
        dt.datetime(2026, 1, 2, 3, 4, tzinfo=dt.UTC),
        [dt.timedelta(1), collections.Counter("aab"), collections.deque([1])],
        ("x" * 300, 10**30, -5, bytearray(b"abc")),
    ]
    found = [pickle.dumps(thing, protocol) for thing in things for protocol in range(6)]
    for module, name in NAMES:
        found += [
            f"c{module}\n{name}\n(S'x'\ntR.".encode(),
            f"(i{module}\n{name}\n.".encode(),
            f"(c{module}\n{name}\nS'x'\no.".encode(),
            b"\x80\x04" + short(module) + short(name) + b"\x93\x94)R\x94}b.",
            b"\x80\x02c" + f"{module}\n{name}\n".encode() + b"q\x00)\x81q\x01}q\x02b0h\x01.",
            b"\x80\x04" + short(module) + short(name) + b"\x93)}\x92\x94K\x01s.",
        ]
    return found


def short(text: str) -> bytes:
    raw = text.encode()
    return b"\x8c" + bytes([len(raw)]) + raw


def generated(rng: random.Random) -> bytes:
    """Return a stream of opcodes that mostly have what they need on the stack."""
    out = [bytes([0x80, rng.choice((0, 2, 3, 4, 4, 5))])] if rng.random() < 0.8 else []
    simple = [b"N", b"K\x01", b")", b"]", b"}", b"(", b"\x8f", b"\x88"]
    simple += [short("system"), short("os")]
    singles = b"R\x81b\x93ot\x85\x86\x87aseu012\x94ld\x90\x91\x92"
    acts = [bytes([code]) for code in singles] + [b"q\x00", b"q\x01"]
    acts += [b"h\x00", b"h\x01", b"g0\n", b"p1\n", b"\x82\x01", b"Pid\n", b"Q", b"\x95" + bytes(8)]
    for _ in range(rng.randrange(3, 40)):
        kind = rng.random()
        if kind < 0.2:
            module, name = rng.choice(NAMES)
            spelled = rng.random()
            if spelled < 0.4:
                out.append(f"c{module}\n{name}\n".encode())
            elif spelled < 0.8:
                out.append(short(module) + short(name) + b"\x93")
            else:
                out.append(f"(i{module}\n{name}\n".encode())
        else:
            out.append(rng.choice(simple if kind < 0.55 else acts))
    return b"".join(out) + (b"." if rng.random() < 0.9 else b"")


def mutated(data: bytes, rng: random.Random, others: list[bytes]) -> bytes:
    """Return the stream with one to four things changed."""
    body = bytearray(data)
    for _ in range(rng.randrange(1, 5)):
        at = rng.randrange(len(body) + 1)
        kind = rng.randrange(6)
        if kind == 0 and body:
            body[at % len(body)] = rng.randrange(256)
        elif kind == 1:
            del body[at : at + rng.randrange(1, 6)]
        elif kind == 2:
            body[at:at] = bytes(rng.randrange(256) for _ in range(rng.randrange(1, 4)))
        elif kind == 3:
            other = rng.choice(others)
            start = rng.randrange(len(other))
            body[at:at] = other[start : start + rng.randrange(1, 30)]
        elif kind == 4:
            del body[at:]
        else:
            body[at:at] = body[max(0, at - rng.randrange(1, 12)) : at]
    return bytes(body)


@pytest.mark.parametrize("part", range(PARTS))
def test_nothing_an_unpickler_does_is_missed(part: int) -> None:
    """Mutated and generated streams: every import and call of either unpickler is in the trace."""
    rng = random.Random(part)
    start = seeds()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for data in start:
            check(data)
        for count in range(STREAMS // PARTS):
            data = generated(rng) if count % 2 else mutated(rng.choice(start), rng, start)
            check(data)


def test_ordinary_seeds_are_clean() -> None:
    """The check above would hold for a scanner that reports everything; this one would not."""
    for data in seeds()[:30]:
        found = trace(BytesSource(data))
        assert found.complete
        assert not judge(found, target=TARGET)
