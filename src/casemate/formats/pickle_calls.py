"""What importing, calling, instantiating and updating mean to the pickle machine.

Most calls give a result of which nothing is known but who made it. A few functions only pass on
what they are given (`getattr`, `functools.partial`, `copyreg._reconstructor` ...); those are
followed into their operands, by the table in `catalog/allow/pickle-operands.toml`.
"""

from __future__ import annotations

import functools
import tomllib
from typing import TYPE_CHECKING, NamedTuple

from casemate.catalog.loader import ROOT
from casemate.errors import LimitExceeded
from casemate.formats import pickle_opcodes as op
from casemate.formats.pickle_names import resolve
from casemate.formats.pickle_reader import literal, literal_text, spelled_bytes
from casemate.formats.pickle_trace import Payload
from casemate.formats.pickle_values import (
    DATA,
    Attribute,
    Box,
    Global,
    Made,
    Partial,
    Symbol,
    Unknown,
    Value,
)
from casemate.formats.source import BytesSource

if TYPE_CHECKING:
    from collections.abc import Mapping

    from casemate.formats.pickle_machine import Machine
    from casemate.formats.pickle_trace import UseKind

CYTHON = "__pyx_unpickle_"
"""Cython writes one function of this name for each class; its first operand is the class."""


class Operand(NamedTuple):
    """How a function treats its operands."""

    how: str
    at: int = 0
    args: int = 1


@functools.cache
def operands() -> Mapping[tuple[str, str], Operand]:
    """Return the functions that are followed into their operands."""
    text = (ROOT / "allow" / "pickle-operands.toml").read_text(encoding="utf-8")
    table: dict[tuple[str, str], Operand] = {}
    for row in tomllib.loads(text)["operand"]:
        operand = Operand(row["how"], row.get("index", 0), row.get("args", 1))
        for module in row["modules"]:
            table[(module, row["name"])] = operand
    return table


def operand_of(target: Value) -> Operand | None:
    """Return how a callable treats its operands, None for one that is not followed."""
    if not isinstance(target, Global):
        return None
    if target.name.startswith(CYTHON):
        return Operand("new")
    return operands().get((target.module, target.name))


def imported(machine: Machine, module: str, name: str, code: int) -> Global:
    """Note an import and return its symbol."""
    key = resolve(module, name, machine.protocol)
    found = machine.names.get(key)
    if not isinstance(found, Global):
        found = Global(*key)
        _count(machine)
        machine.names[key] = found
        machine.note("import", found, None, code)
    found.uses += 1
    return found


def call(machine: Machine, callee: Value, args: tuple[Value, ...] | None, code: int) -> Value:
    """Note that `callee` is called and return what comes of it.

    Args:
        machine: The reading.
        callee: What is called.
        args: The arguments, None when they are not known.
        code: The opcode that calls.
    """
    bound = 0
    while isinstance(callee, Partial) and bound < 64:
        callee.uses -= 1
        if callee.via is not callee.function:
            args = None if args is None else callee.args + args
            callee = callee.function
            bound += 1
            continue
        return _call_getter(machine, callee, args, code)
    if isinstance(callee, Symbol):
        callee.uses -= 1
    else:
        machine.trouble("malformed", "a constant is called")
        return Unknown("the result of calling a constant")
    operand = operand_of(callee)
    if operand is not None and isinstance(callee, Global):
        return _follow(machine, callee, operand, args, code)
    machine.note("call", callee, args, code)
    return _made(machine, callee, "call", args)


def instantiate(
    machine: Machine,
    made_of: Value,
    args: tuple[Value, ...] | None,
    code: int,
    kwargs: Value | None = None,
) -> Value:
    """Note that `__new__` of a class is called and return the instance."""
    if not isinstance(made_of, Symbol):
        machine.trouble("malformed", "a constant is instantiated")
        return Unknown("an instance of a constant")
    made_of.uses -= 1
    operand = operand_of(made_of)
    if operand is not None and operand.how == "hold":
        return _hold(machine, made_of, args, operand)
    machine.note("new", made_of, args, code)
    return _made(machine, made_of, "new", args, kwargs)


def build(machine: Machine, target: Value, state: Value) -> None:
    """Note that an object is given its state."""
    if isinstance(target, Partial):
        inner = state[0] if type(state) is tuple and state else Unknown("a state not known")
        target.function = inner
        if target.via is inner:
            target.function = Unknown("a function that calls itself")
        return
    if isinstance(target, Made):
        machine.note("build", target.by, (state,), op.BUILD)
        operand = operand_of(target.by)
        if machine.detail > 0 or (operand is not None and operand.how == "keep"):
            target.state = state
        return
    if isinstance(target, Symbol):
        machine.note("patch", target, (state,), op.BUILD)
        return
    machine.trouble("malformed", "a constant is given a state")


def update(
    machine: Machine, kind: UseKind, target: Value, args: tuple[Value, ...], code: int
) -> None:
    """Note that items are put into an object that is not an ordinary container."""
    if isinstance(target, Made):
        machine.note(kind, target.by, args, code)
    elif isinstance(target, Symbol):
        if not isinstance(target, Box):
            machine.note("patch", target, args, code)
    elif type(target) is tuple:
        machine.trouble("malformed", "items are put into a tuple")


def _count(machine: Machine) -> None:
    machine.created += 1
    if machine.created > machine.limits.symbols:
        raise LimitExceeded("too many different objects", offset=machine.pos)


