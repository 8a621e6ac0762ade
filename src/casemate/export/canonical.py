"""JSON in the one form that can be signed: RFC 8785, JSON Canonicalization Scheme."""

from __future__ import annotations

import json
import math

_EXACT = 2**53


def canonical(value: object) -> bytes:
    """Return `value` as canonical JSON: keys in UTF-16 order, numbers as ECMAScript writes them.

    Raises:
        ValueError: NaN, infinite, an integer no double holds exactly, a lone surrogate, or no JSON.
    """
    return "".join(_parts(value)).encode("utf-8")


def _parts(value: object) -> list[str]:
    if value is None or isinstance(value, bool):
        return [{None: "null", True: "true", False: "false"}[value]]
    if isinstance(value, str):
        return [json.dumps(value, ensure_ascii=False)]
    if isinstance(value, int):
        return [str(value) if abs(value) <= _EXACT else _large(value)]
    if isinstance(value, float):
        return [_number(value)]
    if isinstance(value, list | tuple):
        inner = [",".join("".join(_parts(one)) for one in value)]
        return ["[", *inner, "]"]
    if isinstance(value, dict):
        keys = sorted(value, key=lambda key: str(key).encode("utf-16-be", "surrogatepass"))
        pairs = (
            f"{json.dumps(key, ensure_ascii=False)}:{''.join(_parts(value[key]))}" for key in keys
        )
        return ["{", ",".join(pairs), "}"]
    raise ValueError(f"no JSON: {type(value).__name__}")


def _large(value: int) -> str:
    """Write an integer as the double that every reader makes of it."""
    if abs(value) < 10**300:
        text = _number(float(value))
        if text == str(value) or int(float(value)) == value:
            return text
    raise ValueError(f"{value} is not exact as a double")


def _number(value: float) -> str:
    """Write a double as ECMAScript's Number::toString does (ECMA-262, 6.1.6.1.20)."""
    if not math.isfinite(value):
        raise ValueError(f"no JSON: {value}")
    if value == 0:
        return "0"
    sign = "-" if value < 0 else ""
    mantissa, _, exponent = f"{abs(value)!r}".partition("e")
    whole, _, part = mantissa.partition(".")
    part = "" if part == "0" else part
    digits = (whole + part).lstrip("0")
    # The value is 0.digits times ten to the power `point`.
    point = len(whole.lstrip("0")) + int(exponent or 0)
    if not whole.strip("0"):
        point -= len(part) - len(part.lstrip("0"))
    digits = digits.rstrip("0")
    if len(digits) <= point <= 21:
        return sign + digits + "0" * (point - len(digits))
    if 0 < point <= 21:
        return f"{sign}{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    tail = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{sign}{digits[0]}{tail}e{'+' if point > 0 else '-'}{abs(point - 1)}"
