"""The one strict way to build a record, and the ids records carry."""

from __future__ import annotations

import difflib
import math
import os
import time
from typing import Any, TypeVar

import msgspec

from casemate.errors import UsageError

T = TypeVar("T", bound=msgspec.Struct)
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def make(cls: type[T], /, **fields: object) -> T:
    """Build a record of type `cls`, checking names, types and that every number is finite.

    Raises:
        UsageError: A field is unknown, missing, of the wrong type, NaN or infinite.
    """
    known = cls.__struct_fields__
    for name in fields:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(known)}"
            raise UsageError(f"{cls.__name__} has no field '{name}'", hint=hint)
    builtin = msgspec.to_builtins(fields)
    _refuse_non_finite(builtin, cls.__name__)
    try:
        msgspec.json.encode(builtin)
    except UnicodeEncodeError:  # a hostile name that is not text; kept with its bytes escaped
        builtin = _escaped(builtin)
    try:
        tag = cls.__struct_config__.tag
        tag_field = cls.__struct_config__.tag_field
        body = {tag_field: tag, **builtin} if tag_field and tag is not None else builtin
        return msgspec.convert(body, cls, strict=True, str_keys=True)
    except msgspec.ValidationError as error:
        raise UsageError(f"{cls.__name__}: {error}") from error


def new_id(kind: str) -> str:
    """Return `<kind>-` and 26 Crockford base-32 characters: 48 bits of time in ms, 80 random."""
    number = (time.time_ns() // 1_000_000 << 80) | int.from_bytes(os.urandom(10), "big")
    digits = [_ALPHABET[(number >> shift) & 31] for shift in range(125, -1, -5)]
    return f"{kind}-{''.join(digits)}"


def _refuse_non_finite(value: Any, where: str) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise UsageError(f"{where} is {value}", hint="an absent measure is None")
    if isinstance(value, dict):
        for key, item in value.items():
            _refuse_non_finite(item, f"{where}.{key}")
    elif isinstance(value, list | tuple):
        for position, item in enumerate(value):
            _refuse_non_finite(item, f"{where}[{position}]")


def _escaped(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, dict):
        return {_escaped(key): _escaped(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_escaped(item) for item in value]
    return value
