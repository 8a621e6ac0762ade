"""The pickle machine: what it follows, where it stops, and what it costs."""

import collections
import io
import pickle
import pickletools
import tracemalloc

import joblib
import numpy as np
import pytest

from casemate.formats.pickle import Limits, looks_like_pickle, render, trace
from casemate.formats.pickle_opcodes import NAMES
from casemate.formats.pickle_steps import STEPS
from casemate.formats.source import BytesSource
from tests.corpus.pickles import call, named, short


def run(data, **more):
    return trace(BytesSource(data), **more)


def kinds(found):
    return {trouble.kind for trouble in found.troubles}


def test_every_opcode_of_the_standard_library_is_known():
    ours = dict(NAMES)
    theirs = {ord(info.code): info.name for info in pickletools.opcodes}
    assert ours.keys() == theirs.keys()
    in_the_loop = {0x94, 0x68, 0x8C, 0x28, 0x71, 0x72, 0x6A, 0x86, 0x87, 0x58}
    assert ours.keys() == STEPS.keys() | in_the_loop | {ord(c) for c in "KMJGN\x88\x89]}\x8f"}


@pytest.mark.parametrize("protocol", range(6))
def test_the_end_is_where_the_next_stream_begins(protocol):
    first = pickle.dumps({"a": [1, 2.5, None, "x" * 70000]}, protocol)
    second = pickle.dumps(collections.OrderedDict(a=1), protocol)
    found = run(first + second)
    assert found.complete
    assert found.end == len(first)
    after = run(first + second, offset=found.end)
    assert after.complete
    assert after.end == len(first + second)
    assert after.names[0][:2] == ("collections", "OrderedDict")
    assert after.names[0][2] >= len(first)


def test_names_follow_the_protocol_declared_last():
    assert run(b"c__builtin__\nxrange\n.").names[0][:2] == ("builtins", "range")
    assert run(b"\x80\x03c__builtin__\nxrange\n.").names[0][:2] == ("__builtin__", "xrange")
    assert run(b"\x80\x04\x80\x02ccommands\nx\n.").names[0][:2] == ("subprocess", "x")


@pytest.mark.parametrize(
    ("body", "line"),
    [
        (call("os", "system", "id")[2:], "os.system('id')"),
        (b"(ios\nsystem\n.", "os.system()"),
        (b"(cos\nsystem\nS'id'\no.", "os.system('id')"),
        (named("a", "B") + b")}" + short("k") + b"K\x01s\x92.", "a.B.__new__()"),
        (
            named("builtins", "getattr") + named("a", "B") + short("c") + b"\x86RK\x01\x85R.",
            "a.B.c(1)",
        ),
        (named("functools", "partial") + named("a", "f") + b"K\x01\x86RK\x02\x85R.", "a.f(1, 2)"),
        (
            named("operator", "methodcaller")
            + short("m")
            + b"K\x05\x86R"
            + named("a", "o")
            + b"\x85R.",
            "a.o.m(5)",
        ),
        (
            named("numpy.core", "_ufunc_reconstruct") + short("a") + short("f") + b"\x86R)R.",
            "a.f()",
        ),
        (
            named("copyreg", "_reconstructor") + named("a", "B") + b"NN\x87R.",
            "a.B.__new__(None, None)",
        ),
    ],
)
def test_calls_are_followed_to_what_they_call(body, line):
    found = run(b"\x80\x04" + body)
    assert found.complete
    assert line in [render(found, use) for use in found.uses]


def test_contents_are_read_again_for_the_line_of_source():
    body = (
        b"]\x94(" + short("sh") + b"\x94" + short("-c") + b"e\x94}\x94" + short("shell") + b"\x88s"
    )
    found = run(b"\x80\x04" + named("a", "f") + body + b"\x86R.")
    assert render(found, found.uses[-1]) == "a.f(['sh', '-c'], {'shell': True})"


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", "truncated"),
        (b"\x80\x04", "truncated"),
        (b"\x80\x04\x8c\xffab", "truncated"),
        (b"\x80\x09.", "malformed"),
        (b"\x80\x04\xfe.", "malformed"),
        (b"\x80\x040.", "malformed"),
        (b"\x80\x04h\x07.", "malformed"),
        (b"\x80\x04K\x01)R.", "malformed"),
        (b"ca\nb\n]R.", "disagree"),
        (b"K\x01q\x00g0 \n.", "disagree"),
        (b"\x80\x04\x95\x04\0\0\0\0\0\0\0K\x01.N", "disagree"),
        (b"\x80\x04\x95\x03\0\0\0\0\0\0\0N\x8c\x02ab.", "shifted"),
        (b"\x82\x01.", "extension"),
        (b"\x80\x04" + short("os") + b"K\x01\x93.", "unresolved"),
    ],
)
def test_trouble_is_named(data, kind):
    found = run(data)
    assert kind in kinds(found)
    if kind == "truncated":
        assert not found.complete


