"""Raw array data that joblib writes between the opcodes, and what a plain unpickler makes of it.

joblib replaces each array by a `NumpyArrayWrapper`; when its unpickler has built one, it reads the
array from the same file: one byte saying how much padding follows, the padding, then shape times
item size bytes. An array of objects is a whole pickle of its own. A plain unpickler knows nothing
of this and takes those bytes for opcodes, so a file can mean one thing to `joblib.load` and another
to `pickle.load`; both readings are followed.

Source: joblib 1.6.0, `joblib/numpy_pickle.py`.
"""

from __future__ import annotations

import copy
import re
from typing import TYPE_CHECKING

from casemate.errors import FormatError, LimitExceeded
from casemate.formats import pickle_opcodes as op
from casemate.formats.pickle_expression import Const, Group, Invoke, Name, Node, expand
from casemate.formats.pickle_values import Global, Made, Value

if TYPE_CHECKING:
    from casemate.formats.pickle_machine import Machine

WRAPPERS = frozenset(
    {
        ("joblib.numpy_pickle", "NumpyArrayWrapper"),
        ("sklearn.externals.joblib.numpy_pickle", "NumpyArrayWrapper"),
    }
)
ARRAYS_KEPT = 100_000
INNER_KEPT = 10_000
SIMPLE = re.compile(r"[<>|=]?([biufcmMSVU?])(\d*)(\[\w+\])?\Z")
NAMED = {"bool": 1, "?": 1}
EFFECTS = frozenset(
    {
        op.GLOBAL,
        op.INST,
        op.OBJ,
        op.STACK_GLOBAL,
        op.REDUCE,
        op.NEWOBJ,
        op.NEWOBJ_EX,
        op.BUILD,
        op.EXT1,
        op.EXT2,
        op.EXT4,
    }
)


def after_build(machine: Machine, target: Value, state: Value, at: int) -> None:
    """Step over the array that follows, when what was built is a joblib wrapper.

    Args:
        machine: The reading; its position is behind BUILD.
        target: What was built.
        state: The state it was given.
        at: Offset of BUILD.
    """
    if machine.nested or not isinstance(target, Made) or not isinstance(target.by, Global):
        return  # what reads a nested stream is a plain unpickler
    if (target.by.module, target.by.name) not in WRAPPERS:
        return
    fields = _fields(expand(machine, state, at))
    size = _item_size(fields.get("dtype"))
    count = _count(fields.get("shape"))
    if size is None or count is None:
        machine.trouble("unresolved", "the size of an array between the opcodes is not known")
        return
    begin = machine.pos
    if size < 0:
        _inner(machine)
    else:
        padding = fields.get("numpy_array_alignment_bytes")
        if padding is not None and padding != Const(None):
            length = machine.take(1)[0]
            machine.pos += length
        machine.pos += size * count
    _as_opcodes(machine, begin, pickled=size < 0)
    if machine.pos > machine.size:
        raise FormatError("the stream ends inside an array", offset=begin)
    if machine.frame_end not in (None, begin):
        machine.trouble("disagree", "an array does not begin where a frame ends")
    machine.frame_end = None
    if len(machine.arrays) < ARRAYS_KEPT:
        machine.arrays.append((machine.start + begin, machine.pos - begin))


def _fields(state: Node) -> dict[str, Node]:
    if not isinstance(state, Group) or state.kind != "dict":
        return {}
    return {
        key.value: value
        for key, value in zip(state.items[::2], state.items[1::2], strict=False)
        if isinstance(key, Const) and isinstance(key.value, str)
    }


def _count(shape: Node | None) -> int | None:
    if not isinstance(shape, Group) or shape.kind not in ("tuple", "list"):
        return None
    total = 1
    for item in shape.items:
        if not isinstance(item, Const) or type(item.value) is not int or item.value < 0:
            return None
        total *= item.value
    return total if total < 1 << 62 else None