def _made(
    machine: Machine,
    by: Symbol,
    how: str,
    args: tuple[Value, ...] | None,
    kwargs: Value | None = None,
    keep: bool = False,
) -> Made:
    if machine.detail > 0 or keep:
        machine.detail -= 1
        _count(machine)
        return Made(by, how, args, machine.pos, kwargs)
    if by.made is None:
        _count(machine)
        by.made = Made(by, how, None, machine.pos)
    return by.made


def _follow(
    machine: Machine,
    callee: Global,
    operand: Operand,
    args: tuple[Value, ...] | None,
    code: int,
) -> Value:
    """Return what a function that passes on its operands gives."""
    how, index = operand.how, operand.at
    if how == "keep":
        machine.note("call", callee, args, code)
        return _made(machine, callee, "call", args, keep=True)
    if how == "one":
        if args is not None and len(args) == 1:
            machine.note("call", callee, args, code)
            return _made(machine, callee, "call", args)
        wide = imported(machine, callee.module, f"{callee.name}(name, bases, namespace)", code)
        wide.uses -= 1
        machine.note("call", wide, args, code)
        return _made(machine, wide, "call", args)
    if args is None or len(args) <= index:
        machine.trouble("unresolved", f"the operands of {callee.full} are not known")
        machine.note("call", callee, args, code)
        return Unknown(f"the result of {callee.full}")
    if how == "attribute":
        name = literal_text(machine, args[1]) if len(args) > 1 else None
        return _attribute(machine, args[0], name, code)
    if how == "hold":
        return _hold(machine, callee, args, operand)
    if how in ("getter", "method", "item"):
        for path in args[: {"getter": 64, "method": 1, "item": 0}[how]]:
            _attributes(machine, DATA, path, code)
        _count(machine)
        return Partial(callee, callee, args)
    if how == "new":
        machine.note("call", callee, args, code)
        return instantiate(machine, args[index], args[index + 1 :], code)
    if how == "apply":
        rest = args[operand.args] if len(args) > operand.args else None
        machine.note("call", callee, args, code)
        return call(machine, args[index], rest if type(rest) is tuple else None, code)
    if how == "name":
        texts = [literal_text(machine, value) for value in args[:2]]
        if len(texts) < 2 or texts[0] is None or texts[1] is None:
            machine.trouble("unresolved", f"{callee.full} imports a name that is not a constant")
            return Unknown(f"the result of {callee.full}")
        machine.note("call", callee, args, code)
        return imported(machine, texts[0], texts[1], code)
    return _payload(machine, callee, args, code)


def _hold(machine: Machine, via: Symbol, args: tuple[Value, ...] | None, operand: Operand) -> Value:
    _count(machine)
    if args is None:
        return Partial(via, Unknown("a function not known"), ())
    function = args[operand.at] if len(args) > operand.at else Unknown("no function")
    if not isinstance(function, Symbol):
        machine.trouble("malformed", "a constant is given where a function belongs")
    return Partial(via, function, args[operand.at + 1 :])


def _attributes(machine: Machine, of: Value, path: Value, code: int) -> Value:
    """Look up a constant path of attributes, one after the other."""
    text = literal_text(machine, path)
    for part in [None] if text is None else text.split(".")[:64]:
        of = _attribute(machine, of, part, code)
    return of


def _attribute(machine: Machine, of: Value, name: str | None, code: int) -> Value:
    if name is None:
        machine.trouble("unresolved", "an attribute is looked up by a name that is computed")
        return Unknown("an attribute whose name is computed")
    if not isinstance(of, Symbol):
        of = DATA
    key = (id(of), name)
    found = machine.attributes.get(key)
    if found is None:
        _count(machine)
        found = Attribute(of, name)
        machine.attributes[key] = found
        machine.note("attribute", found, (of,), code)
    if isinstance(of, Symbol):
        of.uses -= 1
    found.uses += 1
    return found


def _call_getter(
    machine: Machine, getter: Partial, args: tuple[Value, ...] | None, code: int
) -> Value:
    """Call what `attrgetter`, `methodcaller` or `itemgetter` gave."""
    operand = operand_of(getter.via)
    how = operand.how if operand else ""
    if how == "item":
        machine.note("call", getter.via, args, code)
        return Unknown("an item of an object")
    if not args:
        machine.trouble("unresolved", "a getter is called on an object not known")
        return Unknown("the result of a getter")
    found: Value = Unknown("no attribute")
    for path in getter.args if how == "getter" else getter.args[:1]:
        found = _attributes(machine, args[0], path, code)
    if how == "method":
        return call(machine, found, getter.args[1:], code)
    return found


def _payload(machine: Machine, callee: Global, args: tuple[Value, ...], code: int) -> Value:
    """Note bytes that are handed to another unpickler."""
    machine.note("call", callee, args, code)
    place = literal(machine, args[0], where=True)
    spelled = None if isinstance(place, tuple) else spelled_bytes(machine, args[0])
    if spelled is not None:
        place = (0, len(spelled))
    if not isinstance(place, tuple):
        machine.trouble("unresolved", f"{callee.full} reads bytes that are not a constant")
    elif len(machine.payloads) < machine.limits.payloads:
        decoded = None if spelled is None else BytesSource(spelled, f"bytes for {callee.full}")
        machine.payloads.append(Payload(machine.start + place[0], place[1], callee.full, decoded))
    else:
        raise LimitExceeded("too many pickles inside the pickle", offset=machine.pos)
    return _made(machine, callee, "call", args)