def test_an_unfinished_line_at_the_end_is_imported_by_the_python_unpickler():
    assert run(b"cos\nsystemX").names[0][:2] == ("os", "system")
    assert run(b"cosX").names[0][:2] == ("os", "")


class Ours:
    def __reduce__(self):
        return (Ours, ())


ARRAYS = {
    "floats": np.arange(1000.0),
    "empty": np.zeros((0, 3)),
    "scalar": np.array(3),
    "text": np.array(["ab", "c"]),
    "record": np.zeros(4, dtype=[("a", "i4"), ("b", "S5")]),
    "dates": np.array(["2026-01-01"], dtype="M8[D]"),
    "complex": np.ones(3, dtype=complex),
    "bools": np.ones(3, dtype=bool),
    "half": np.ones(3, dtype=np.float16),
    "big endian": np.ones(3, dtype=">f8"),
}


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("what", ARRAYS)
def test_joblib_arrays_are_stepped_over_exactly(what, protocol):
    file = io.BytesIO()
    joblib.dump([ARRAYS[what], {"after": "x"}, ARRAYS[what]], file, protocol=protocol)
    data = file.getvalue()
    found = run(data)
    assert found.complete
    assert found.end == len(data)
    assert not found.troubles
    assert sum(size for _, size in found.arrays) >= ARRAYS[what].nbytes


def test_what_follows_a_joblib_array_is_seen():
    file = io.BytesIO()
    joblib.dump([np.arange(5.0), Ours()], file)
    found = run(file.getvalue())
    assert found.complete
    assert any(name == "Ours" for _, name, _ in found.names)


def test_objects_in_joblib_arrays_are_seen():
    file = io.BytesIO()
    joblib.dump(np.array([Ours(), None], dtype=object), file)
    found = run(file.getvalue())
    assert found.complete
    assert found.end == len(file.getvalue())
    assert any(name == "Ours" for inner in found.inner for _, name, _ in inner.names)


def test_array_bytes_that_are_opcodes_are_read_as_such_too():
    file = io.BytesIO()
    joblib.dump(np.zeros(200, dtype=np.uint8), file, protocol=3)
    data = bytearray(file.getvalue())
    at = run(bytes(data)).arrays[0][0]
    hidden = b"cos\nsystem\n(S'true'\ntR."
    data[at] = 0x30  # the padding byte, to a plain unpickler: POP
    data[at + 1 : at + 1 + len(hidden)] = hidden
    found = run(bytes(data))
    assert "disagree" in kinds(found)
    assert any(name == "system" for inner in found.inner for _, name, _ in inner.names)


BOMBS = {
    "marks": b"(" * 100_000,
    "constants": b"N" * 400_000,
    "nested tuples": b"N" + b"\x85" * 150_000,
    "doubling": b"N" + b"2\x86" * 50_000 + b".",
    "wide tuples": (b"(" + b"N" * 1000 + b"t") * 400,
    "results of results": b"ca\nb\n" + b")R" * 100_000,
    "names": b"".join(b"cm%d\nn\n0" % i for i in range(20_000)),
    "memo with gaps": b"N"
    + b"".join(b"r" + (i * 977).to_bytes(4, "little") for i in range(20_000)),
    "a long name": b"c" + b"x" * 1_000_000,
}


SMALL = Limits(stack=100_000, marks=5_000, symbols=5_000)


@pytest.mark.parametrize("bomb", BOMBS)
def test_memory_is_bounded(bomb):
    tracemalloc.start()
    try:
        found = run(b"\x80\x04" + BOMBS[bomb], limits=SMALL)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert kinds(found) <= {"limit", "truncated"}
    assert peak < 40e6


def test_limits_are_reported_and_end_the_reading():
    found = run(pickle.dumps(list(range(1000)), 4), limits=Limits(memo=0))
    assert not found.complete
    assert kinds(found) == {"limit"}


def test_a_pickle_is_told_by_its_first_bytes():
    assert looks_like_pickle(BytesSource(pickle.dumps([1], 4)))
    assert looks_like_pickle(BytesSource(b"cos\nsystem\n."))
    assert not looks_like_pickle(BytesSource(b"\x7fELF"))
    assert not looks_like_pickle(BytesSource(b""))
