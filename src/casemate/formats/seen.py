"""What a reader says about the bytes it reads, one thing at a time.

A reader is a generator: it yields these, and after a Part it is told (as the value of the yield)
how much of it could be accounted for. It judges nothing and calls no other format; the walk in
`scan` recognises parts, judges pickles and turns trouble into findings by the rule it names.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from casemate.formats.budget import Budget
    from casemate.formats.pickle_trace import PickleTrace
    from casemate.formats.source import Source

State = Literal["scanned", "data", "refused"]
"""Read for what it can do; nothing in it can run when it is loaded; not read."""


class Part(NamedTuple):
    """Bytes that are an artifact of their own and must be recognised from scratch."""

    name: str
    """What a person calls it: the archive member, or what the compression is called."""
    source: Source
    start: int
    """Where it lies in the source being read (compressed, if it is)."""
    end: int
    opaque: bool = False
    """Nothing loads these bytes as an artifact (a tensor's storage): data, if not recognised."""
    outside: bool = False
    """The format has no use for these bytes; where they are of another one, its reader has them."""
    inside: tuple[str, ...] = ()
    """First parts of names that pickles in here take from the archive itself, not by importing."""


class Stream(NamedTuple):
    """A pickle stream that a loader of this format would run."""

    trace: PickleTrace
    start: int
    end: int


class Trouble(NamedTuple):
    """Something a rule of the catalog has a name for."""

    rule: str
    subject: str
    """What exactly, in the rule's own terms; stable across edits of the file."""
    message: str
    """One sentence with the particulars."""
    offset: int | None = None
    member: str | None = None
    """The member concerned, when it is not the one being read."""


class Span(NamedTuple):
    """A byte range of the source being read, and what became of it."""

    start: int
    end: int
    state: State
    why: str = ""
    """For a refused range, the reason."""


class Coverage(NamedTuple):
    """How many bytes of a source were read for what they can do, are data, or were not read."""

    scanned: int
    data: int
    refused: int


Seen = Part | Stream | Trouble | Span
Reading = Generator[Seen, Coverage | None, None]
Reader = Callable[["Source", "Budget"], Reading]
