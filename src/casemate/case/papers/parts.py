"""What a paper is made of, before it is Markdown or HTML."""

from __future__ import annotations

from typing import NamedTuple


class Blank(NamedTuple):
    """Something that only a person can say."""

    fact: str
    """Name of the fact: `people_affected`."""
    question: str


Value = str | Blank


class Field(NamedTuple):
    """A name and what stands behind it."""

    name: str
    value: Value


class Table(NamedTuple):
    """Rows under a head."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


class Section(NamedTuple):
    """A heading and what stands under it: sentences, fields, a table, a list; any may be empty."""

    title: str
    text: tuple[Value, ...] = ()
    fields: tuple[Field, ...] = ()
    table: Table | None = None
    items: tuple[str, ...] = ()


class Paper(NamedTuple):
    """A whole paper."""

    kind: str
    title: str
    case: str
    written: str
    """When and by whom, in words."""
    note: str
    """What it is and what it is not, in one sentence."""
    sections: tuple[Section, ...]

    @property
    def blanks(self) -> tuple[Blank, ...]:
        """What is still to be answered, each once, in the order it is asked."""
        values = [
            value
            for one in self.sections
            for value in (*one.text, *(field.value for field in one.fields))
        ]
        found = {one.fact: one for one in reversed(values) if isinstance(one, Blank)}
        return tuple(reversed(found.values()))