def _item_size(dtype: Node | None) -> int | None:
    """Return bytes per item, -1 for Python objects, None when it cannot be told."""
    if not isinstance(dtype, Invoke) or dtype.callee != Name("numpy.dtype") or not dtype.args:
        return None
    first = dtype.args[0]
    if not isinstance(first, Const) or not isinstance(first.value, str):
        return None
    if first.value in ("O", "O8", "O4", "|O", "object"):
        return -1
    simple = SIMPLE.match(first.value)
    if simple is None:
        return NAMED.get(first.value)
    kind, digits, _ = simple.groups()
    if kind == "V":
        return _structured(dtype.state, int(digits or 0))
    if kind == "?":
        return 1
    if not digits:
        return None
    return int(digits) * (4 if kind == "U" else 1)


def _structured(state: Node | None, size: int) -> int | None:
    """Return the size of a record; -1 when a field holds Python objects (flag 1: `hasobject`)."""
    if state is None:
        return size
    if not isinstance(state, Group) or len(state.items) < 8:
        return None
    flags, given = state.items[7], state.items[5]
    if not isinstance(flags, Const) or type(flags.value) is not int:
        return None
    if flags.value & 1:
        return -1
    if isinstance(given, Const) and type(given.value) is int and given.value >= 0:
        return given.value
    return None


def _inner(machine: Machine) -> None:
    from casemate.formats.pickle import trace

    if len(machine.inner) >= INNER_KEPT:
        raise LimitExceeded("too many pickles between the opcodes", offset=machine.pos)
    found = trace(machine.source, machine.start + machine.pos, limits=machine.limits, nested=True)
    machine.inner.append(found)
    if not found.complete:
        raise FormatError("a pickle inside the pickle is broken", offset=machine.pos)
    machine.pos = found.end - machine.start


def _as_opcodes(machine: Machine, begin: int, *, pickled: bool) -> None:
    """Look whether a plain unpickler would find something to do in the bytes of an array.

    In an array of objects it always does, for these are a pickle: with the memo of the one around
    it, so that names may come out shifted. Only what is then known to have an effect counts.
    """
    if not _reaches_effect(machine, begin):
        return
    from casemate.formats.pickle_steps import STEPS

    other = copy.copy(machine)
    other.nested = True
    other.memo = machine.memo[:]
    other.sparse = dict(machine.sparse)
    other.symbols = list(machine.symbols)
    other.stack = list(machine.stack)
    other.marks = [list(values) for values in machine.marks]
    other.names, other.attributes = dict(machine.names), dict(machine.attributes)
    other.uses, other.log, other.troubles = {}, [], []
    other.arrays, other.inner, other.payloads, other.persistent = [], [], [], []
    other.pos, other.frame_end = begin, None
    other.detail = max(other.detail, 100)
    found = other.run(STEPS)
    acted = [use for use in found.uses if use.kind in ("import", "call", "new")]
    odd = [each for each in found.troubles if each.kind in ("unresolved", "extension")]
    if acted or odd:
        machine.inner.append(found._replace(shifted=pickled))
        if not pickled:
            machine.trouble("disagree", "bytes of an array are opcodes to a plain unpickler")


def _reaches_effect(machine: Machine, pos: int) -> bool:
    for _ in range(10_000):
        head = machine.bytes_at(pos, 9)
        if not head:
            return False
        code = head[0]
        if code in EFFECTS:
            return True
        if op.PUSHES[code]:
            pos += op.PUSHES[code]
        elif code in op.SIZED:
            width, _ = op.SIZED[code]
            pos += 1 + width + int.from_bytes(head[1 : 1 + width], "little")
        elif code in op.LINES or code in (op.GET, op.PUT, op.PERSID):
            end = machine.line_end(pos + 1)
            if end < 0:
                return False
            pos = end + 1
        elif code == op.FRAME:
            pos += 9
        elif code in (op.LONG_BINGET, op.LONG_BINPUT):
            pos += 5
        elif code in (op.BINGET, op.BINPUT, op.PROTO):
            pos += 2
        elif code in op.NAMES_BY_NUMBER and code != op.STOP:
            pos += 1
        else:
            return False
    return True
