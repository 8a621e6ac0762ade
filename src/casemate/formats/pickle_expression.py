"""Values of the pickle machine as expressions, and expressions as Python-like source.

What is written is for reading, never for running: contents are cut to what fits a few lines.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from casemate.formats import pickle_opcodes as op
from casemate.formats.pickle_names import resolve
from casemate.formats.pickle_reader import literal
from casemate.formats.pickle_values import (
    DATA,
    Attribute,
    Box,
    Global,
    Made,
    Partial,
    Unknown,
    Value,
)

if TYPE_CHECKING:
    from casemate.formats.pickle_machine import Machine

DEPTH = 6
OPCODES = 4000
ITEMS = 64


class Const(NamedTuple):
    """A constant."""

    value: object


class Name(NamedTuple):
    """An imported name, or words in angle brackets for what is not known."""

    text: str


class Group(NamedTuple):
    """A list, tuple, set, frozenset or dict; a dict's items alternate keys and values."""

    kind: str
    items: tuple[Node, ...]


class Invoke(NamedTuple):
    """A call, `callee(*args)`, or with `how` = new an instance made without `__init__`."""

    callee: Node
    args: tuple[Node, ...] | None
    how: str = "call"
    state: Node | None = None


class Member(NamedTuple):
    """An attribute."""

    of: Node
    name: str


Node: TypeAlias = "Const | Name | Group | Invoke | Member"
MORE = Name("...")


def expand(machine: Machine, value: Value, end: int, depth: int = 0) -> Node:
    """Return a value as an expression.

    Args:
        machine: The reading it comes from.
        value: The value.
        end: Offset up to which the contents of a container may be looked for.
        depth: How deep in another expression this is.
    """
    if depth > DEPTH:
        return MORE
    if type(value) is int:
        return _at(machine, value, end, depth)
    if type(value) is tuple:
        return Group("tuple", _all(machine, value[:ITEMS], end, depth))
    if isinstance(value, Global):
        return Name(value.full)
    if isinstance(value, Attribute):
        return Member(expand(machine, value.of, end, depth + 1), value.name)
    if isinstance(value, Made):
        args = None if value.args is None else expand(machine, value.args, value.at, depth + 1)
        items = args.items if isinstance(args, Group) else None
        state = None if value.state is None else expand(machine, value.state, end, depth + 1)
        return Invoke(expand(machine, value.by, end, depth + 1), items, value.how, state)
    if isinstance(value, Partial):
        inner = (value.args, (value.function, *value.args))[value.via is not value.function]
        return Invoke(
            expand(machine, value.via, end, depth + 1), _all(machine, inner[:ITEMS], end, depth)
        )
    if isinstance(value, Box):
        return Group(value.kind, _all(machine, value.items, end, depth))
    return Name(f"<{value.why}>" if isinstance(value, Unknown) else "<object>")


def _all(machine: Machine, values: tuple[Value, ...], end: int, depth: int) -> tuple[Node, ...]:
    return tuple(expand(machine, value, end, depth + 1) for value in values)


def _at(machine: Machine, offset: int, end: int, depth: int) -> Node:
    if offset == DATA:
        return MORE
    head = machine.bytes_at(offset, 1)
    if not head:
        return MORE
    if head[0] in op.CONTAINERS:
        return _stretch(machine, offset, end, depth)
    if head[0] == op.NONE:
        return Const(None)
    value = literal(machine, offset)
    return MORE if value is None else Const(value)


_KINDS = {
    op.EMPTY_LIST: "list",
    op.EMPTY_DICT: "dict",
    op.EMPTY_SET: "set",
    op.LIST: "list",
    op.DICT: "dict",
    op.FROZENSET: "frozenset",
}


_CONSUMES = {
    op.TUPLE1: 1,
    op.TUPLE2: 2,
    op.TUPLE3: 3,
    op.REDUCE: 2,
    op.NEWOBJ: 2,
    op.BUILD: 1,
    op.APPEND: 1,
    op.SETITEM: 2,
}


