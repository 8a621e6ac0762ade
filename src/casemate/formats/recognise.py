"""What format bytes are, by what they contain; a file's name has no say.

The catalog's `formats/` entries are the list: magic numbers stand in the entry, anything that takes
more than comparing bytes in the function it names. Bytes may be of several formats at once, and
then every reader gets them.
"""

from __future__ import annotations

import functools
import importlib
from typing import TYPE_CHECKING, NamedTuple

from casemate.catalog.entries import Format
from casemate.catalog.loader import entries
from casemate.errors import CatalogError

if TYPE_CHECKING:
    from collections.abc import Callable

    from casemate.formats.source import Source

HEAD = 4096


class _Magic(NamedTuple):
    offset: int
    pattern: tuple[int | None, ...]
    exact: bytes | None

    def fits(self, head: bytes) -> bool:
        if self.exact is not None:
            return head.startswith(self.exact, self.offset)
        part = head[self.offset : self.offset + len(self.pattern)]
        return len(part) == len(self.pattern) and all(
            want is None or want == got for want, got in zip(self.pattern, part, strict=True)
        )


class Known(NamedTuple):
    """A format and how to tell it."""

    entry: Format
    magics: tuple[_Magic, ...]

    def fits(self, source: Source, head: bytes) -> bool:
        """Say whether the source is of this format."""
        if self.magics and not any(magic.fits(head) for magic in self.magics):
            return False
        if self.entry.recognise is None:
            return bool(self.magics)
        return function(self.entry.recognise)(source)


def _magic(ident: str, text: str) -> _Magic:
    place, colon, digits = text.rpartition(":")
    pairs = [digits[at : at + 2] for at in range(0, len(digits), 2)]
    try:
        pattern = tuple(None if pair == "??" else int(pair, 16) for pair in pairs)
        offset = int(place) if colon else 0
    except ValueError as error:
        raise CatalogError(f"{ident}.toml", "magic", f"'{text}' is not hex") from error
    if offset + len(pattern) > HEAD or not pattern:
        raise CatalogError(f"{ident}.toml", "magic", f"'{text}' is out of reach")
    exact = None if None in pattern else bytes(byte for byte in pattern if byte is not None)
    return _Magic(offset, pattern, exact)


@functools.cache
def known() -> tuple[Known, ...]:
    """Return every format of the catalog, those with a magic first, fallbacks last."""
    found = [
        Known(entry, tuple(_magic(entry.id, text) for text in entry.magic))
        for entry in entries("formats", Format).values()
    ]
    return tuple(sorted(found, key=lambda item: (item.entry.fallback, not item.magics)))


@functools.cache
def function(name: str) -> Callable[[Source], bool]:
    """Import the recogniser an entry names.

    Raises:
        CatalogError: There is no such function.
    """
    module_name, _, attribute = name.partition(":")
    found: Callable[[Source], bool] | None = getattr(
        importlib.import_module(module_name), attribute, None
    )
    if found is None:
        raise CatalogError(name, "recognise", "is not a function")
    return found


def recognise(source: Source, *, opaque: bool = False) -> tuple[Format, ...]:
    """Return the formats the bytes are of, in no order; none when they are of no known one.

    Args:
        source: The bytes.
        opaque: Nothing loads them by themselves: only what is looked for anywhere counts.
    """
    if opaque:
        found = [
            item.entry
            for item in known()
            if item.entry.anywhere is not None and function(item.entry.anywhere)(source)
        ]
    else:
        head = source.read(0, HEAD)
        found = []
        for item in known():
            if item.entry.fallback and found:
                break
            if item.fits(source, head):
                found.append(item.entry)
    replaced = {ident for entry in found for ident in entry.refines}
    return tuple(entry for entry in found if entry.id not in replaced)
