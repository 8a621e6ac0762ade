"""The opcodes of the pickle machine that are not frequent enough to stand in its loop.

Each step finds `machine.pos` at its own opcode and leaves it behind what it took. Where the C and
the Python unpickler of CPython differ, the step does what the more permissive one does.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from casemate.errors import FormatError
from casemate.formats import pickle_opcodes as op
from casemate.formats.pickle_arrays import after_build
from casemate.formats.pickle_calls import build, call, imported, instantiate, update
from casemate.formats.pickle_machine import LONG_TUPLE, OVERLONG, Machine, Stopped
from casemate.formats.pickle_trace import Use
from casemate.formats.pickle_values import DATA, Box, Global, Symbol, Unknown, Value

if TYPE_CHECKING:
    from collections.abc import Callable

    from casemate.formats.pickle_trace import TroubleKind

PERSISTENT_KEPT = 64
_NUMBER = re.compile(rb"[+-]?(0[xX][0-9a-fA-F]+|[0-9]+)L?\r?\Z")
_INDEX = re.compile(rb"[0-9]{1,18}\r?\Z")


def _proto(machine: Machine) -> None:
    version = machine.bytes_at(machine.pos + 1, 1)
    if not version or version[0] > 5:
        raise FormatError("a pickle protocol above 5", offset=machine.pos)
    machine.protocol = version[0]
    machine.highest_protocol = max(machine.highest_protocol, machine.protocol)
    machine.pos += 2


def _frame(machine: Machine) -> None:
    header = machine.bytes_at(machine.pos + 1, 8)
    if len(header) < 8:
        raise FormatError("the stream ends inside an opcode", offset=machine.pos)
    length = int.from_bytes(header, "little")
    end = machine.pos + 9 + length
    if machine.frame_end is not None and machine.pos + 9 != machine.frame_end:
        # C drops the rest of the outer frame when the inner one reaches beyond it.
        kind: TroubleKind = "shifted" if end > machine.frame_end else "disagree"
        machine.trouble(kind, "a frame begins before the one around it has ended")
    if end > machine.size:
        machine.overlong = True
        end = machine.size
    machine.pos += 9
    machine.frame_end = end


def _stop(machine: Machine) -> None:
    machine.result = machine.stack.pop()
    machine.pos += 1
    if machine.overlong:
        machine.trouble("disagree", OVERLONG)
    elif machine.frame_end is not None and machine.pos != machine.frame_end:
        machine.trouble("disagree", "STOP stands before the end of its frame")
    raise Stopped


def _pop(machine: Machine) -> None:
    if machine.stack:
        value = machine.stack.pop()
        if isinstance(value, Symbol):
            value.uses -= 1
    else:
        machine.stack = machine.marks.pop()
    machine.pos += 1


def _pop_mark(machine: Machine) -> None:
    for value in machine.stack:
        if isinstance(value, Symbol):
            value.uses -= 1
    machine.stack = machine.marks.pop()
    machine.pos += 1


def _dup(machine: Machine) -> None:
    value = machine.stack[-1]
    if isinstance(value, Symbol):
        value.uses += 1
    machine.stack.append(value)
    machine.pos += 1


def _sized(width: int, signed: bool) -> Callable[[Machine], None]:
    def step(machine: Machine) -> None:
        header = machine.bytes_at(machine.pos + 1, width)
        length = int.from_bytes(header, "little", signed=signed)
        if len(header) < width or length < 0 or length >= 1 << 63:
            raise FormatError("a length below zero or cut off", offset=machine.pos)
        machine.stack.append(machine.pos)
        machine.pos += 1 + width + length

    return step


def _line(machine: Machine) -> None:
    end = machine.line_end(machine.pos + 1)
    if end < 0:
        raise FormatError("the stream ends inside a line", offset=machine.pos)
    code = machine.bytes_at(machine.pos, 1)[0]
    if code in (op.INT, op.LONG):
        text = machine.bytes_at(machine.pos + 1, min(end - machine.pos - 1, 1 << 16))
        if not _NUMBER.match(text):
            machine.trouble("malformed", "a number is not written as one")
    machine.stack.append(machine.pos)
    machine.pos = end + 1


def _index(machine: Machine) -> int:
    end = machine.line_end(machine.pos + 1, machine.limits.line)
    if end < 0:
        raise FormatError("the stream ends inside a line", offset=machine.pos)
    text = machine.bytes_at(machine.pos + 1, end - machine.pos - 1)
    if not _INDEX.match(text):
        # C stops at a NUL byte, Python does not; both take blanks and underscores.
        machine.trouble("disagree", "a memo index is written as no pickler writes it")
        text = text.split(b"\0")[0]
        try:
            number = int(text)
        except ValueError:
            number = -1
        if not 0 <= number < 1 << 62:
            raise FormatError("a memo index is not a number", offset=machine.pos)
    else:
        number = int(text)
    machine.pos = end + 1
    return number


def _put(machine: Machine) -> None:
    value = machine.stack[-1]
    machine.put(_index(machine), value)


def _get(machine: Machine) -> None:
    machine.stack.append(machine.get(_index(machine)))


def _binget(machine: Machine) -> None:
    machine.stack.append(machine.get(machine.bytes_at(machine.pos + 1, 1)[0]))
    machine.pos += 2


def _tuple1(machine: Machine) -> None:
    machine.stack[-1] = (machine.stack[-1],)
    machine.pos += 1


def _empty_tuple(machine: Machine) -> None:
    machine.stack.append(())
    machine.pos += 1


def _tuple(machine: Machine) -> None:
    items = machine.stack
    machine.stack = machine.marks.pop()
    machine.stack.append(_shortened(machine, items))
    machine.pos += 1


def _shortened(machine: Machine, items: list[Value]) -> Value:
    if len(items) <= LONG_TUPLE:
        return tuple(items)
    return DATA if all(type(item) is int for item in items) else machine.opaque


def _boxed(kind: str) -> Callable[[Machine], None]:
    def step(machine: Machine) -> None:
        items = machine.stack
        machine.stack = machine.marks.pop()
        if kind == "dict" and len(items) % 2:
            machine.trouble("malformed", "a dict is made from an odd number of items")
        plain = all(type(item) is int for item in items)
        if not items or (plain and (len(items) > 64 or machine.detail <= 0)):
            machine.stack.append(machine.pos if not items else DATA)
        else:
            machine.detail -= 1
            machine.stack.append(Box(kind, tuple(items[:64])))
        machine.pos += 1

    return step


def _item(machine: Machine) -> None:
    value = machine.stack.pop()
    key = machine.stack.pop()
    update(machine, "item", machine.stack[-1], (key, value), op.SETITEM)
    machine.pos += 1


def _append(machine: Machine) -> None:
    value = machine.stack.pop()
    update(machine, "append", machine.stack[-1], (value,), op.APPEND)
    machine.pos += 1


def _marked(kind: str, code: int) -> Callable[[Machine], None]:
    def step(machine: Machine) -> None:
        items = machine.stack
        machine.stack = machine.marks.pop()
        target = machine.stack[-1]
        if type(target) is not int:
            update(machine, "item" if kind == "item" else "append", target, tuple(items[:64]), code)
        machine.pos += 1

    return step


def _name_lines(machine: Machine) -> tuple[str, str]:
    """Read the two lines of GLOBAL or INST.

    At the end of the stream the Python unpickler takes an unfinished line less its last byte for
    the name, imports it and, for INST, makes an instance; so that is noted before the error.
    """
    start = machine.pos + 1
    middle = machine.line_end(start, machine.limits.line)
    end = machine.line_end(middle + 1, machine.limits.line) if middle >= 0 else -1
    if middle < 0 or end < 0:
        rest = machine.bytes_at(start, 2 * machine.limits.line)
        module, _, name = rest.partition(b"\n")
        if middle < 0:
            module = module[:-1]
        code = machine.bytes_at(machine.pos, 1)[0]
        if module:
            found = imported(machine, _text(module), _text(name[:-1]), code)
            if code == op.INST:
                call(machine, found, tuple(machine.stack), code)
        machine.pos = machine.size
        raise FormatError("the stream ends inside a name", offset=machine.pos)
    module = machine.bytes_at(start, middle - start)
    name = machine.bytes_at(middle + 1, end - middle - 1)
    return _text(module), _text(name)


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "backslashreplace")


def _global(machine: Machine) -> None:
    module, name = _name_lines(machine)
    machine.stack.append(imported(machine, module, name, op.GLOBAL))
    _past_two_lines(machine)


def _past_two_lines(machine: Machine) -> None:
    machine.pos = machine.line_end(machine.line_end(machine.pos + 1) + 1) + 1


def _inst(machine: Machine) -> None:
    module, name = _name_lines(machine)
    made_of = imported(machine, module, name, op.INST)
    # The Python unpickler imports before it looks for the mark.
    items = machine.stack
    machine.stack = machine.marks.pop()
    machine.stack.append(call(machine, made_of, tuple(items), op.INST))
    _past_two_lines(machine)


def _obj(machine: Machine) -> None:
    items = machine.stack
    made_of = items[0]
    machine.stack = machine.marks.pop()
    machine.stack.append(call(machine, made_of, tuple(items[1:]), op.OBJ))
    machine.pos += 1


def _stack_global(machine: Machine) -> None:
    name = machine.stack.pop()
    module = machine.stack.pop()
    from casemate.formats.pickle_reader import literal_text

    texts = [literal_text(machine, value) for value in (module, name)]
    if texts[0] is None or texts[1] is None:
        machine.trouble("unresolved", "a name to import is not written in the stream but computed")
        machine.stack.append(Unknown("an import whose name is computed", (module, name)))
    else:
        machine.stack.append(imported(machine, texts[0], texts[1], op.STACK_GLOBAL))
    machine.pos += 1


def _extension(width: int) -> Callable[[Machine], None]:
    def step(machine: Machine) -> None:
        at = machine.pos
        code = int.from_bytes(machine.bytes_at(at + 1, width), "little", signed=width == 4)
        machine.trouble(
            "extension", f"extension code {code} stands for whatever the reader has registered"
        )
        machine.stack.append(Unknown(f"what is registered under extension code {code}"))
        machine.pos += 1 + width

    return step


def _reduce(machine: Machine) -> None:
    args = machine.stack.pop()
    callee = machine.stack.pop()
    machine.stack.append(call(machine, callee, _arguments(machine, args), op.REDUCE))
    machine.pos += 1


def _arguments(machine: Machine, args: Value) -> tuple[Value, ...] | None:
    """Return the arguments of a call, None when they are not known."""
    if type(args) is tuple:
        return args
    if args is not machine.opaque and args != DATA:
        machine.trouble("disagree", "arguments are not a tuple: only one unpickler goes on")
    return None


def _newobj(machine: Machine) -> None:
    args = machine.stack.pop()
    made_of = machine.stack.pop()
    machine.stack.append(instantiate(machine, made_of, _arguments(machine, args), op.NEWOBJ))
    machine.pos += 1


def _newobj_ex(machine: Machine) -> None:
    kwargs = machine.stack.pop()
    args = machine.stack.pop()
    made_of = machine.stack.pop()
    machine.stack.append(
        instantiate(machine, made_of, _arguments(machine, args), op.NEWOBJ_EX, kwargs)
    )
    machine.pos += 1


def _build(machine: Machine) -> None:
    state = machine.stack.pop()
    target = machine.stack[-1]
    at = machine.pos
    build(machine, target, state)
    machine.pos += 1
    after_build(machine, target, state, at)


def _persid(machine: Machine) -> None:
    end = machine.line_end(machine.pos + 1, machine.limits.line)
    if end < 0:
        raise FormatError("the stream ends inside a line", offset=machine.pos)
    _persistent(machine, machine.pos, op.PERSID)
    machine.pos = end + 1


def _binpersid(machine: Machine) -> None:
    _persistent(machine, machine.stack.pop(), op.BINPERSID)
    machine.pos += 1


def _persistent(machine: Machine, ident: Value, code: int) -> None:
    found: Value = Unknown("a persistent object", ident)
    if machine.detail > 0:
        machine.detail -= 1
    else:
        found = machine.persistent_object
    if len(machine.persistent) < PERSISTENT_KEPT:
        args = ident if type(ident) is tuple else (ident,)
        machine.persistent.append(Use("call", found, args, machine.start + machine.pos, code))
    if type(ident) is tuple and len(ident) > 1 and type(ident[1]) is Global:
        # torch.save before 1.6 wraps each class as ("module", class, file, source); torch.load
        # answers with the class itself, and no other loader answers at all.
        found = ident[1]
    machine.stack.append(found)


def _constant(machine: Machine) -> None:
    """NEXT_BUFFER: bytes that travel outside the stream."""
    machine.stack.append(machine.pos)
    machine.pos += 1


def _readonly(machine: Machine) -> None:
    machine.stack[-1] = machine.stack[-1]
    machine.pos += 1


STEPS: dict[int, Callable[[Machine], None]] = {
    op.PROTO: _proto,
    op.FRAME: _frame,
    op.STOP: _stop,
    op.POP: _pop,
    op.POP_MARK: _pop_mark,
    op.DUP: _dup,
    **{code: _sized(width, signed) for code, (width, signed) in op.SIZED.items()},
    **dict.fromkeys(op.LINES, _line),
    op.PUT: _put,
    op.GET: _get,
    op.BINGET: _binget,
    op.EMPTY_TUPLE: _empty_tuple,
    op.TUPLE1: _tuple1,
    op.TUPLE: _tuple,
    op.LIST: _boxed("list"),
    op.DICT: _boxed("dict"),
    op.FROZENSET: _boxed("frozenset"),
    op.SETITEM: _item,
    op.APPEND: _append,
    op.SETITEMS: _marked("item", op.SETITEMS),
    op.APPENDS: _marked("append", op.APPENDS),
    op.ADDITEMS: _marked("append", op.ADDITEMS),
    op.GLOBAL: _global,
    op.INST: _inst,
    op.OBJ: _obj,
    op.STACK_GLOBAL: _stack_global,
    op.EXT1: _extension(1),
    op.EXT2: _extension(2),
    op.EXT4: _extension(4),
    op.REDUCE: _reduce,
    op.NEWOBJ: _newobj,
    op.NEWOBJ_EX: _newobj_ex,
    op.BUILD: _build,
    op.PERSID: _persid,
    op.BINPERSID: _binpersid,
    op.NEXT_BUFFER: _constant,
    op.READONLY_BUFFER: _readonly,
}
"""What each opcode outside the machine's loop does."""