def _stretch(machine: Machine, start: int, end: int, depth: int) -> Node:
    """Run the opcodes from a container's own to `end` on expressions and return the container."""
    stack: list[Node] = [Group(_KINDS.get(machine.bytes_at(start, 1)[0], "list"), ())]
    marks: list[list[Node]] = []
    pos = start + 1
    try:
        for _ in range(OPCODES):
            if pos >= end:
                break
            moved = _step(machine, pos, stack, marks, end, depth)
            if moved is None:
                break
            pos, stack = moved
    except IndexError:
        pass
    bottom = marks[0] if marks else stack
    return bottom[0] if bottom else MORE


def _step(
    machine: Machine,
    pos: int,
    stack: list[Node],
    marks: list[list[Node]],
    end: int,
    depth: int,
) -> tuple[int, list[Node]] | None:
    head = machine.bytes_at(pos, 9)
    if not head:
        return None
    code = head[0]
    if not marks and len(stack) <= _CONSUMES.get(code, 0):
        return None  # it takes the container itself
    if code in (op.EMPTY_LIST, op.EMPTY_DICT, op.EMPTY_SET):
        stack.append(Group(_KINDS[code], ()))
    elif code == op.EMPTY_TUPLE:
        stack.append(Group("tuple", ()))
    elif code == op.NONE:
        stack.append(Const(None))
    elif op.PUSHES[code]:
        stack.append(Const(literal(machine, pos)))
        return pos + op.PUSHES[code], stack
    elif code in op.SIZED:
        width, _ = op.SIZED[code]
        value = literal(machine, pos)
        stack.append(MORE if value is None else Const(value))
        return pos + 1 + width + int.from_bytes(head[1 : 1 + width], "little"), stack
    elif code in op.LINES:
        stack.append(Const(literal(machine, pos)))
        return machine.line_end(pos + 1) + 1, stack
    elif code == op.MARK:
        marks.append(stack)
        return pos + 1, []
    elif code in (op.APPENDS, op.ADDITEMS, op.SETITEMS):
        items = stack
        stack = marks.pop()
        stack[-1] = _extended(stack[-1], items)
    elif code == op.APPEND:
        item = stack.pop()
        stack[-1] = _extended(stack[-1], [item])
    elif code == op.SETITEM:
        pair = stack[-2:]
        del stack[-2:]
        stack[-1] = _extended(stack[-1], pair)
    elif code in (op.TUPLE, op.LIST, op.DICT, op.FROZENSET):
        items = stack
        stack = marks.pop()
        stack.append(Group(_KINDS.get(code, "tuple"), tuple(items[:ITEMS])))
    elif code in (op.TUPLE1, op.TUPLE2, op.TUPLE3):
        n = code - op.TUPLE1 + 1
        stack[-n:] = [Group("tuple", tuple(stack[-n:]))]
    elif code in (op.BINGET, op.LONG_BINGET, op.GET):
        index, after = _memo_index(machine, pos, head)
        stack.append(_recalled(machine, index, end, depth))
        return after, stack
    elif code in (op.BINPUT, op.LONG_BINPUT, op.PUT):
        return _memo_index(machine, pos, head)[1], stack
    elif code in (op.GLOBAL, op.STACK_GLOBAL):
        after = _pushed_name(machine, code, pos, stack)
        return after, stack
    elif code in (op.REDUCE, op.NEWOBJ):
        args, callee = stack.pop(), stack.pop()
        given = args.items if isinstance(args, Group) else None
        stack.append(Invoke(callee, given, "call" if code == op.REDUCE else "new"))
    elif code == op.BUILD:
        state = stack.pop()
        if isinstance(stack[-1], Invoke):
            stack[-1] = stack[-1]._replace(state=state)
    elif code == op.FRAME:
        return pos + 9, stack
    elif code != op.MEMOIZE:
        return None
    return pos + 1, stack


