"""What reading one pickle stream shows: the imports, the calls and everything out of the ordinary.

Made by `casemate.formats.pickle.trace`, read by `casemate.scan.pickles`. Offsets are counted from
the start of the source, not of the stream.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from casemate.formats.pickle_machine import Machine
    from casemate.formats.pickle_values import Value
    from casemate.formats.source import Source

UseKind = Literal["import", "call", "new", "build", "item", "append", "attribute", "patch"]
"""`build`, `item` and `append` are done to what the target made; `patch` is any of them done to the
target itself."""
TroubleKind = Literal[
    "truncated", "malformed", "limit", "disagree", "shifted", "unresolved", "extension"
]
"""`shifted`: from here on one unpickler takes other bytes for opcodes than the machine does."""


class Limits(NamedTuple):
    """Bounds on hostile input; reaching one ends the reading and is reported."""

    stack: int = 2_000_000
    """Values on the stack, all marks together, tuples counted by their members."""
    marks: int = 100_000
    memo: int = 40_000_000
    """Entries of the memo; each costs four bytes."""
    symbols: int = 100_000
    """Different names, results and kept tuples."""
    uses: int = 200_000
    """Different imports, calls and builds that are kept."""
    payloads: int = 1000
    """Pickles inside the pickle."""
    line: int = 1 << 16
    """Bytes of a name."""


class Use(NamedTuple):
    """Something the stream does to an imported name or to what came of one."""

    kind: UseKind
    target: Value
    args: tuple[Value, ...] | None
    """Arguments of the first such call (the state for `build`); None when they are not known."""
    offset: int
    opcode: int
    times: int = 1


class Trouble(NamedTuple):
    """Something that no pickler writes, or that ends the reading early."""

    kind: TroubleKind
    offset: int
    message: str


class Payload(NamedTuple):
    """Bytes of the stream that a call hands to another reader: a pickle in a pickle."""

    offset: int
    size: int
    reader: str
    """Name of the function that is given the bytes."""
    decoded: Source | None = None
    """The bytes themselves, where the stream spells them as text, as protocols 0 to 2 do."""

    def view(self, source: Source) -> Source:
        """Return the bytes, out of `source`, the one the trace was made from."""
        return self.decoded or source.sub(self.offset, self.size, f"bytes for {self.reader}")


class PickleTrace(NamedTuple):
    """All of it.

    `complete` says that STOP was reached and no bound was hit. What happened before an error
    happened nevertheless: uses are reported either way.
    """

    source: Source
    start: int
    end: int
    """Offset after STOP, or where the reading ended."""
    complete: bool
    protocol: int
    """The highest that was declared; 0 when none was."""
    opcodes_seen: bool
    """Whether anything at all was executed."""
    uses: tuple[Use, ...]
    troubles: tuple[Trouble, ...]
    arrays: tuple[tuple[int, int], ...]
    """Offset and size of raw array data that joblib keeps between opcodes."""
    inner: tuple[PickleTrace, ...]
    """Streams that joblib keeps between opcodes for arrays of objects."""
    payloads: tuple[Payload, ...]
    persistent: tuple[Use, ...]
    """Persistent ids, with what was given as the id."""
    result: Value | None
    machine: Machine
    """Kept so that contents can be read again for a finding."""
    shifted: bool = False
    """Whether this is how a plain unpickler misreads a stream joblib put inside another: names in
    it may be nonsense."""

    @property
    def names(self) -> tuple[tuple[str, str, int], ...]:
        """Return module, name and offset of everything imported."""
        from casemate.formats.pickle_values import Global

        return tuple(
            (use.target.module, use.target.name, use.offset)
            for use in self.uses
            if use.kind == "import" and isinstance(use.target, Global)
        )
