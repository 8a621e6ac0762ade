"""Reads one pickle stream and says what it would do, without doing it.

This is the door to the pickle reader: `trace` for a stream, `render` for the line of source that a
use of a name amounts to. The machine is in `pickle_machine`, its steps in `pickle_steps`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from casemate.formats import pickle_opcodes as op
from casemate.formats.pickle_expression import (
    Group,
    Invoke,
    Member,
    Node,
    expand,
    source_text,
)
from casemate.formats.pickle_machine import Machine
from casemate.formats.pickle_steps import STEPS
from casemate.formats.pickle_trace import Limits, PickleTrace, Trouble, Use

if TYPE_CHECKING:
    from casemate.formats.source import Source

__all__ = ["Limits", "PickleTrace", "Trouble", "Use", "looks_like_pickle", "render", "trace"]

_DEFAULT = Limits()


def trace(
    source: Source, offset: int = 0, limits: Limits = _DEFAULT, *, nested: bool = False
) -> PickleTrace:
    """Read the stream that begins at `offset` and return what it does; never raises for its bytes.

    Args:
        source: The bytes; nothing beyond what the stream itself covers is read.
        offset: Where the stream begins.
        limits: Bounds; reaching one is a trouble of kind `limit` and the trace is not complete.
        nested: Whether this is a stream inside another one, where joblib nests no further.

    Several streams may follow one another: the next begins at `PickleTrace.end`.
    """
    machine = Machine(source, offset, limits)
    machine.nested = nested
    return machine.run(STEPS)


def render(found: PickleTrace, use: Use, limit: int = 400) -> str:
    """Return the line of Python-like source that `use` amounts to, at most `limit` characters."""
    machine = found.machine
    end = use.offset - found.start
    target = expand(machine, use.target, end)
    args = None if use.args is None else expand(machine, use.args, end)
    items = args.items if isinstance(args, Group) else None
    node: Node = target
    if use.kind == "import":
        return source_text(target, limit)
    if use.kind == "attribute":
        node = target
    elif use.kind == "call":
        node = Invoke(target, items)
    elif use.kind == "new":
        node = Invoke(target, items, "new")
    else:
        verb = {op.BUILD: "__setstate__", op.SETITEM: "__setitem__", op.SETITEMS: "update"}.get(
            use.opcode, "extend"
        )
        of = target if use.kind == "patch" else Invoke(target, None, "new")
        node = Invoke(Member(of, verb), items)
    return source_text(node, limit)


def looks_like_pickle(source: Source, offset: int = 0) -> bool:
    """Say whether a pickle stream may begin here: what stands first is an opcode that can.

    A stream of protocol 2 or later begins with PROTO; an earlier one can begin with any opcode
    that needs nothing on the stack. This only sorts files; it decides nothing about them.
    """
    head = source.read(offset, 2)
    if not head:
        return False
    if head[0] == op.PROTO:
        return len(head) > 1 and head[1] <= 5
    return head[0] in op.OPENERS
