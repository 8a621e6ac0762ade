"""Names of callers, taken out of the texts that others read.

A caller is known by an account's id, which may be personal data. What leaves the house, and what
blames nobody, says `caller 1` in its place; the number is the place among those who took part.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeVar

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from casemate.records.incident import Incident
    from casemate.records.vulnerability import Vulnerability

Record = TypeVar("Record", bound=msgspec.Struct)
_SHOWN = 79
"""Characters that a detection's message shows of a long name."""
_TITLE = 200
"""Length at which a title is cut, in a name where it falls so."""
_FEWEST = 3
"""Characters of a cut name that still tell whose it is."""


def hidden(text: str, names: Sequence[str], *, word: str | None = None) -> str:
    """Return text with a number in the place of each name, also where it is escaped or cut.

    Args:
        text: As it was written.
        names: Of callers, those most involved first.
        word: What to say for each, as `a caller`; None for `caller 1`, `caller 2`.
    """
    known = {
        form: word or f"caller {number}"
        for number, name in reversed(list(enumerate(dict.fromkeys(names), 1)))
        for form in _forms(name)
    }
    if not known:
        return text
    cut = len(text) >= _TITLE
    longest = sorted(known, key=len, reverse=True)
    found = re.compile("|".join(map(_bounded, longest)), re.IGNORECASE)
    folded = {form.casefold(): said for form, said in known.items()}

    def say(one: re.Match[str]) -> str:
        return folded.get(one[0].casefold(), word or "a caller")

    text = found.sub(say, text)
    if not cut:
        return text
    for form in longest:
        for length in range(len(form) - 1, _FEWEST - 1, -1):
            part = re.search(f"{_bounded(form[:length])}$", text, re.IGNORECASE)
            if part is not None:
                return text[: part.start()] + known[form]
    return text


def without(record: Record, names: Sequence[str]) -> Record:
    """Return a record in whose words no name stands; ids, models and figures stay."""
    if not any(names):
        return record
    given = {
        field: _told(value, names)
        for field in record.__struct_fields__
        if field in _WORDS and (value := getattr(record, field)) is not None
    }
    return msgspec.structs.replace(record, **given)


def of_incident(case: Incident) -> tuple[str, ...]:
    """Return who a case's triage says took part."""
    return tuple(one.principal for one in case.triage.suspects) if case.triage else ()


def incident_without(case: Incident, names: Sequence[str]) -> Incident:
    """Return a case that names no caller: its words hold none, and its suspects are numbered."""
    made = without(case, names)
    if case.triage is None:
        return made
    triage = without(case.triage, names)
    suspects = tuple(
        without(msgspec.structs.replace(one, principal=f"caller {number}"), names)
        for number, one in enumerate(triage.suspects, 1)
    )
    guesses = tuple(without(one, names) for one in triage.guesses)
    return msgspec.structs.replace(
        made, triage=msgspec.structs.replace(triage, suspects=suspects, guesses=guesses)
    )


def weakness_without(record: Vulnerability, names: Sequence[str]) -> Vulnerability:
    """Return a weakness whose words name no caller."""
    scores = tuple(without(one, names) for one in record.scores)
    return msgspec.structs.replace(without(record, names), scores=scores)


_WORDS = frozenset(
    ("because", "closing", "facts", "next_steps", "notes", "opened_by", "owner", "reasons",
     "remedy", "reporter", "success_note", "summary", "title")
)  # fmt: skip
"""Fields of cases, triages and weaknesses that hold words of a person or a rule."""


def _told(value: object, names: Sequence[str]) -> object:
    if isinstance(value, str):
        return hidden(value, names)
    if isinstance(value, tuple):
        return tuple(_told(one, names) for one in value)
    if isinstance(value, dict):
        return {key: _told(one, names) for key, one in value.items()}
    return value


def _forms(name: str) -> set[str]:
    """Return how a name stands in texts: as it is, escaped, and cut."""
    if not name.strip():
        return set()
    shown = name if name.isprintable() else ascii(name)[1:-1]
    found = {name, name.strip(), shown, " ".join(name.split())}
    if len(shown) > _SHOWN + 1:
        found.add(f"{shown[:_SHOWN]}…")
    return found


def _bounded(form: str) -> str:
    """Return a pattern for a name that is no part of a longer word."""
    before = r"(?<![^\W_])" if form[:1].isalnum() else ""
    after = r"(?![^\W_])" if form[-1:].isalnum() else ""
    return f"{before}{re.escape(form)}{after}"
