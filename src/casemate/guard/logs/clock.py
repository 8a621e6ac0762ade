"""Times as logs write them: numbers in four units, ISO 8601, HTTP dates; to microseconds."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import msgspec

from casemate.errors import FormatError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TICK = timedelta(microseconds=1)
_NUMBER = re.compile(r"-?[0-9]{1,20}(?:\.[0-9]{1,12})?(?:[eE][+-]?[0-9]{1,2})?")
_UNITS = ((1e8, 1e11, 1_000_000.0), (1e11, 1e14, 1_000.0), (1e14, 1e17, 1.0), (1e17, 1e20, 0.001))
"""From, below, microseconds per unit: seconds, ms, us and ns between the years 1973 and 5138."""


def moment(value: str | float) -> int:
    """Return a time in microseconds since the epoch.

    Numbers are seconds, milliseconds, microseconds or nanoseconds by their size; a time without a
    zone is UTC.

    Raises:
        FormatError: Not a time, or one before 1973 or after 5138.
    """
    if isinstance(value, str):
        text = value.strip()
        if not text or len(text) > 64:
            raise FormatError("not a time")
        if _NUMBER.fullmatch(text) is None:
            return _bounded(_text(text))
        value = int(text) if text.isascii() and text.isdigit() else float(text)
    for low, high, scale in _UNITS:
        if low <= value < high:
            if isinstance(value, int):
                return value // 1000 if scale < 1 else value * int(scale)
            return round(value * scale)
    raise FormatError("a number that is no time in s, ms, us or ns")


def from_json(raw: bytes | msgspec.Raw) -> int:
    """Return the time a JSON number or string stands for.

    Raises:
        FormatError: Anything else.
    """
    try:
        value: str | int | float = msgspec.json.decode(raw, type=str | int | float)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise FormatError("not a time") from error
    return moment(value)


def _text(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        try:
            found = parsedate_to_datetime(text)
        except (ValueError, TypeError, IndexError, OverflowError) as error:
            raise FormatError("not a time") from error
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def _bounded(found: datetime) -> int:
    try:
        at = (found - _EPOCH) // _TICK
    except OverflowError as error:
        raise FormatError("not a time") from error
    if not 10**14 <= at < 10**17:
        raise FormatError("a time before 1973 or after 5138")
    return at
