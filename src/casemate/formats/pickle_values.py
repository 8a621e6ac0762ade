"""What stands on the stack of the pickle machine: symbols for things that would be made.

A value is one of

* an int: a constant or an ordinary container, known by the offset of its opcode in the stream
  (`DATA` when the offset is no longer known). Nothing is copied; it is decoded when wanted.
* a tuple of values.
* a `Symbol`: anything else. Symbols are shared, so that duplicating them costs nothing.
"""

from __future__ import annotations

from typing import TypeAlias

DATA = 0x7FFFFFFF
"""A constant or container of constants whose place in the stream was not kept.

It is the offset of nothing in a stream shorter than itself."""


class Symbol:
    """The root of the symbols."""

    __slots__ = ("index", "made", "uses")

    def __init__(self) -> None:
        self.index = -1
        """Number in the machine's table, from the time it is first put in the memo."""
        self.made: Made | None = None
        """The one result shared by calls of this, once detail is no longer kept."""
        self.uses = 0
        """Times it was pushed, less the times it was called at once or dropped."""


Value: TypeAlias = "int | tuple[Value, ...] | Symbol"


class Global(Symbol):
    """An imported name, after the mapping of Python 2 names.

    Attributes:
        module: Module that is imported.
        name: Attribute looked up in it; holds dots only where the reader follows them.
    """

    __slots__ = ("module", "name")

    def __init__(self, module: str, name: str) -> None:
        super().__init__()
        self.module = module
        self.name = name

    @property
    def full(self) -> str:
        """The name as a person writes it."""
        return f"{self.module}.{self.name}"


class Attribute(Symbol):
    """What looking up one attribute gives: `of.name`."""

    __slots__ = ("name", "of")

    def __init__(self, of: Value, name: str) -> None:
        super().__init__()
        self.of = of
        self.name = name


class Made(Symbol):
    """What a call or an instantiation gives.

    Attributes:
        by: What is called.
        how: `call` or `new`; `new` runs `__new__` only.
        args: The arguments, None when they were not kept.
        kwargs: Keyword arguments of NEWOBJ_EX.
        state: What BUILD gave it last; only looked at while it is on the stack.
        at: Offset of the opcode.
    """

    __slots__ = ("args", "at", "by", "how", "kwargs", "state")

    def __init__(
        self, by: Value, how: str, args: Value | None, at: int, kwargs: Value | None = None
    ) -> None:
        super().__init__()
        self.by = by
        self.how = how
        self.args = args
        self.kwargs = kwargs
        self.state: Value | None = None
        self.at = at


class Partial(Symbol):
    """A callable that will call `function` when it is called itself."""

    __slots__ = ("args", "function", "via")

    def __init__(self, via: Symbol, function: Value, args: tuple[Value, ...]) -> None:
        super().__init__()
        self.via = via
        self.function = function
        self.args = args


class Box(Symbol):
    """A list, dict or frozenset made from marked items by one opcode."""

    __slots__ = ("items", "kind")

    def __init__(self, kind: str, items: tuple[Value, ...]) -> None:
        super().__init__()
        self.kind = kind
        self.items = items


class Unknown(Symbol):
    """Something the stream alone does not say: a persistent object, a buffer, a bad memo entry."""

    __slots__ = ("args", "why")

    def __init__(self, why: str, args: Value | None = None) -> None:
        super().__init__()
        self.why = why
        self.args = args