def _extended(target: Node, items: list[Node]) -> Node:
    if isinstance(target, Group) and len(target.items) < ITEMS:
        return target._replace(items=target.items + tuple(items[:ITEMS]))
    return target


def _memo_index(machine: Machine, pos: int, head: bytes) -> tuple[int, int]:
    if head[0] in (op.BINGET, op.BINPUT):
        return head[1], pos + 2
    if head[0] in (op.LONG_BINGET, op.LONG_BINPUT):
        return int.from_bytes(head[1:5], "little"), pos + 5
    end = machine.line_end(pos + 1)
    text = machine.bytes_at(pos + 1, end - pos - 1)
    return (int(text) if text.isdigit() and len(text) < 19 else -1), end + 1


def _recalled(machine: Machine, index: int, end: int, depth: int) -> Node:
    if not 0 <= index < len(machine.memo):
        return MORE
    code = machine.memo[index]
    if code == machine.hole:
        return MORE
    if code >= machine.first_symbol:
        return expand(machine, machine.symbols[code - machine.first_symbol], end, depth + 1)
    head = machine.bytes_at(code, 1)
    return MORE if not head or head[0] in op.CONTAINERS else _at(machine, code, end, depth)


def _pushed_name(machine: Machine, code: int, pos: int, stack: list[Node]) -> int:
    if code == op.STACK_GLOBAL:
        name, module = stack.pop(), stack.pop()
        texts = [str(part.value) if isinstance(part, Const) else "?" for part in (module, name)]
        stack.append(Name(".".join(texts)))
        return pos + 1
    middle = machine.line_end(pos + 1)
    end = machine.line_end(middle + 1)
    module_text = machine.bytes_at(pos + 1, middle - pos - 1).decode("utf-8", "backslashreplace")
    name_text = machine.bytes_at(middle + 1, end - middle - 1).decode("utf-8", "backslashreplace")
    stack.append(Name(".".join(resolve(module_text, name_text, machine.protocol))))
    return end + 1


def source_text(node: Node, limit: int = 400, depth: int = 0) -> str:
    """Return an expression as one line of Python-like source of at most `limit` characters."""
    if limit < 8 or depth > 12:
        return "..."
    text = _written(node, limit, depth)
    return text if len(text) <= limit else text[: limit - 3] + "..."


def _written(node: Node, limit: int, depth: int) -> str:
    if isinstance(node, Const):
        value = node.value[:limit] if isinstance(node.value, str | bytes) else node.value
        return repr(value)
    if isinstance(node, Name):
        return node.text
    if isinstance(node, Member):
        return f"{source_text(node.of, limit, depth + 1)}.{node.name}"
    if isinstance(node, Invoke):
        callee = source_text(node.callee, limit, depth + 1)
        if callee == "builtins.getattr" and node.args and len(node.args) == 2:
            callee = "getattr"
        inner = "..." if node.args is None else _joined(node.args, limit, depth)
        return f"{callee}.__new__({inner})" if node.how == "new" else f"{callee}({inner})"
    open_, close = {"list": ("[", "]"), "set": ("{", "}"), "dict": ("{", "}")}.get(
        node.kind, ("(", ")")
    )
    if node.kind == "dict":
        pairs = zip(node.items[::2], node.items[1::2], strict=False)
        parts = [
            f"{source_text(key, limit, depth + 1)}: {source_text(value, limit, depth + 1)}"
            for key, value in pairs
        ]
        return "{" + ", ".join(parts[:16]) + "}"
    inner = _joined(node.items, limit, depth)
    if node.kind == "tuple" and len(node.items) == 1:
        inner += ","
    return f"{'frozenset' if node.kind == 'frozenset' else ''}{open_}{inner}{close}"


def _joined(items: tuple[Node, ...], limit: int, depth: int) -> str:
    parts: list[str] = []
    used = 0
    for item in items:
        if used > limit:
            parts.append("...")
            break
        parts.append(source_text(item, limit, depth + 1))
        used += len(parts[-1]) + 2
    return ", ".join(parts)
